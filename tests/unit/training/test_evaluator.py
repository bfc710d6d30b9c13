"""The evaluator's role."""

from __future__ import annotations

import json

import pytest

from slim_train.training import evaluator
from slim_train.training.train import run


@pytest.mark.slow
def test_the_evaluator_of_a_training_that_has_ended_evaluates_its_last_checkpoint_and_leaves(options):
    flags = {"eval_split_name": "test"}
    folder = run(options()).folder
    evaluator.follow(options(**flags))
    found = json.loads((folder / "eval_test" / "eval_test.json").read_text())
    assert (found["global_step"], found["images"]) == (2, 6)
    assert json.loads((folder / "best" / "best.json").read_text())["split"] == "test"
