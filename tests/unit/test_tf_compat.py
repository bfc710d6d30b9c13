from __future__ import annotations

import gc
import importlib
import os
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from slim_train.tf_compat import native_chatter_hidden, quick_building, tf

ops: Any = importlib.import_module("tensorflow.python.framework.ops")


def _ask() -> bool:
    return ops.executing_eagerly_outside_functions()


def _ask_in_graph() -> bool:
    with tf.Graph().as_default():
        return _ask()


def _ask_in_function() -> bool:
    answers = []

    @tf.function
    def traced() -> Any:
        answers.append(_ask())
        return tf.constant(0)

    traced.get_concrete_function()
    return answers[0]


def _ask_in_function_in_graph() -> bool:
    with tf.Graph().as_default():
        return _ask_in_function()


def _ask_in_initialization_in_graph() -> bool:
    with tf.Graph().as_default(), tf.init_scope():
        return _ask()


@pytest.mark.parametrize(
    "ask",
    [
        _ask,
        _ask_in_graph,
        _ask_in_function,
        _ask_in_function_in_graph,
        _ask_in_initialization_in_graph,
    ],
)
def test_quick_building_changes_no_answer(ask):
    usual = ask()
    with quick_building():
        assert ask() == usual


def test_quick_building_asks_no_outer_context_in_a_plain_graph(monkeypatch):
    monkeypatch.setattr(ops, "_get_outer_context_and_inner_device_stack", lambda: pytest.fail("searched"))
    with quick_building(), tf.Graph().as_default():
        assert not _ask()


def test_threads_that_build_at_the_same_time_leave_tensorflow_as_it_was():
    before = ops.executing_eagerly_outside_functions

    def build(_: int) -> None:
        with quick_building(), quick_building():
            time.sleep(0.01)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(build, range(8)))
    assert ops.executing_eagerly_outside_functions is before


def test_after_quick_building_tensorflow_is_as_it_was():
    before = ops.executing_eagerly_outside_functions
    with pytest.raises(KeyError), quick_building():
        raise KeyError
    assert ops.executing_eagerly_outside_functions is before


def test_garbage_is_collected_after_quick_building_where_it_was_before():
    with quick_building():
        assert not gc.isenabled()
    assert gc.isenabled()
    gc.disable()
    try:
        with quick_building():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


@pytest.mark.parametrize(("level", "written"), [("3", ""), ("0", "of no interest")])
def test_chatter_is_hidden_where_quiet_is_asked_for(level, written, capfd, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", level)
    with native_chatter_hidden():
        os.write(2, b"of no interest")
    assert capfd.readouterr().err == written


def test_hidden_chatter_comes_out_when_the_block_fails(capfd, monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    with pytest.raises(ZeroDivisionError), native_chatter_hidden():
        os.write(2, b"why it failed")
        _ = 1 / 0
    assert capfd.readouterr().err == "why it failed"
