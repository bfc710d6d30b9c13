"""Run a command as one task of a cluster that Slurm has started: TF_CONFIG from Slurm's variables. No TensorFlow.

    srun --distribution=block python -m deployment.slurm.tf_config --num_ps=1 -- train_image_classifier ...

The last tasks are the parameter servers, the others workers, so task 0 leads whatever their number. A task's port is
the base port + its number on its node.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping

from deployment.threads import thread_environment

# Below the ports that Linux gives to outgoing connections, from 32768 on.
_FIRST_PORT, _PORTS_PER_JOB, _NUM_PORT_BLOCKS = 20000, 64, 190


class SlurmError(ValueError):
    """Slurm's variables are missing, malformed or do not fit together; the message names them."""


def tf_config(environment: Mapping[str, str], num_ps: int, base_port: int | None = None) -> str:
    """TF_CONFIG of this task, from the environment that srun gives it.

    ``base_port`` None: one that follows from the job's number, so that jobs that share a node rarely meet.

    Raises:
      SlurmError: this is no task of srun, no task is left to train, or tasks are not laid out node by node.
    """
    hosts = _hosts_of_tasks(environment)
    rank = _number(environment, "SLURM_PROCID")
    local_ids = [hosts[:index].count(host) for index, host in enumerate(hosts)]
    if local_ids[rank] != _number(environment, "SLURM_LOCALID"):
        raise SlurmError(
            f"Task {rank} is number {environment['SLURM_LOCALID']} on its node, not {local_ids[rank]}: give srun "
            "--distribution=block, so that every task knows where the others are."
        )
    num_workers = len(hosts) - num_ps
    if num_workers < 1:
        raise SlurmError(f"--num_ps={num_ps} leaves none of {len(hosts)} tasks to train: start more (--ntasks).")
    if base_port is None:
        base_port = _FIRST_PORT + _PORTS_PER_JOB * (_number(environment, "SLURM_JOB_ID") % _NUM_PORT_BLOCKS)
    addresses = [f"{host}:{base_port + local_id}" for host, local_id in zip(hosts, local_ids, strict=True)]
    cluster = {"worker": addresses[:num_workers], "ps": addresses[num_workers:]}
    task = {"type": "worker", "index": rank} if rank < num_workers else {"type": "ps", "index": rank - num_workers}
    return json.dumps({"cluster": cluster, "task": task})


def expand_hosts(node_list: str) -> list[str]:
    """Return the names in Slurm's short form: ``a[1-2,07],b`` stands for a1, a2, a07 and b.

    Raises:
      SlurmError: it is malformed.
    """
    # Commas between brackets separate numbers, the others names.
    parts = re.findall(r"(?:[^,\[\]]|\[[^\[\]]*\])+", node_list)
    if ",".join(parts) != node_list:
        raise SlurmError(f"The node list {node_list!r} is malformed.")
    return [name for part in parts for name in _expand(part)]


def _expand(part: str) -> Iterator[str]:
    head, bracket, rest = part.partition("[")
    if not bracket:
        yield part
        return
    numbers, _, tail = rest.partition("]")
    for number, end in itertools.product(_numbers(numbers), list(_expand(tail))):
        yield f"{head}{number}{end}"


def _numbers(ranges: str) -> Iterator[str]:
    """``08-10,12`` -> 08, 09, 10, 12."""
    for item in ranges.split(","):
        first, dash, last = item.partition("-")
        last = last if dash else first
        if not (first.isdecimal() and last.isdecimal()):
            raise SlurmError(f"{item!r} in the node list is no number and no range of numbers.")
        for number in range(int(first), int(last) + 1):
            yield f"{number:0{len(first)}}"


def _hosts_of_tasks(environment: Mapping[str, str]) -> list[str]:
    """Return the host of every task, in the order of their numbers, as block distribution lays them out."""
    hosts = _show_hostnames(_variable(environment, "SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"))
    layout = _variable(environment, "SLURM_STEP_TASKS_PER_NODE", "SLURM_TASKS_PER_NODE")
    counts: list[int] = []
    for item in layout.split(","):  # 2(x3),1: three nodes with two tasks, one with one
        match = re.fullmatch(r"(\d+)(?:\(x(\d+)\))?", item)
        if match is None:
            raise SlurmError(f"The number of tasks per node, {layout!r}, is malformed.")
        counts += [int(match[1])] * int(match[2] or 1)
    num_tasks = _number(environment, "SLURM_NTASKS")
    if len(counts) != len(hosts) or sum(counts) != num_tasks:
        raise SlurmError(f"{num_tasks} tasks, {layout} per node, do not fit the nodes {','.join(hosts)}.")
    return [host for host, count in zip(hosts, counts, strict=True) for _ in range(count)]


def _show_hostnames(node_list: str) -> list[str]:
    """Return the names in a node list, from Slurm itself where its tools are on the path."""
    if shutil.which("scontrol") is None:
        return expand_hosts(node_list)
    command = ["scontrol", "show", "hostnames", node_list]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise SlurmError(f"{' '.join(command)} failed: {' '.join(result.stderr.split())}")
    return result.stdout.split()


def _variable(environment: Mapping[str, str], *names: str) -> str:
    for name in names:
        if environment.get(name):
            return environment[name]
    raise SlurmError(f"{names[0]} is not set: this must be run by srun, in a Slurm job.")


def _number(environment: Mapping[str, str], name: str) -> int:
    text = _variable(environment, name)
    if not text.isdecimal():
        raise SlurmError(f"{name}={text} is no number.")
    return int(text)


def main() -> int:
    """Become the command, with TF_CONFIG and the number of threads in its environment."""
    parser = argparse.ArgumentParser(prog="python -m deployment.slurm.tf_config", description=__doc__.split("\n")[0])
    parser.add_argument("--num_ps", type=int, default=0, help="number of parameter servers, the last tasks")
    parser.add_argument("--base_port", type=int, help="port of the first task on a node; default: by the job's number")
    parser.add_argument("command", nargs="+", help="the command to run, after --")
    arguments = parser.parse_args()
    try:
        os.environ["TF_CONFIG"] = tf_config(os.environ, arguments.num_ps, arguments.base_port)
        if json.loads(os.environ["TF_CONFIG"])["task"]["type"] == "ps":
            # Slurm signals all tasks at once, but the checkpoint that the chief then saves comes from here. What is
            # ignored stays so in the command; it ends by itself, after the others.
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if os.environ.get("SLURM_CPUS_PER_TASK"):
            os.environ.update(thread_environment(_number(os.environ, "SLURM_CPUS_PER_TASK")))
        os.execvp(arguments.command[0], arguments.command)
    except SlurmError as error:
        parser.error(str(error))
    except OSError as error:
        parser.error(f"cannot run {arguments.command[0]}: {error.strerror}")


if __name__ == "__main__":
    sys.exit(main())
