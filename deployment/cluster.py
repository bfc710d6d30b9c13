"""TF_CONFIG read: which task of which cluster this process is. No TensorFlow.

``TF_CONFIG`` is a JSON object in an environment variable, written by Kubeflow's TFJob, by cloud training services or by
hand::

    {"cluster": {"chief": ["a:2222"], "ps": ["b:2222"], "worker": ["c:2222", "d:2222"]},
     "task": {"type": "worker", "index": 1}}

The tasks that train form TensorFlow's job ``worker``: first the chief (``chief`` or ``master``), if there is one,
then the workers. Without a chief worker 0 leads. An ``evaluator`` stands outside the cluster. Keys that are not needed
here (``environment``, ``job``, ``trial``) are ignored.
"""

from __future__ import annotations

import dataclasses
import difflib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

_CHIEF_TYPES = ("chief", "master")
_TRAINING_TYPES = (*_CHIEF_TYPES, "worker")
_TYPES = (*_TRAINING_TYPES, "ps", "evaluator")
_NUMBERED_TYPES = ("worker", "ps")

# A host name, an IPv4 address or a bracketed IPv6 address, and a port. The name need not resolve yet.
_ADDRESS = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.%]+\]):(\d{1,5})")


class ClusterError(ValueError):
    """TF_CONFIG is malformed; the message names the part."""


@dataclasses.dataclass(frozen=True)
class Task:
    """One process of a cluster.

    Attributes:
      type: chief, master, worker, ps or evaluator.
      index: its number among those of its type.
      job: its TensorFlow job, ``worker`` or ``ps``; None for an evaluator, which has none.
      number: its task number in that job.
      address: host:port; None if nobody connects to it.
    """

    type: str
    index: int
    job: str | None
    number: int
    address: str | None

    @property
    def name(self) -> str:
        """Its name for people: ``chief``, ``worker 1``."""
        return f"{self.type} {self.index}" if self.type in _NUMBERED_TYPES else self.type

    @property
    def device(self) -> str:
        """TensorFlow's name of it, ``/job:worker/task:2``; "" for an evaluator."""
        return f"/job:{self.job}/task:{self.number}" if self.job else ""


@dataclasses.dataclass(frozen=True)
class ClusterConfig:
    """A cluster as one of its tasks sees it.

    Attributes:
      own: the task that this process is.
      tasks: all tasks that it knows, itself included.
      is_complete: whether these are all there are. In a sparse cluster tasks may know only the parameter servers and
        themselves.
    """

    own: Task
    tasks: tuple[Task, ...]
    is_complete: bool = True

    @property
    def role(self) -> Literal["chief", "worker", "ps", "evaluator"]:
        """What this process does. The chief is whichever task leads, so worker 0 if there is no chief by name."""
        if self.own.job == "worker":
            return "chief" if self.own.number == 0 else "worker"
        return "evaluator" if self.own.job is None else "ps"

    @property
    def strategy(self) -> Literal["local", "parameter_servers", "all_reduce"]:
        """How the training tasks share variables: one alone needs no sharing."""
        if self.num_ps_tasks:
            return "parameter_servers"
        return "all_reduce" if self.num_replicas > 1 else "local"

    @property
    def training_tasks(self) -> tuple[Task, ...]:
        """The tasks that train, the chief among them."""
        return tuple(task for task in self.tasks if task.job == "worker")

    @property
    def other_training_tasks(self) -> tuple[Task, ...]:
        """The tasks that train, without this one."""
        return tuple(task for task in self.training_tasks if task != self.own)

    @property
    def num_ps_tasks(self) -> int:
        """Parameter servers; in a sparse cluster those up to the highest one known."""
        return self._size("ps")

    @property
    def num_replicas(self) -> int:
        """Tasks that train; in a sparse cluster those up to the highest one known."""
        return self._size("worker")

    def jobs(self) -> dict[str, dict[int, str]]:
        """Job name -> task number -> address, for ``tf.train.ClusterSpec``."""
        jobs: dict[str, dict[int, str]] = {}
        for task in self.tasks:
            if task.job and task.address:
                jobs.setdefault(task.job, {})[task.number] = task.address
        return jobs

    def describe(self) -> str:
        """Return a table for the log: how training runs, then a line per task, this one marked."""
        title = {
            "local": "Training in one process",
            "parameter_servers": "Training with parameter servers",
            "all_reduce": "Training with all-reduce",
        }[self.strategy]
        if not self.is_complete:
            title += ", in a sparse cluster, which may have more tasks than these"
        rows = [(task.name, task.device or "outside the cluster", task.address or "no address") for task in self.tasks]
        name_width, device_width, address_width = (max(map(len, column)) for column in zip(*rows, strict=True))
        lines = [
            f"  {name:{name_width}}  {device:{device_width}}  {address:{address_width}}"
            f"{'  <- this task' if task == self.own else ''}".rstrip()
            for task, (name, device, address) in zip(self.tasks, rows, strict=True)
        ]
        return "\n".join([f"{title}:", *lines])

    def _size(self, job: str) -> int:
        return max((task.number + 1 for task in self.tasks if task.job == job), default=0)


