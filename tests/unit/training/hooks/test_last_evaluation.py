"""The last evaluation of a training."""

from __future__ import annotations

from slim_train.training.hooks.last_evaluation import LastEvaluation
from slim_train.training.train import run


def test_a_training_that_evaluates_ends_with_a_report_of_its_last_evaluation(options):
    result = run(options(eval_split_name="test"))
    html = result.files["report"].read_text(encoding="utf-8")
    assert f"step {result.global_step}" in html
    assert f"accuracy {result.evaluations[-1]['eval_accuracy']:.2%} on test" in html


def test_without_an_evaluation_there_is_no_report():
    assert LastEvaluation().report() is None
