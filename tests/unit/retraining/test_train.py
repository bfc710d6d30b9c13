from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np

from slim_train.retraining.head import Head
from slim_train.retraining.options import HeadOptions
from slim_train.retraining.samples import Samples
from slim_train.retraining.train import Batch, Summaries, train
from slim_train.tf_compat import tf


def _train(folder: Path, options: HeadOptions, snapshot_every: int = 0) -> list[int]:
    """Train on ten images; gives the steps after which a snapshot was written."""
    random = np.random.default_rng(0)
    head = Head(np.eye(10, dtype=np.float32), np.arange(10) % 2, 2, 0.1, random)
    batches = itertools.repeat(Batch(np.arange(10)))
    snapshots: list[int] = []
    with Summaries(folder) as summaries:
        train(head, batches, Samples([[0], [1]]), options, random, summaries, snapshot_every, snapshots.append)
    return snapshots


def test_evaluations_are_of_multiples_of_the_interval_and_of_the_last_step(tmp_path):
    _train(tmp_path, HeadOptions(how_many_training_steps=12, eval_step_interval=5))
    for part in ("train", "validation"):
        (events,) = (tmp_path / part).iterdir()
        steps = [event.step for event in tf.train.summary_iterator(str(events)) if event.summary.value]
        assert steps == [0, 5, 10, 11]


def test_snapshots_are_of_multiples_of_the_interval_but_the_first(tmp_path):
    assert _train(tmp_path, HeadOptions(how_many_training_steps=12), snapshot_every=4) == [4, 8]


def test_an_interval_of_zero_writes_no_snapshot(tmp_path):
    assert _train(tmp_path, HeadOptions(how_many_training_steps=5)) == []