def parse_tf_config(text: str | None) -> ClusterConfig:
    """Read the value of the environment variable TF_CONFIG.

    None, an empty text and a TF_CONFIG without a cluster (as training services write for a job of one process) mean a
    single local task.

    Raises:
      ClusterError: something is malformed or contradicts itself.
    """
    config = _json_object(text)
    cluster, is_sparse = _addresses_by_type(config)
    own_type, own_index = _own_type_and_index(config, has_cluster=bool(cluster))
    if is_sparse and own_type == "ps" and len(cluster.get("ps", ())) == 1:
        # Kubeflow tells a parameter server of a sparse cluster its own address and no other, in a list of one.
        [address] = cluster["ps"].values()
        cluster["ps"] = {own_index: address}
    is_complete = not is_sparse and not any(map(_has_gaps, cluster.values()))
    _check_cluster(cluster, own_type, is_complete)
    tasks = tuple(_tasks(cluster))
    own = next((task for task in tasks if (task.type, task.index) == (own_type, own_index)), None)
    if own is None:
        own = _unlisted_task(cluster, own_type, own_index)
        tasks = (*tasks, own)
    return ClusterConfig(own, tasks, is_complete)


def _json_object(text: str | None) -> dict[str, Any]:
    if not text or not text.strip():
        return {}
    try:
        config = json.loads(text)
    except json.JSONDecodeError as error:
        near = text[max(0, error.pos - 20) : error.pos + 20]
        raise ClusterError(f"TF_CONFIG is not JSON: {error.msg} at character {error.pos}, near {near!r}") from error
    return _object(config, "TF_CONFIG")


def _addresses_by_type(config: Mapping[str, Any]) -> tuple[dict[str, dict[int, str]], bool]:
    """Type -> index -> address, and whether Kubeflow's sparse form gave it."""
    dense, sparse = (_object(config.get(key), f"TF_CONFIG {key}") for key in ("cluster", "sparseCluster"))
    if dense and sparse:
        raise ClusterError("TF_CONFIG has both cluster and sparseCluster: keep one")
    key = "sparseCluster" if sparse else "cluster"
    cluster: dict[str, dict[int, str]] = {}
    for name, addresses in (sparse or dense).items():
        task_type = _task_type(name, key)
        if task_type in cluster:
            raise ClusterError(f"TF_CONFIG {key} names {task_type} twice")
        cluster[task_type] = dict(_indexed_addresses(addresses, f"{key}.{name}"))
    return {task_type: addresses for task_type, addresses in cluster.items() if addresses}, bool(sparse)


def _indexed_addresses(addresses: Any, part: str) -> Iterator[tuple[int, str]]:
    """(index, address) from a list, or from an object whose keys are indexes."""
    if isinstance(addresses, Mapping):
        items = [(_index(index, f"{part} key"), address) for index, address in addresses.items()]
    elif isinstance(addresses, list):
        items = list(enumerate(addresses))
    elif addresses is None:
        items = []
    else:
        raise ClusterError(f"TF_CONFIG {part} must be a list of addresses or an object of them, got {addresses!r}")
    for index, address in items:
        match = _ADDRESS.fullmatch(address) if isinstance(address, str) else None
        if match is None or not 0 < int(match[1]) < 65536:
            raise ClusterError(f"TF_CONFIG {part}[{index}] must be host:port, got {address!r}")
        yield index, address


