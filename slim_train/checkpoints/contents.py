"""The content of a checkpoint without a graph: its variables by kind, their sizes, and values that are not finite."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from datasets.storage import path_of
from slim_train.checkpoints import copies
from slim_train.checkpoints.find import step_of
from slim_train.errors import RunError
from slim_train.tf_compat import tf

# Kinds of variables.
MODEL, AVERAGES, SLOTS, OTHER = "model", "moving averages", "optimizer slots", "other"
KINDS = (MODEL, AVERAGES, SLOTS, OTHER)

# The last part of the name of a moving average.
AVERAGE = "ExponentialMovingAverage"
_READ_ERRORS = (tf.errors.OpError, RuntimeError, ValueError, OSError)


@dataclasses.dataclass(frozen=True)
class StoredVariable:
    """A variable of a checkpoint.

    Attributes:
      name: as TensorFlow saved it.
      shape: () for a scalar.
      dtype: such as float32.
      kind: one of :data:`KINDS`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    kind: str

    @property
    def num_values(self) -> int:
        """How many numbers it holds."""
        return int(np.prod(self.shape, dtype=np.int64))


@dataclasses.dataclass(frozen=True)
class CheckpointContents:
    """What a checkpoint holds.

    Attributes:
      prefix: of its files.
      step: the global step; 0 if it stores none.
      num_bytes: size of its files.
      variables: sorted by name.
    """

    prefix: str
    step: int
    num_bytes: int
    variables: tuple[StoredVariable, ...]

    def of_kind(self, kind: str) -> tuple[StoredVariable, ...]:
        """Return the variables of one kind."""
        return tuple(variable for variable in self.variables if variable.kind == kind)

    def model_shapes(self) -> dict[str, tuple[int, ...]]:
        """Return the shapes of the model variables, by name; of those that are stored as averages only as well."""
        averages = {entry.name.rpartition("/")[0]: entry.shape for entry in self.of_kind(AVERAGES)}
        return averages | {entry.name: entry.shape for entry in self.of_kind(MODEL)}


def read_contents(prefix: str) -> CheckpointContents:
    """Return what the checkpoint ``prefix`` holds, without reading values.

    Raises:
      RunError: it cannot be read.
    """
    try:
        with copies.reader(prefix, with_values=False) as reader:
            shapes, dtypes = reader.get_variable_to_shape_map(), reader.get_variable_to_dtype_map()
        step = step_of(prefix)
    except _READ_ERRORS as error:
        raise RunError(f"Cannot read {prefix}: {_first_line(error)}") from error
    variables = (
        StoredVariable(name, tuple(shapes[name]), dtypes[name].name, _kind(name, shapes)) for name in sorted(shapes)
    )
    return CheckpointContents(prefix, step, sum(file.stat().st_size for file in _files(prefix)), tuple(variables))


def count_not_finite(
    contents: CheckpointContents, on_progress: Callable[[int], None] = lambda done: None
) -> dict[str, int]:
    """Return how many values are NaN or infinite, for each variable that has such values. Reads all of them.

    Args:
      contents: of the checkpoint.
      on_progress: called with the number of variables that are read.

    Raises:
      RunError: the values of a variable cannot be read.
    """
    found = {}
    with copies.reader(contents.prefix) as reader:
        for done, variable in enumerate(contents.variables, 1):
            if tf.as_dtype(variable.dtype).is_floating:
                try:
                    count = int(np.count_nonzero(~np.isfinite(reader.get_tensor(variable.name))))
                except _READ_ERRORS as error:
                    raise RunError(
                        f"Cannot read the values of {variable.name} in {contents.prefix}: {_first_line(error)}"
                    ) from error
                if count:
                    found[variable.name] = count
            on_progress(done)
    return found


def _kind(name: str, shapes: Mapping[str, Any]) -> str:
    base, _, last = name.rpartition("/")
    if last == AVERAGE:
        return AVERAGES
    # Slots are named by their optimizer, below their variable or below its average.
    if base in shapes or base.endswith(f"/{AVERAGE}"):
        return SLOTS
    return MODEL if base else OTHER


def _files(prefix: str) -> list[Path]:
    path = path_of(prefix)
    files = [path] if path.is_file() else []
    return [*files, *path.parent.glob(f"{path.name}.index"), *path.parent.glob(f"{path.name}.data-*")]


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
