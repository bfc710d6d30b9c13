"""Which device holds what: clones, variables, inputs and sums, as device strings."""

from __future__ import annotations

import dataclasses
import logging
import weakref
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import tensorflow.compat.v1 as tf

from deployment.partitions import partitioning_getter

log = logging.getLogger(__name__)

# What `tf.device` takes: a device string, or a function from an operation to one.
Device = str | Callable[[Any], str]

WIRE_DTYPES = ("fp32", "bf16")
_VARIABLE_OPS = frozenset({"VarHandleOp", "VariableV2", "Variable"})


def is_variable_op(op: Any) -> bool:
    """Return whether the operation is the one that owns a variable's memory, resource or reference."""
    return op.type in _VARIABLE_OPS


def variable_bytes(op: Any) -> int:
    """Bytes of the variable that ``op`` owns; 0 where its shape is not fully known."""
    shape = tf.TensorShape(op.get_attr("shape"))
    return (shape.num_elements() or 0) * tf.as_dtype(op.get_attr("dtype")).size


class BalancedPlacement:
    """Device function that puts each new variable on the parameter server that holds the fewest bytes so far.

    Every worker of a cluster builds the same variables in the same order, and so finds the same places. Bytes are
    counted per graph. Optimizer slots, made outside of this device's scope, do not count: TensorFlow colocates them
    with their variable, which keeps the balance.

    Args:
      servers: device string of each parameter server.
      other_device: where operations go that own no variable and have no device yet.
    """

    def __init__(self, servers: Sequence[str], other_device: str) -> None:
        self._servers = tuple(servers)
        self._other_device = other_device
        self._loads: weakref.WeakKeyDictionary[Any, list[int]] = weakref.WeakKeyDictionary()

    def loads(self, graph: Any) -> list[int]:
        """Bytes of variables placed on each server in ``graph``."""
        return self._loads.setdefault(graph, [0] * len(self._servers))

    def __call__(self, op: Any) -> str:
        if not is_variable_op(op):
            return op.device or self._other_device
        loads = self.loads(op.graph)
        server = min(range(len(loads)), key=loads.__getitem__)
        loads[server] += variable_bytes(op)
        return self._servers[server]


