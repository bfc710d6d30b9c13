"""The containers of rendered Jobs as processes on loopback, with the environment that Kubernetes would give them."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from slim_train.cli.render_job import COMMAND

ROOT = Path(__file__).resolve().parents[2]
FLAGS = (
    "--name=fer", "--image=slim", "--data_claim=datasets", "--train_claim=runs", "--num_ps=1", "--num_workers=1",
    "--cpus_per_worker=1", "--cpus_per_ps=1", "--dataset_dir=/data", "--train_dir=/models", "--model_name=lenet",
    "--max_number_of_steps=150", "--startup_delay_steps=0",
)  # fmt: skip


class Pods:
    """The pods of rendered Jobs: hosts for ``make_cluster``, whose names lead to ports of loopback.

    Args:
      jobs: the manifests, by task type.
      environment: of a Job and an index, what Kubernetes gives the container of that pod.
    """

    def __init__(self, jobs, environment):
        self._jobs, self._environment = jobs, environment
        self._sockets, self._addresses = [], {}

    def address(self, task):
        type_, index = task.split()
        self._sockets.append(socket.socket())
        self._sockets[-1].setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._sockets[-1].bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{self._sockets[-1].getsockname()[1]}"
        self._addresses[f"fer-{type_}-{index}.fer:2222"] = address
        return address

    def command(self, task):
        """Return the words that set the environment, before a program."""
        type_, index = task.split()
        environment = self._environment(self._jobs[type_], int(index))
        for name, address in self._addresses.items():
            environment["TF_CONFIG"] = environment["TF_CONFIG"].replace(name, address)
        assert "2222" not in environment["TF_CONFIG"]
        return ["env", *(f"{name}={value}" for name, value in environment.items())]

    def container(self, type_):
        [container] = self._jobs[type_]["spec"]["template"]["spec"]["containers"]
        return container

    def probe(self, task, *more):
        """Return the exit code of the task's liveness probe."""
        python, *words = self.container(task.split()[0])["livenessProbe"]["exec"]["command"]
        assert python == "python"
        return subprocess.run([*self.command(task), sys.executable, *words, *more], cwd=ROOT, check=False).returncode

    def close(self):
        for bound in self._sockets:
            bound.close()


@pytest.fixture
def pods(tmp_path, pod_environment):
    """Those of a parameter server, a chief and a worker, as render_job makes them."""
    path = tmp_path / "jobs.yaml"
    assert COMMAND.main([*FLAGS, f"--output={path}"]) == 0
    manifests = [manifest for manifest in yaml.safe_load_all(path.read_text()) if manifest["kind"] == "Job"]
    pods = Pods({job["metadata"]["name"].removeprefix("fer-"): job for job in manifests}, pod_environment)
    yield pods
    pods.close()


@pytest.mark.slow
def test_the_containers_of_rendered_jobs_train_together_and_say_whether_they_live(make_cluster, pods, shapes_dir):
    assert pods.container("worker")["command"] == ["train_image_classifier"]
    arguments = [word.replace("=/data", f"={shapes_dir}") for word in pods.container("worker")["args"]]
    assert all(pods.container(type_)["args"] == pods.container("worker")["args"] for type_ in ("ps", "chief"))
    cluster = make_cluster(*arguments, hosts=pods, ps=1, chief=1, worker=1)
    tasks = ("ps 0", "chief 0", "worker 0")
    cluster.start_all()
    assert [pods.probe(task) for task in tasks] == [0, 0, 0], "they are still starting"
    for task in ("chief 0", "worker 0"):
        cluster.wait_for_log(task, "images/s")
    # A job without its parameter server waits, so it cannot end meanwhile.
    cluster.signal("ps 0", signal.SIGSTOP)
    assert [pods.probe(task, "--timeout_secs=1") for task in tasks] == [1, 0, 0], cluster.logs()
    cluster.signal("ps 0", signal.SIGCONT)
    assert pods.probe("ps 0") == 0
    assert cluster.exit_codes() == dict.fromkeys(tasks, 0), cluster.logs()
    assert cluster.result()["global_step"] >= 150
