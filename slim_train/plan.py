"""What --dry_run prints: every variable with its bytes and device, where its value comes from, and what is trained."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.console import Console
from rich.table import Table

from slim_train.checkpoints import RestorePlan
from slim_train.graph import TrainingGraph
from slim_train.model import ModelSpec
from slim_train.steps import Schedule
from slim_train.tf_compat import tf


def show(
    graph: TrainingGraph,
    restore: RestorePlan | None,
    resumed: str | None,
    model: ModelSpec,
    schedule: Schedule,
    console: Console | None = None,
) -> None:
    """Print the plan of a run whose graph is built.

    Args:
      restore: what comes from ``--checkpoint_path``, or None.
      resumed: the training folder's checkpoint that everything comes from, or None.
    """
    console = console or Console(width=None if Console().is_terminal else 160)
    trained = {variable.op.name for variable in graph.trained}
    table = Table("variable", "shape", "bytes", "device", "value from", "trained", box=None, pad_edge=False)
    for variable in graph.model_variables:
        name = variable.op.name
        table.add_row(
            name,
            "x".join(map(str, variable.shape.as_list())) or "scalar",
            f"{num_bytes([variable]):,}",
            variable.device or "default",
            _origin(name, restore, resumed),
            "yes" if name in trained else "",
        )
    console.print(table)
    others = [variable for variable in tf.global_variables() if variable.op.name not in _names(graph.model_variables)]
    console.print(
        f"\n{model.name}: {model.num_classes} classes, {model.image_size}x{model.image_size}x{model.channels} images, "
        f"preprocessing {model.preprocessing}"
    )
    console.print(
        f"{len(graph.model_variables)} variables of the net, {num_bytes(graph.model_variables):,} bytes; "
        f"{len(trained)} trained, {num_bytes(graph.trained):,} bytes; "
        f"{len(others)} of the optimizer, {num_bytes(others):,} bytes"
    )
    if resumed:
        console.print(f"Everything is resumed from {resumed}")
    elif restore:
        console.print(restore.describe())
    else:
        console.print("Nothing is restored: training starts from initial values")
    console.print(schedule.describe())


def num_bytes(variables: Iterable[Any]) -> int:
    """Bytes that the values of ``variables`` take."""
    return sum(variable.shape.num_elements() * variable.dtype.base_dtype.size for variable in variables)


def _origin(name: str, restore: RestorePlan | None, resumed: str | None) -> str:
    if resumed:
        return "training folder"
    if restore is None:
        return "initial value"
    if name in restore.restored:
        return "checkpoint"
    return "initial value (excluded)" if name in restore.excluded else "initial value (missing)"


def _names(variables: Iterable[Any]) -> set[str]:
    return {variable.op.name for variable in variables}
