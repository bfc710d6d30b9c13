"""Scalars for TensorBoard."""

from __future__ import annotations

from deployment.tf_private import close_event_writer
from slim_train.tf_compat import tf
from slim_train.training.hooks.scalars import add_scalars


def test_scalars_are_in_the_event_file(tmp_path):
    with tf.Graph().as_default():
        add_scalars(str(tmp_path), 7, {"train/loss": 0.5})
    close_event_writer(str(tmp_path))
    (file,) = tmp_path.iterdir()
    events = [(event.step, value.tag, value.simple_value)
              for event in tf.train.summary_iterator(str(file)) for value in event.summary.value]  # fmt: skip
    assert events == [(7, "train/loss", 0.5)]


def test_without_a_folder_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    add_scalars(None, 7, {"train/loss": 0.5})
    assert not list(tmp_path.iterdir())