def _own_type_and_index(config: Mapping[str, Any], has_cluster: bool) -> tuple[str, int]:
    task = _object(config.get("task"), "TF_CONFIG task")
    if not task and not has_cluster:
        return "worker", 0
    for key in ("type", "index"):
        if task.get(key) is None:
            raise ClusterError(f"TF_CONFIG task.{key} is missing: this process cannot tell which task it is")
    return _task_type(task["type"], "task.type"), _index(task["index"], "task.index")


def _check_cluster(cluster: Mapping[str, Mapping[int, str]], own_type: str, is_complete: bool) -> None:
    if all(task_type in cluster for task_type in _CHIEF_TYPES):
        raise ClusterError("TF_CONFIG cluster has both chief and master, two names of one task: keep one")
    for task_type in (*_CHIEF_TYPES, "evaluator"):
        if len(cluster.get(task_type, ())) > 1:
            raise ClusterError(f"TF_CONFIG cluster.{task_type} must hold one address, got {len(cluster[task_type])}")
    names: dict[str, str] = {}
    for task_type, addresses in cluster.items():
        for index, address in addresses.items():
            name = f"{task_type}[{index}]"
            if names.setdefault(address.lower(), name) != name:
                raise ClusterError(f"TF_CONFIG cluster: {names[address.lower()]} and {name} share address {address}")
    if is_complete and cluster and not any(task_type in cluster for task_type in _TRAINING_TYPES):
        raise ClusterError(f"TF_CONFIG cluster has {', '.join(cluster)}, but no task that trains: no chief, no worker")
    servers = cluster.get("ps", {})
    if not is_complete and own_type in _TRAINING_TYPES and (not servers or _has_gaps(servers)):
        raise ClusterError(
            "TF_CONFIG: workers of a sparse cluster do not know each other and meet at the parameter servers, which "
            f"ps must list from 0 without gaps, got {sorted(servers)}"
        )


def _has_gaps(addresses: Mapping[int, str]) -> bool:
    return set(addresses) != set(range(len(addresses)))


def _tasks(cluster: Mapping[str, Mapping[int, str]]) -> Iterator[Task]:
    """Yield the tasks in the order of the table: those that train by number, parameter servers, the evaluator."""
    has_chief = any(task_type in cluster for task_type in _CHIEF_TYPES)
    for task_type in _TYPES:
        for index, address in sorted(cluster.get(task_type, {}).items()):
            if task_type == "evaluator":
                yield Task(task_type, index, None, index, address)
            elif task_type == "ps":
                yield Task(task_type, index, "ps", index, address)
            else:
                number = index + 1 if task_type == "worker" and has_chief else index
                yield Task(task_type, index, "worker", number, address)


def _unlisted_task(cluster: Mapping[str, Mapping[int, str]], own_type: str, own_index: int) -> Task:
    """Return an evaluator, which nobody need list, or the only task if there is no cluster."""
    if own_type == "evaluator" and "evaluator" not in cluster and own_index == 0:
        return Task(own_type, own_index, None, own_index, None)
    if not cluster and own_type in _TRAINING_TYPES and own_index == 0:
        return Task(own_type, own_index, "worker", own_index, None)
    known = ", ".join(f"{own_type} {index}" for index in sorted(cluster.get(own_type, ()))) or f"no {own_type}"
    raise ClusterError(f"TF_CONFIG task is {own_type} {own_index}, but the cluster has {known}")


def _object(value: Any, part: str) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ClusterError(f"{part} must be an object, got {value!r}")
    return value


def _task_type(name: Any, part: str) -> str:
    task_type = name.lower() if isinstance(name, str) else None
    if task_type not in _TYPES:
        near = difflib.get_close_matches(str(task_type), _TYPES, n=1)
        guess = f" Did you mean {near[0]}?" if near else ""
        raise ClusterError(f"TF_CONFIG {part}: unknown type {name!r}.{guess} Valid: {', '.join(_TYPES)}")
    return task_type


def _index(value: Any, part: str) -> int:
    """Return a whole number from 0, or its digits."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise ClusterError(f"TF_CONFIG {part} must be a whole number from 0, got {value!r}")
