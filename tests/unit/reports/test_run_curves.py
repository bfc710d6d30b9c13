from __future__ import annotations

import pytest

from slim_train.reports.run_curves import run_curves


def test_runs_without_history_have_no_curves() -> None:
    assert run_curves({"a": [], "b": []}) == ""


def test_the_curves_of_any_number_of_runs_are_one_picture() -> None:
    pytest.importorskip("matplotlib")
    lines = [{"step": 1, "loss": 2.0, "eval_accuracy": 0.1}, {"step": 2, "loss": 1.0}]
    page = run_curves({f"run $ {number}": lines for number in range(9)})
    assert page.count("data:image/png;base64,") == 1
