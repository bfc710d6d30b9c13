"""What --dry_run prints: every variable with its bytes and device, where its value comes from, and what is trained.

With parameter servers also what each of them holds.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from deployment import partitions
from deployment.devices import DeploymentConfig
from slim_train.checkpoints.restore import RestorePlan
from slim_train.model.spec import ModelSpec
from slim_train.optim.schedule import Schedule
from slim_train.tf_compat import tf
from slim_train.training.feature_cache import FeatureCache
from slim_train.training.graph import TrainingGraph


def show(
    graph: TrainingGraph,
    restore: RestorePlan | None,
    resumed: str | None,
    model: ModelSpec,
    schedule: Schedule,
    deployment: DeploymentConfig,
    console: Console | None = None,
    cache: FeatureCache | None = None,
) -> None:
    """Print the plan of a run whose graph is built.

    Args:
      restore: what comes from ``--checkpoint_path``, or None.
      resumed: the training folder's checkpoint that everything comes from, or None.
      cache: the features that the head is trained on, or None.
    """
    console = console or Console(width=None if Console().is_terminal else 160)
    trained = {variable.op.name for variable in graph.trained}
    table = Table("variable", "shape", "bytes", "device", "value from", "trained", box=None, pad_edge=False)
    by_name = partitions.by_stored_name(graph.model_variables)
    for name, parts in by_name.items():
        for number, variable in enumerate(parts, start=1):
            table.add_row(
                name if len(parts) == 1 else f"{name}, part {number} of {len(parts)}",
                "x".join(map(str, variable.shape.as_list())) or "scalar",
                f"{num_bytes([variable]):,}",
                variable.device or "default",
                _origin(name, restore, resumed),
                "yes" if variable.op.name in trained else "",
            )
    console.print(table)
    model_names = {variable.op.name for variable in graph.model_variables}
    others = [variable for variable in tf.global_variables() if variable.op.name not in model_names]
    if deployment.num_ps_tasks:
        console.print("", _servers_table(server_loads(deployment.ps_devices, graph.model_variables, others)))
    console.print(
        f"\n{model.name}: {model.num_classes} classes, {model.image_size}x{model.image_size}x{model.channels} images, "
        f"preprocessing {model.preprocessing}"
    )
    console.print(
        f"{len(by_name)} variables of the net, {num_bytes(graph.model_variables):,} bytes; "
        f"{len(partitions.by_stored_name(graph.trained))} trained, {num_bytes(graph.trained):,} bytes; "
        f"{len(partitions.by_stored_name(others))} of the optimizer, {num_bytes(others):,} bytes"
    )
    if resumed:
        console.print(f"Everything is resumed from {resumed}")
    elif restore:
        console.print(restore.describe())
    else:
        console.print("Nothing is restored: training starts from initial values")
    if cache:
        console.print(f"Trained on cached features, computed unless they are there: {cache.describe()}")
    console.print(schedule.describe())


@dataclasses.dataclass(frozen=True)
class ServerLoad:
    """What a parameter server holds.

    Attributes:
      device: the server's.
      num_whole: variables of the net that it holds alone.
      num_parts: parts of others.
      variable_bytes: their bytes together.
      optimizer_bytes: those of slots, moving averages and the global step.
    """

    device: str
    num_whole: int
    num_parts: int
    variable_bytes: int
    optimizer_bytes: int

    @property
    def bytes(self) -> int:
        """All bytes of variables on the server."""
        return self.variable_bytes + self.optimizer_bytes


def server_loads(devices: Sequence[str], of_net: Sequence[Any], others: Sequence[Any]) -> list[ServerLoad]:
    """Return what each of the servers at ``devices`` holds of the net's variables and of the others."""
    loads = []
    for device in devices:
        variables = [variable for variable in of_net if variable.device == device]
        num_parts = sum(map(partitions.is_part, variables))
        loads.append(
            ServerLoad(
                device,
                len(variables) - num_parts,
                num_parts,
                num_bytes(variables),
                num_bytes(variable for variable in others if variable.device == device),
            )
        )
    return loads


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


def _servers_table(loads: Sequence[ServerLoad]) -> Table:
    mean = sum(load.bytes for load in loads) / len(loads)
    table = Table("parameter server", box=None, pad_edge=False)
    for heading in ("variables", "parts", "bytes", "optimizer's bytes", "of the mean"):
        table.add_column(heading, justify="right")
    for load in loads:
        table.add_row(
            load.device,
            str(load.num_whole),
            str(load.num_parts),
            f"{load.variable_bytes:,}",
            f"{load.optimizer_bytes:,}",
            f"{load.bytes / mean:.2f}",
        )
    return table
