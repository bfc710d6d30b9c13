from __future__ import annotations

import contextlib
import gc
import importlib
import os
import threading
from typing import Any

import pytest

from slim_train import tf_compat
from slim_train.nets.factory import get_network_fn
from slim_train.tf_compat import native_chatter_hidden, quick_building, tf

ops: Any = importlib.import_module("tensorflow.python.framework.ops")


def _variable(name: str) -> Any:
    return tf.get_variable(name, [2])


def _searches_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ops, "_get_outer_context_and_inner_device_stack", lambda: pytest.fail("searched"))


def test_quickly_built_variables_are_compared_without_a_search(monkeypatch):
    with tf.Graph().as_default(), quick_building():
        one, other = _variable("one"), _variable("other")
        _searches_are_errors(monkeypatch)
        assert one in {one} and one not in {other}
        assert one in [other, one] and one not in [other]
        assert one != other and one == one


def test_other_variables_are_compared_as_ever(monkeypatch):
    with tf.Graph().as_default():
        with quick_building():
            pass
        variable = _variable("one")
        _searches_are_errors(monkeypatch)
        with pytest.raises(pytest.fail.Exception, match="searched"):
            hash(variable)


def test_quickly_built_variables_are_of_the_class_that_others_are_of():
    with tf.Graph().as_default():
        usual = _variable("usual")
        with quick_building():
            quick = _variable("quick")
    assert isinstance(quick, type(usual))
    assert repr(quick) == repr(usual).replace("usual", "quick")


def test_a_variable_outside_of_graphs_is_left_as_it_is():
    with quick_building():
        assert type(tf.Variable(1.0)) is type(tf.Variable(1.0))


def test_a_variable_that_a_function_makes_outside_of_graphs_is_left_as_it_is():
    made = []

    @tf.function
    def traced() -> Any:
        if not made:
            with quick_building():
                made.append(tf.Variable(1.0))
        return made[0].read_value()

    assert traced() == 1.0
    with pytest.raises(TypeError, match="unhashable"):
        hash(made[0])


def test_variables_whose_class_cannot_be_exchanged_work_all_the_same(monkeypatch):
    class Rigid:
        __slots__ = ()

    monkeypatch.setattr(tf_compat, "_compared_by_identity", lambda kind: Rigid)
    with tf.Graph().as_default(), quick_building():
        assert type(_variable("one")) is type(_variable("other")) is not Rigid


def test_while_a_net_is_built_the_rest_of_the_process_is_as_ever():
    """Garbage is collected, and a variable that another thread makes in a graph is of TensorFlow's own class."""
    seen: list[Any] = []

    def look() -> None:
        with tf.Graph().as_default():
            seen.extend([gc.isenabled(), gc.get_threshold(), type(_variable("other")), vars(ops).copy()])

    def norm(inputs: Any, scope: str) -> bool:
        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        return False

    with tf.Graph().as_default():
        usual = type(_variable("usual"))
        before = [gc.isenabled(), gc.get_threshold(), usual, vars(ops).copy()]
        get_network_fn("mobilenet_v1_025", 10, is_training=True, freeze_batch_norm=norm)(tf.zeros([1, 32, 32, 3]))
    assert seen[: len(before)] == before


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


def test_a_mode_of_batch_norm_layers_ends_with_its_block():
    assert tf_compat.layer_mode(True, None, "norm") is True
    with tf_compat.batch_norm_mode(False):
        assert tf_compat.layer_mode(True, None, "norm") is False
    assert tf_compat.layer_mode(True, None, "norm") is True


def test_a_mode_by_layer_is_asked_with_the_whole_scope():
    with tf.Graph().as_default(), tf.variable_scope("net"), tf_compat.batch_norm_mode(lambda inputs, scope: scope):
        assert tf_compat.layer_mode(True, None, "norm") == "net/norm"


def test_a_layer_that_tensorflow_1_did_not_have_is_named():
    with pytest.raises(AttributeError, match=r"tf\.layers\.attention"):
        tf_compat.legacy_layer("attention")


def test_in_inference_neither_batch_norm_trains_nor_dropout_drops():
    with tf.Graph().as_default() as graph:
        with tf_compat.inference_mode():
            tf_compat.slim.batch_norm(tf.zeros([2, 3]), is_training=True)
            kept = tf_compat.slim.dropout(tf.zeros([2, 3]), 0.5, None, True)
            assert tf_compat.dropout_mode(True) is False
        assert not tf.get_collection(tf.GraphKeys.UPDATE_OPS)
        assert kept.shape.as_list() == [2, 3]
        assert not [op for op in graph.get_operations() if op.type == "RandomUniform"]
        assert tf_compat.dropout_mode(True) is True
        tf_compat.slim.dropout(tf.zeros([2, 3]), 0.5)
        assert [op for op in graph.get_operations() if op.type == "RandomUniform"]


@pytest.mark.parametrize("of_version_1", [True, False])
def test_dimensions_are_in_the_end_what_they_were(of_version_1):
    with tf_compat.dimensions_of_version_1() if of_version_1 else contextlib.nullcontext():
        before = type(tf.TensorShape([1])[0])
        with pytest.raises(KeyError), tf_compat.dimensions_of_version_1():
            assert tf.TensorShape([3])[0].value == 3
            raise KeyError
        assert type(tf.TensorShape([1])[0]) is before
    assert isinstance(tf.TensorShape([1])[0], int)
