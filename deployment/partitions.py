"""Large variables in parts, one on each of several parameter servers.

TensorFlow saves and restores the parts of a variable as slices of one tensor, under the plain name of the whole. A
checkpoint says nothing of the parts: it is restored into any other number of them, and into whole variables. Optimizer
slots and moving averages of parts are parts themselves.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import tensorflow.compat.v1 as tf

from deployment import tf_private


def partition(shape: Sequence[int], num_parts: int) -> list[int]:
    """Into how many parts a variable is cut along each axis: ``num_parts`` along one, 1 along the others.

    The cut is along the axis that gives the most even parts, the first such: a convolution of [7, 7, 512, 4096] in 4
    parts is cut into 4 times 128 input channels, not into 2, 2, 2 and 1 rows. There are fewer parts where no axis is
    that long.
    """
    if not shape:
        return []
    # The share of the whole that the largest part has.
    shares = [-(-length // num_parts) / length for length in shape]
    cut = min(range(len(shape)), key=shares.__getitem__)
    return [min(num_parts, length) if axis == cut else 1 for axis, length in enumerate(shape)]


def partitioning_getter(min_bytes: int, num_parts: int) -> Callable[..., Any]:
    """Getter for ``tf.variable_scope(custom_getter=...)`` that cuts variables of ``min_bytes`` and more into parts.

    ``tf.get_variable`` then returns a ``PartitionedVariable``, which layers use like a variable; in the graph's
    collections are its parts. What is not trained stays whole, for nothing updates the statistics of batch norm in
    parts; so does what is made from a value instead of a shape.
    """

    def partitioner(shape: Any, dtype: Any) -> list[int]:
        return partition(shape.as_list(), num_parts)

    def get(getter: Callable[..., Any], name: str, *args: Any, **kwargs: Any) -> Any:
        shape, dtype = tf.TensorShape(kwargs.get("shape")), tf.as_dtype(kwargs.get("dtype") or tf.float32)
        is_large = shape.is_fully_defined() and shape.num_elements() * dtype.size >= min_bytes
        if is_large and kwargs.get("trainable") is not False and max(partitioner(shape, dtype), default=1) > 1:
            kwargs["partitioner"] = partitioner
            if not kwargs.get("reuse"):
                kwargs["initializer"] = _initial_value(name, kwargs.get("initializer"), shape, dtype)
        return getter(name, *args, **kwargs)

    return get


def is_part(variable: Any) -> bool:
    """Return whether the variable is a part of one, or a slot of such a part."""
    return tf_private.whole_of_part(variable) is not None


def stored_name(variable: Any) -> str:
    """Return the variable's name in a checkpoint. A part has the name of the whole."""
    whole = tf_private.whole_of_part(variable)
    return whole.name if whole else variable.op.name


def stored_shape(variable: Any) -> list[int]:
    """Return the variable's shape in a checkpoint. A part has the shape of the whole."""
    whole = tf_private.whole_of_part(variable)
    return whole.shape if whole else variable.shape.as_list()


def by_stored_name(variables: Iterable[Any]) -> dict[str, list[Any]]:
    """Variables by the name that a checkpoint knows them by, each a list of one, or of its parts in order."""
    named: dict[str, list[Any]] = {}
    for variable in variables:
        named.setdefault(stored_name(variable), []).append(variable)
    return named


def _initial_value(name: str, initializer: Any, shape: Any, dtype: Any) -> Any:
    """Return the value of the whole, which TensorFlow hands out to the parts.

    An initializer that was asked for each part would take the part's fan-in for the whole's, and scale it too high.
    """
    if not callable(initializer):
        return initializer
    if inspect.isclass(initializer):
        initializer = initializer()
    with tf.control_dependencies(None), tf.name_scope(f"{name}/Initializer/"):
        return initializer(shape.as_list(), dtype=dtype)
