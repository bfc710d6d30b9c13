"""Functions in research/slim's convention as records."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import pytest

from slim_train.errors import UsageError
from slim_train.function_digest import function_digest
from slim_train.nets.conventions import as_record, find_arg_scope, nets_in, record_of_function
from slim_train.nets.network_fn import network_fn_of
from slim_train.nets.record import NetRecord
from slim_train.tf_compat import slim, tf


def classic(images: Any, num_classes: int = 1000, is_training: bool = True, scope: str = "Net") -> Any:
    with tf.variable_scope(scope):
        net = slim.dropout(slim.flatten(images), 0.5, is_training=is_training)
        logits = slim.fully_connected(net, num_classes, activation_fn=None, scope="logits")
    return logits, {"Logits": logits}


def _build(function: Callable[..., Any], is_training: bool = False, **options: Any) -> tuple[Any, dict[str, Any]]:
    record = record_of_function(function, "mine", **options)
    with tf.Graph().as_default():
        return network_fn_of(record, 7, is_training=is_training)(tf.zeros([2, 8, 8, record.channels]))


def test_a_classic_function_gives_logits_and_end_points() -> None:
    logits, end_points = _build(classic)
    assert logits.shape.as_list() == [2, 7]
    assert set(end_points) == {"Logits"}


def test_logits_may_come_alone() -> None:
    assert _build(lambda images, num_classes: classic(images, num_classes)[0])[1] == {}


@pytest.mark.parametrize("more", [None, [], "of the net", {}])
def test_what_comes_with_the_logits_and_is_no_dict_is_left_alone(more: Any) -> None:
    def net(images: Any, num_classes: int) -> Any:
        logits = classic(images, num_classes)[0]
        return logits, (tf.nn.softmax(logits) if more == "of the net" else more), more

    assert _build(net)[1] == {}


def test_logits_of_one_pixel_are_flattened() -> None:
    def net(images: Any, num_classes: int) -> Any:
        pooled = tf.reduce_mean(images, [1, 2], keepdims=True)
        return slim.conv2d(pooled, num_classes, [1, 1]), {}

    assert _build(net)[0].shape.as_list() == [2, 7]


def test_arguments_are_found_by_their_names_in_any_order() -> None:
    seen = {}

    def net(training: bool, n_classes: int, inputs: Any) -> Any:
        seen["training"] = training
        return classic(inputs, n_classes)

    assert _build(net, is_training=True)[0].shape.as_list() == [2, 7]
    assert seen["training"] is True


@pytest.mark.parametrize("name", ["training_phase", "isTraining", "train_mode", "is_training_ph"])
def test_the_mode_may_have_any_name_with_train(name: str) -> None:
    seen: list[bool] = []

    def net(images: Any, num_classes: int, mode: bool) -> Any:
        seen.append(mode)
        return classic(images, num_classes)

    signature = inspect.signature(net)
    parameters = [p.replace(name=name) if p.name == "mode" else p for p in signature.parameters.values()]

    def renamed(**arguments: Any) -> Any:
        return net(arguments["images"], arguments["num_classes"], arguments[name])

    renamed.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    for is_training in (True, False):
        _build(renamed, is_training=is_training)
    assert seen == [True, False]


def test_an_argument_that_is_no_mode_keeps_its_default() -> None:
    seen: list[Any] = []

    def net(images: Any, num_classes: int, trainable: bool = True, train_layers: str = "all") -> Any:
        seen.extend([trainable, train_layers])
        return classic(images, num_classes)

    _build(net)
    assert seen == [True, "all"]


def test_images_may_have_any_name() -> None:
    def net(pictures: Any, is_training: bool, num_classes: int) -> Any:
        return classic(pictures, num_classes)

    assert _build(net)[0].shape.as_list() == [2, 7]


def test_further_arguments_take_the_type_of_their_defaults() -> None:
    seen = {}

    def net(
        images: Any, num_classes: int, width: Any = "1.0", rate: float = 0.5, sizes: Any = None, *, depth: int
    ) -> Any:
        seen.update(width=width, rate=rate, sizes=sizes, depth=depth)
        return classic(images, num_classes)

    _build(net, arguments={"width": "0.5", "rate": "1", "sizes": "[1, 2]", "depth": "3"})
    assert seen == {"width": "0.5", "rate": 1.0, "sizes": [1, 2], "depth": 3}
    assert isinstance(seen["rate"], float)


def test_a_missing_argument_is_named() -> None:
    def net(images: Any, num_classes: int, depth: int) -> Any:
        return classic(images, num_classes)

    with pytest.raises(UsageError, match="mine needs the argument depth: give --model_args=depth=VALUE"):
        record_of_function(net, "mine")


def test_an_unknown_argument_is_refused_with_the_nearest() -> None:
    def net(images: Any, num_classes: int, depth: int = 1) -> Any:
        return classic(images, num_classes)

    with pytest.raises(UsageError, match=r"no argument 'dept' to set\. Did you mean depth\?"):
        record_of_function(net, "mine", arguments={"dept": "1"})


def test_a_function_without_classes_is_no_net() -> None:
    with pytest.raises(UsageError, match="no argument for the number of classes"):
        record_of_function(lambda images: images, "mine")


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (
            lambda images, classes: None,
            r"The net mine \(.*test_conventions\.py, line \d+\) must return logits, .* It returned NoneType",
        ),
        (lambda images, classes: ({}, tf.zeros([2, classes])), "It returned dict, "),
        (lambda images, classes: tf.zeros([2, classes + 1]), r"shape \[batch, 7\] .* It returned \[2, 8\]"),
        (lambda images, classes: tf.zeros([6, classes]), r"\[batch, 7\] for 7 classes and a batch of 2\. .* \[6, 7\]"),
        (lambda images, classes: images, r"It returned \[2, 8, 8, 3\]"),
        (lambda images, classes: tf.nn.softmax(tf.zeros([2, classes])), "returns probabilities"),
    ],
)
def test_another_result_is_refused(result: Callable[..., Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        _build(lambda images, num_classes: result(images, num_classes))


def test_an_exception_in_the_function_names_its_line() -> None:
    def net(images: Any, num_classes: int) -> Any:
        raise ValueError("too small")

    with pytest.raises(UsageError, match=r"cannot be built on images of 8x8x3\. .*line \d+: ValueError: too small"):
        _build(net)


def test_the_image_size_is_that_of_the_function() -> None:
    def net(images: Any, num_classes: int) -> Any:
        return classic(images, num_classes)

    assert record_of_function(net, "mine").default_image_size == 224
    assert record_of_function(net, "mine", image_size=48).default_image_size == 48
    net.default_image_size = 96  # type: ignore[attr-defined]
    assert record_of_function(net, "mine", image_size=48).default_image_size == 96
    net.default_image_size = (64, 64)  # type: ignore[attr-defined]
    assert record_of_function(net, "mine").default_image_size == 64
    net.default_image_size = (64, 32)  # type: ignore[attr-defined]
    with pytest.raises(UsageError, match=r"mine\.default_image_size must be .* square images, not \(64, 32\)"):
        record_of_function(net, "mine")


def _scope(name: str) -> Callable[..., Any]:
    def arg_scope(weight_decay: float = 0.1) -> Any:
        raise AssertionError(name)

    arg_scope.__name__ = name
    return arg_scope


@pytest.mark.parametrize(
    ("scopes", "found"),
    [
        (["mine_v1_50_arg_scope", "mine_arg_scope"], "mine_v1_50_arg_scope"),
        (["mine_arg_scope", "mine_v1_arg_scope", "other_arg_scope"], "mine_v1_arg_scope"),
        (["training_scope"], "training_scope"),
        (["other_arg_scope"], "other_arg_scope"),
        ([], None),
    ],
)
def test_an_arg_scope_is_paired_by_its_name(scopes: list[str], found: str | None) -> None:
    module = {name: _scope(name) for name in scopes} | {"arg_scope": slim.arg_scope}
    paired = find_arg_scope(module, "mine_v1_50")
    assert (paired and paired.__name__) == found


def test_a_helper_of_arg_scopes_is_none() -> None:
    def safe_arg_scope(funcs: Any, **kwargs: Any) -> Any:
        return slim.arg_scope(funcs, **kwargs)

    training_scope = _scope("training_scope")
    assert find_arg_scope({"safe_arg_scope": safe_arg_scope, "training_scope": training_scope}, "a") is training_scope
    assert find_arg_scope({"safe_arg_scope": safe_arg_scope}, "safe") is None


def test_an_arg_scope_that_is_not_clear_must_be_named() -> None:
    module = {name: _scope(name) for name in ("a_arg_scope", "b_arg_scope")}
    with pytest.raises(UsageError, match="name it with --arg_scope, one of a_arg_scope, b_arg_scope, or none"):
        find_arg_scope(module, "mine")
    assert find_arg_scope(module, "mine", "b_arg_scope") is module["b_arg_scope"]
    assert find_arg_scope(module, "mine", "none") is None
    with pytest.raises(UsageError, match="Unknown --arg_scope 'c'"):
        find_arg_scope(module, "mine", "c")


def test_an_arg_scope_gets_the_decays_that_it_has_names_for() -> None:
    seen = {}

    def arg_scope(is_training: bool, weight_decay: float = 1.0, bn_decay: float = 0.5, unused: int = 1) -> Any:
        seen.update(weight_decay=weight_decay, bn_decay=bn_decay)
        with slim.arg_scope([slim.conv2d], stride=2) as scope:
            return scope

    record = record_of_function(classic, "mine", arg_scope)
    record.arg_scope(0.25, None)
    assert seen == {"weight_decay": 0.25, "bn_decay": 0.5}
    record.arg_scope(0.25, 0.75)
    assert seen["bn_decay"] == 0.75


def test_what_is_no_arg_scope_is_refused() -> None:
    with pytest.raises(UsageError, match="arg scope of mine must be .*, not NoneType"):
        record_of_function(classic, "mine", lambda: None).arg_scope(0.1, None)


def test_nets_of_a_module_are_told_from_its_helpers() -> None:
    module = {"classic": classic, "_hidden": classic, "classic_base": classic, "record": NetRecord("a", classic)}
    assert nets_in({**module, "helper": lambda width: width, "tf": tf}) == ["classic", "record"]


def test_a_net_may_be_a_partial_function() -> None:
    narrow = functools.update_wrapper(functools.partial(classic, scope="Narrow"), classic)
    assert nets_in({"classic": classic, "narrow": narrow, "Class": NetRecord}) == ["classic", "narrow"]
    with tf.Graph().as_default():
        network_fn_of(record_of_function(narrow, "narrow"), 7)(tf.zeros([2, 8, 8, 3]))
        assert {variable.op.name.split("/")[0] for variable in tf.global_variables()} == {"Narrow"}


def test_a_registered_function_takes_the_arg_scope_of_its_module() -> None:
    record = as_record(classic, "classic")
    assert record.name == "classic"
    assert record.digest == function_digest(classic)
