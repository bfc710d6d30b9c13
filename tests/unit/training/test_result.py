"""The result of a training."""

from __future__ import annotations

import dataclasses
import json

import pytest

from slim_train.checkpoints import training_folder
from slim_train.errors import UsageError
from slim_train.training.result import TrainingResult, finish_again
from slim_train.training.train import run


@pytest.mark.slow
def test_the_file_holds_what_the_value_says(options):
    result = run(options(eval_split_name="test"))
    stored = json.loads((result.folder / training_folder.RESULT).read_text())
    assert stored == json.loads(json.dumps(result.to_dict()))
    assert (stored["global_step"], stored["best_accuracy"]) == (2, result.best_accuracy)


def test_the_result_of_a_run_that_is_over_is_written_when_it_was_lost(make_job, options):
    first = run(options())
    (first.folder / training_folder.RESULT).unlink()
    with (first.folder / training_folder.METRICS).open("a") as file:
        file.write('{"step": 3, "lo')
    again = finish_again(make_job())
    assert (again.global_step, again.checkpoint, again.history) == (2, first.checkpoint, first.history)
    assert json.loads((first.folder / training_folder.RESULT).read_text())["global_step"] == 2


def test_a_run_that_is_over_is_not_that_of_another_net(make_job, options):
    run(options())
    job = make_job()
    other = dataclasses.replace(job, model=dataclasses.replace(job.model, num_classes=5))
    with pytest.raises(UsageError, match="has ended, and is another.*--num_classes=2"):
        finish_again(other)


def test_a_notebook_shows_the_facts(tmp_path):
    html = TrainingResult(tmp_path, 10, 20, loss=0.25, stopped_by="SIGINT")._repr_html_()
    assert "10 of 20" in html
    assert "0.2500" in html
    assert "SIGINT" in html
