"""Saying that decoding bounds a training."""

from __future__ import annotations

import logging

import pytest

from slim_train.inputs.decoding_speed import DecodingCost
from slim_train.training.hooks import input_bound
from slim_train.training.hooks.input_bound import InputBound

_PHOTOS = DecodingCost(seconds=0.02, side=4000)


def _said(caplog, monkeypatch, cost, seconds_per_step=0.25, **more) -> list[str]:
    """What is logged in a training of 32 images per step."""
    now = [100.0]
    monkeypatch.setattr(input_bound.time, "monotonic", lambda: now[0])
    monkeypatch.setattr(input_bound.time, "process_time", lambda: 2.0 * now[0])
    given = {"threads": 2, "cpus": 2, "image_size": 224, "scaled": True, "on_cpu": False, **more}
    hook = InputBound(32, measure=lambda: cost, **given)
    with caplog.at_level(logging.INFO):
        for _ in range(50):
            now[0] += seconds_per_step
            hook.after_run(None, None)
        hook.end(None)
    return [record.getMessage() for record in caplog.records]


def test_decoding_that_is_most_of_the_work_is_said_once(caplog, monkeypatch):
    # 128 images/s at 20 ms are 2.56 s of 2 CPUs' time a second: at the limit.
    (said,) = _said(caplog, monkeypatch, _PHOTOS)
    assert "4,000 pixels" in said and "20.0 ms" in said and "about 100 images/s" in said
    assert said.endswith("What would help: download_and_convert_data --max_image_side=512.")


def test_on_the_cpu_decoding_is_compared_with_the_time_of_the_process(caplog, monkeypatch):
    # 16 images/s at 20 ms: 0.32 of the 2 s of CPU time that the process takes a second.
    assert _said(caplog, monkeypatch, _PHOTOS, 2.0, on_cpu=True) == []
    monkeypatch.undo()
    assert len(_said(caplog, monkeypatch, _PHOTOS, 0.25, on_cpu=True)) == 1


@pytest.mark.parametrize(("cost", "seconds"), [(_PHOTOS, 1.0), (DecodingCost(0.001, 500), 0.25), (None, 0.25)])
def test_a_training_that_the_net_bounds_hears_nothing(caplog, monkeypatch, cost, seconds):
    assert _said(caplog, monkeypatch, cost, seconds) == []


@pytest.mark.parametrize(
    ("cost", "given", "advice"),
    [
        (DecodingCost(0.1, 500), {}, "more CPUs"),
        (DecodingCost(0.1, 500), {"threads": 1}, "--num_preprocessing_threads=2"),
        (_PHOTOS, {"scaled": False}, "--scaled_decoding=auto or download_and_convert_data --max_image_side=512"),
        (_PHOTOS, {"image_size": 331}, "download_and_convert_data --max_image_side=662"),
    ],
)
def test_the_advice_is_what_would_help(caplog, monkeypatch, cost, given, advice):
    (said,) = _said(caplog, monkeypatch, cost, **given)
    assert said.endswith(f"What would help: {advice}.")