@dataclasses.dataclass(frozen=True)
class DeploymentConfig:
    """How a model is spread over clones of this process, replicas and parameter servers.

    The methods give device strings from these numbers alone, whatever hardware is present; :meth:`for_this_machine`
    adapts the numbers to it.

    Attributes:
      num_clones: copies of the model in this process, one per GPU.
      clone_on_cpu: put the clones on the CPU.
      replica_id: number of this process among the replicas, which is its task number; 0 is the chief.
      num_replicas: processes that train. Several without parameter servers means all-reduce: each holds all variables.
      num_ps_tasks: parameter servers; 0 keeps the variables in this process.
      worker_job_name: TensorFlow job of the replicas. Device strings name it only if there is a cluster.
      ps_job_name: TensorFlow job of the parameter servers.
      num_cpu_devices: logical CPU devices of this process (``ConfigProto.device_count``, see :func:`session_config`).
        Clones on the CPU take them in turn: with more than one, CPUs stand for GPUs.
      partition_min_bytes: trained variables of this size and larger are split into parts, one for each parameter
        server; 0 leaves all whole.
      wire_dtype: in which large variables and gradients cross between replicas and parameter servers: ``fp32`` or
        ``bf16``.

    Raises:
      ValueError: a value is out of range; the message names it.
    """

    num_clones: int = 1
    clone_on_cpu: bool = False
    replica_id: int = 0
    num_replicas: int = 1
    num_ps_tasks: int = 0
    worker_job_name: str = "worker"
    ps_job_name: str = "ps"
    num_cpu_devices: int = dataclasses.field(default=1, kw_only=True)
    partition_min_bytes: int = dataclasses.field(default=0, kw_only=True)
    wire_dtype: str = dataclasses.field(default="fp32", kw_only=True)

    def __post_init__(self) -> None:
        at_least_1 = ("num_clones", "num_replicas", "num_cpu_devices")
        for name in (*at_least_1, "replica_id", "num_ps_tasks", "partition_min_bytes"):
            minimum = int(name in at_least_1)
            if getattr(self, name) < minimum:
                raise ValueError(f"{name} must be at least {minimum}, got {getattr(self, name)}")
        if self.wire_dtype not in WIRE_DTYPES:
            raise ValueError(f"wire_dtype must be one of {', '.join(WIRE_DTYPES)}, got {self.wire_dtype!r}")
        if self.replica_id >= self.num_replicas:
            raise ValueError(f"replica_id must be below num_replicas ({self.num_replicas}), got {self.replica_id}")
        for name in ("worker_job_name", "ps_job_name"):
            if not getattr(self, name):
                raise ValueError(f"{name} must not be empty, got {getattr(self, name)!r}")
        if self.worker_job_name == self.ps_job_name:
            raise ValueError(f"ps_job_name must differ from worker_job_name, both are {self.ps_job_name!r}")

    @property
    def is_distributed(self) -> bool:
        """Whether this process is a task of a cluster, so that device strings name job and task."""
        return self.num_ps_tasks > 0 or self.num_replicas > 1

    @property
    def worker_device(self) -> str:
        """This task, without a device; "" if there is no cluster."""
        return f"/job:{self.worker_job_name}/task:{self.replica_id}" if self.is_distributed else ""

    @property
    def ps_devices(self) -> list[str]:
        """The device of each parameter server that holds its variables."""
        return [f"{self.ps_device}/task:{task}/device:CPU:0" for task in range(self.num_ps_tasks)]

    @property
    def ps_device(self) -> str:
        """The job of the parameter servers; "" if there are none."""
        return f"/job:{self.ps_job_name}" if self.num_ps_tasks else ""

    def clone_device(self, clone_index: int) -> str:
        """Return where clone ``clone_index`` computes. ValueError if there is no such clone."""
        self._check_clone(clone_index)
        if self.clone_on_cpu:
            return f"{self.worker_device}/device:CPU:{clone_index % self.num_cpu_devices}"
        return f"{self.worker_device}/device:GPU:{clone_index}"

    def clone_scope(self, clone_index: int) -> str:
        """Name scope of clone ``clone_index``: "" for a single clone. ValueError if there is no such clone."""
        self._check_clone(clone_index)
        return f"clone_{clone_index}" if self.num_clones > 1 else ""

    def inputs_device(self) -> str:
        """Return where batches are made: this task's CPU."""
        return f"{self.worker_device}/device:CPU:0"

    def optimizer_device(self) -> str:
        """Where learning rates and sums over clones are computed; updates themselves run beside their variable."""
        return f"{self.worker_device}/device:CPU:0"

    def variables_device(self) -> Device:
        """Return where variables live, for ``tf.device``.

        The parameter servers, the one with the fewest bytes next; without them the GPU of a single clone, or the CPU,
        from which several clones read. The balance covers all variables made with this configuration in one graph.
        """
        if self.num_ps_tasks:
            return self._ps_placement
        if self.num_clones == 1:
            return self.clone_device(0)
        return f"{self.worker_device}/device:CPU:0"

    def variable_getter(self) -> Callable[..., Any] | None:
        """What cuts large variables into parts, for ``tf.variable_scope(custom_getter=...)``; None if none is.

        One variable larger than the others together, such as the first fully connected layer of VGG, would leave a
        parameter server with most of the bytes, and its network connection with most of the work.
        """
        if self.num_ps_tasks < 2 or not self.partition_min_bytes:
            return None
        return partitioning_getter(self.partition_min_bytes, self.num_ps_tasks)

    def caching_device(self) -> str | None:
        """Return where a step keeps its copy of the variables, for ``tf.variable_scope(caching_device=...)``.

        This task's CPU where variables are on parameter servers, so that each crosses the network once a step, however
        many clones, layers and penalties read it. None elsewhere: reading is cheap.
        """
        return self.inputs_device() if self.num_ps_tasks else None

    def for_this_machine(self, num_gpus: int | None = None) -> DeploymentConfig:
        """This deployment with clones on the CPU if there is no GPU, said in one warning.

        Args:
          num_gpus: GPUs that this process may use; None asks TensorFlow.

        Raises:
          ValueError: there are GPUs, but fewer than clones.
        """
        if self.clone_on_cpu:
            return self
        num_gpus = local_gpus() if num_gpus is None else num_gpus
        if num_gpus == 0:
            what = "the model runs" if self.num_clones == 1 else f"all {self.num_clones} clones run"
            log.warning(
                "TensorFlow finds no GPU: %s on the CPU (clone_on_cpu asks for that without this warning).", what
            )
            return dataclasses.replace(self, clone_on_cpu=True)
        if num_gpus < self.num_clones:
            raise ValueError(
                f"num_clones is {self.num_clones}, one clone per GPU, but TensorFlow finds {num_gpus} on this machine; "
                f"set num_clones={num_gpus}, or clone_on_cpu"
            )
        return self

    @cached_property
    def _ps_placement(self) -> BalancedPlacement:
        return BalancedPlacement(self.ps_devices, other_device=self.inputs_device())

    def _check_clone(self, clone_index: int) -> None:
        if not 0 <= clone_index < self.num_clones:
            raise ValueError(f"clone_index must be in [0, num_clones={self.num_clones}), got {clone_index}")


def local_gpus() -> int:
    """Return how many GPUs TensorFlow sees in this process; takes no memory on them."""
    return len(tf.config.list_physical_devices("GPU"))


def local_device_type() -> str:
    """Return where TensorFlow puts what has no device: "GPU" if there is one, else "CPU"."""
    return "GPU" if local_gpus() else "CPU"


def session_config(config: DeploymentConfig, intra_op_threads: int = 0, inter_op_threads: int = 0) -> tf.ConfigProto:
    """Session (or server) options that fit a deployment.

    Operations without a kernel for their device run on the CPU, GPU memory is taken as needed and not all at once, no
    GPU is touched with ``clone_on_cpu``, and there are as many logical CPU devices as the clones expect.

    Args:
      intra_op_threads: threads within one operation; 0 lets TensorFlow use one per core.
      inter_op_threads: operations at the same time; 0 lets TensorFlow use one per core.
    """
    device_count = {"CPU": config.num_cpu_devices}
    if config.clone_on_cpu:
        device_count["GPU"] = 0
    return tf.ConfigProto(
        allow_soft_placement=True,
        device_count=device_count,
        gpu_options=tf.GPUOptions(allow_growth=True),
        intra_op_parallelism_threads=intra_op_threads,
        inter_op_parallelism_threads=inter_op_threads,
    )
