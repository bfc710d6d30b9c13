"""Every use of a private name of TensorFlow: nowhere else.

Each function says which releases it was tried on. "2.16 to 2.23" means 2.16.2, 2.21.0, 2.22.0rc0 and the nightly build
2.23.0.dev20261026.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import tensorflow.compat.v1 as tf

log = logging.getLogger(__name__)

_REWIRING = ("_update_input", "_set_device", "_remove_all_control_inputs", "_add_control_inputs")


def can_rewire() -> bool:
    """Return whether this TensorFlow can change the inputs and the device of an operation that exists.

    Tried on TensorFlow 2.16 to 2.23, which all can. What only saves time asks first, and does nothing if it cannot.
    """
    missing = [name for name in _REWIRING if not hasattr(tf.Operation, name)]
    if missing:
        log.info("TensorFlow %s has no Operation.%s: the graph stays as it is.", tf.__version__, missing[0])
    return not missing


def replace_input(op: Any, index: int, tensor: Any) -> None:
    """Make ``tensor`` input number ``index`` of ``op``. Tried on TensorFlow 2.16 to 2.23.

    Raises:
      AttributeError: this TensorFlow cannot (see :func:`can_rewire`).
    """
    op._update_input(index, tensor)


def move(op: Any, device: str) -> None:
    """Place ``op``, which exists, on ``device``. Tried on TensorFlow 2.16 to 2.23.

    Raises:
      AttributeError: this TensorFlow cannot (see :func:`can_rewire`).
    """
    op._set_device(device)


def replace_control_inputs(op: Any, control_inputs: Sequence[Any]) -> None:
    """Let ``op`` wait for these operations and no others. Tried on TensorFlow 2.16 to 2.23.

    Raises:
      AttributeError: this TensorFlow cannot (see :func:`can_rewire`).
    """
    op._remove_all_control_inputs()
    op._add_control_inputs(control_inputs)


def let_hooks_read_step(step: Any) -> None:
    """Let hooks of TensorFlow fetch ``step``, a tensor of the global step, and not read the variable once more.

    They ask first whether the variable is initialized, which is four messages to a parameter server and back. Tried on
    TensorFlow 2.16 to 2.21. Where it looks elsewhere, hooks read the variable as usual.
    """
    tf.add_to_collection("global_step_read_op_cache", step)


def close_event_writer(folder: str) -> None:
    """Close the event file of this process in ``folder``, and forget its writer. Tried on TensorFlow 2.16 to 2.21.

    Where TensorFlow lacks the name, the writer stays open.
    """
    cache = tf.summary.FileWriterCache
    writers, lock = getattr(cache, "_cache", None), getattr(cache, "_lock", None)
    if writers is None or lock is None:
        return
    with lock:
        writer = writers.pop(folder, None)
    if writer is not None:
        writer.close()


class Whole(NamedTuple):
    """The variable that a part belongs to, as checkpoints store it."""

    name: str
    shape: list[int]


def whole_of_part(variable: Any) -> Whole | None:
    """Return the whole that ``variable`` is a part of; None if it is no part. Tried on TensorFlow 2.16 to 2.23."""
    part = variable._get_save_slice_info()
    return Whole(part.full_name, list(part.full_shape)) if part else None


@contextlib.contextmanager
def uncached(variables: Iterable[Any]) -> Iterator[None]:
    """Let operations built in the block read ``variables`` themselves, not the copies on their caching device.

    Needed if TensorFlow reads a variable by converting it to a tensor, which takes the copy. Tried on TensorFlow 2.16
    to 2.23.
    """
    copies = [(variable, variable._cached_value) for variable in variables]
    try:
        for variable, _ in copies:
            variable._cached_value = None
        yield
    finally:
        for variable, copy in copies:
            variable._cached_value = copy
