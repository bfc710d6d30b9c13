"""The last evaluation of a training."""

from __future__ import annotations

from slim_train.evaluation.evaluate import Evaluator
from slim_train.model.spec import resolve_model
from slim_train.training.hooks.last_evaluation import LastEvaluation
from slim_train.training.train import run


def test_a_training_that_evaluates_ends_with_a_report_of_its_last_evaluation(options):
    result = run(options(eval_split_name="test"))
    html = result.files["report"].read_text(encoding="utf-8")
    assert f"step {result.global_step}" in html
    assert f"accuracy {result.evaluations[-1]['eval_accuracy']:.2%} on test" in html


def test_the_worst_mistakes_are_kept_with_where_the_net_looked(mobilenet_folder, photo_split):
    model = resolve_model("mobilenet_v1_025", photo_split, image_size=64, preprocessing="lenet")
    last = LastEvaluation()
    with Evaluator(photo_split, model, batch_size=2) as evaluator:
        figures = last.evaluate(evaluator, str(mobilenet_folder / "model.ckpt-7"), lambda: False)
        last.explain()
    assert len(last.mistakes) == round(3 * (1 - figures["accuracy"])) > 0
    assert all(mistake.heat for mistake in last.mistakes)


def test_without_an_evaluation_there_is_no_report():
    last = LastEvaluation()
    last.explain()
    assert last.report() is None
    assert last.mistakes == []
