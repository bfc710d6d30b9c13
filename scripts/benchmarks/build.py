"""Building a net's training graph: our builders against the same tf_slim layers, called one after the other.

The reference makes every layer of the net by one call with all its arguments spelled out, outside any arg scope, each
on a placeholder. ``ratio``, ours over the reference, is what our builders add: arg scopes, the structure of the net,
and the operations between its layers, which the reference lacks. CPU seconds, the best of the rounds; builds before
the first round warm up.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib
import os
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

_LAYERS = ("conv2d", "separable_conv2d", "fully_connected", "batch_norm", "max_pool2d", "avg_pool2d", "dropout")
_MODULES = ("tf_slim", "tf_slim.layers", "tf_slim.layers.layers")  # where builders find them


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("nets", nargs="*", default=["nasnet_large"], metavar="NET", help="default: nasnet_large")
    parser.add_argument("--rounds", type=int, default=2, help="how many times each graph is built, in turn")


def run(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the ratio of the times that building takes, ours over the reference's, for each net."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from slim_train import tf_compat

    tf_compat.silence_deprecation_noise()
    _seconds(functools.partial(_build, "mobilenet_v1_025"))
    for net in args.nets:
        ours = functools.partial(_build, net)
        with _recorded_calls() as calls:
            _seconds(ours)
        replay = functools.partial(_replay, calls)
        times = [(_seconds(ours), _seconds(replay)) for _ in range(args.rounds)]
        (our_seconds, our_operations), (seconds, operations) = (min(column) for column in zip(*times, strict=True))
        yield {
            "net": net,
            "layers": len(calls),
            "operations": our_operations,
            "reference_operations": operations,
            "seconds": round(our_seconds, 2),
            "reference_seconds": round(seconds, 2),
            "ratio": round(our_seconds / seconds, 3),
        }


class _Call(NamedTuple):
    """One call of a layer.

    Attributes:
      layer: the function.
      shape: of its input.
      scope: the variable scope that it was called in.
      args: what it was given by position, after the input.
      kwargs: what it was given by name, by arg scopes too.
    """

    layer: Callable[..., Any]
    shape: list[int]
    scope: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


@contextlib.contextmanager
def _recorded_calls() -> Iterator[list[_Call]]:
    """The calls of tf_slim's layers while the block runs, but for those that a layer makes itself."""
    calls: list[_Call] = []
    modules = [importlib.import_module(name) for name in _MODULES]
    originals = {name: getattr(modules[0], name) for name in _LAYERS}
    inside: list[str] = []
    for name, layer in originals.items():
        for module in modules:
            setattr(module, name, _recording(layer, calls, inside))
    try:
        yield calls
    finally:
        inside.append("no more calls")  # recorded arguments hold recording functions, such as the normalizer
        for name, layer in originals.items():
            for module in modules:
                setattr(module, name, layer)


def _recording(layer: Callable[..., Any], calls: list[_Call], inside: list[str]) -> Callable[..., Any]:
    from slim_train.tf_compat import slim, tf

    @functools.wraps(layer)
    def recording(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if not inside:
            defaults = slim.current_arg_scope().get(slim.arg_scope_func_key(layer), {})
            scope = tf.get_variable_scope().name
            calls.append(_Call(layer, inputs.shape.as_list(), scope, args, {**defaults, **kwargs}))
        inside.append(layer.__name__)
        try:
            return layer(inputs, *args, **kwargs)
        finally:
            inside.pop()

    return recording


def _build(net: str) -> None:
    from slim_train.nets.factory import get_network_fn, get_record
    from slim_train.tf_compat import tf

    record = get_record(net)
    images = tf.placeholder(tf.float32, [8, record.default_image_size, record.default_image_size, record.channels])
    get_network_fn(net, record.num_classes, weight_decay=4e-5, is_training=True)(images)


def _replay(calls: list[_Call]) -> None:
    from slim_train.tf_compat import tf

    for call in calls:
        with tf.variable_scope(call.scope):
            call.layer(tf.placeholder(tf.float32, call.shape), *call.args, **call.kwargs)


def _seconds(build: Callable[[], None]) -> tuple[float, int]:
    """CPU seconds that building takes in a graph of its own, and the number of operations in that."""
    from slim_train.tf_compat import tf

    with tf.Graph().as_default() as graph:
        began = time.process_time()
        build()
        return time.process_time() - began, len(graph.get_operations())
