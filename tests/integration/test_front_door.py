"""``st.train`` in somebody's process: again and again, in threads, interrupted, and nothing left behind."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import warnings

import absl.flags
import numpy as np
import pytest

import slim_train as st
from slim_train.tf_compat import tf


def _train(dataset_dir, train_dir, **flags):
    small = {
        "model_name": "lenet",
        "batch_size": 16,
        "clone_on_cpu": True,
        "max_number_of_steps": 8,
        "optimizer": "sgd",
    }
    return st.train(dataset_dir, train_dir, **{**small, "learning_rate": 0.001, **flags})


def _process():
    """What a call could leave behind in a process."""
    root, tensorflow = logging.getLogger(), logging.getLogger("tensorflow")
    return {
        "signals": [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)],
        "root logger": (root.level, root.handlers[:], root.filters[:]),
        "TensorFlow's logger": (tensorflow.level, tensorflow.handlers[:], tensorflow.filters[:]),
        "warnings": warnings.filters[:],
        "environment": dict(os.environ),
        "flags": sorted(absl.flags.FLAGS),
        "graph": tf.get_default_graph(),
        "seeds": (tf.get_default_graph().seed, np.random.get_state()[1].tolist()),
        "excepthook": sys.excepthook,
    }


def _differences(before):
    after = _process()
    return [name for name, value in before.items() if after[name] != value]


@pytest.mark.slow
def test_training_again_and_again_leaves_the_process_as_it_was(shapes_dir, tmp_path):
    _train(shapes_dir, tmp_path / "first", seed=1)  # imports what is imported late
    before = _process()
    results = [_train(shapes_dir, tmp_path / name, seed=1) for name in ("second", "third")]
    assert _differences(before) == []
    assert [result.global_step for result in results] == [8, 8]
    assert results[0].loss == results[1].loss


def test_a_call_that_fails_leaves_the_process_as_it_was(shapes_dir, tmp_path):
    before = _process()
    with pytest.raises(st.UsageError, match="lenett"):
        _train(shapes_dir, tmp_path, model_name="lenett")
    assert _differences(before) == []


@pytest.mark.slow
def test_two_threads_train_at_the_same_time(shapes_dir, tmp_path):
    before = _process()
    results = {}

    def work(name):
        results[name] = _train(shapes_dir, tmp_path / name)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {name: result.folder for name, result in results.items()} == {name: tmp_path / name for name in results}
    assert [result.global_step for result in results.values()] == [8, 8]
    assert _differences(before) == []


@pytest.mark.slow
def test_ctrl_c_saves_a_checkpoint_and_returns_the_result_so_far(shapes_dir, tmp_path):
    """An interrupted cell of a notebook gets the same signal."""

    class Interrupt(tf.train.SessionRunHook):
        steps = 0

        def after_run(self, run_context, run_values):
            self.steps += 1
            if self.steps == 3:
                signal.raise_signal(signal.SIGINT)

    result = _train(shapes_dir, tmp_path, hooks=[Interrupt()])
    assert (result.stopped_by, result.checkpoint is not None) == ("SIGINT", True)
    assert 0 < result.global_step < 8
    assert _train(shapes_dir, tmp_path).global_step == 8


@pytest.mark.slow
def test_results_are_html_in_a_notebook(shapes_dir, tmp_path):
    trained = _train(shapes_dir, tmp_path, eval_split_name="test", log_every_n_steps=2)
    assert "8 of 8" in trained._repr_html_()
    assert "training curves" in trained._repr_html_()
    evaluated = st.evaluate(tmp_path)
    assert f"accuracy {evaluated.accuracy:.2%} of 27 images" in evaluated._repr_html_()
    exported = st.export(tmp_path, formats=["frozen"])
    assert ">model.pb</td>" in exported._repr_html_()


def test_a_dry_run_gives_no_result(shapes_dir, tmp_path, capsys):
    assert _train(shapes_dir, tmp_path, dry_run=True) is None
    assert "lenet" in capsys.readouterr().out.lower()


def test_a_data_error_is_a_usage_error(tmp_path):
    with pytest.raises(st.UsageError, match="gone") as raised:
        _train(tmp_path / "gone", tmp_path / "models")
    assert raised.value.__cause__ is not None


def test_no_function_ever_exits(shapes_dir, tmp_path):
    with pytest.raises(st.RunError):
        st.evaluate(tmp_path, dataset_dir=shapes_dir)
    with pytest.raises(st.UsageError):
        st.load(tmp_path)
    with pytest.raises(st.UsageError):
        st.export(tmp_path / "gone")
