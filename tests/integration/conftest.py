"""A small real data set, drawn shapes converted once for all tests, and clusters of real processes, Spark's too."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from datasets.convert import convert_dataset
from deployment.cluster import ClusterError
from deployment.spark.java import java_home

ROOT = Path(__file__).resolve().parents[2]
CLASSES = ("cross", "disc", "square")

# Seconds until a test gives up on a process. A machine busy with other work takes long to import TensorFlow.
TIMEOUT = 240.0


def draw_shape(class_name: str, random: np.random.RandomState) -> Image.Image:
    """A 28x28 grey image of a white shape, at a random place and size, on a dark noisy ground."""
    image = Image.fromarray(random.randint(0, 60, (28, 28)).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    x, y, radius = (*random.randint(11, 17, 2), random.randint(7, 10))
    box = [x - radius, y - radius, x + radius, y + radius]
    if class_name == "disc":
        draw.ellipse(box, fill=255)
    elif class_name == "square":
        draw.rectangle(box, outline=255, width=2)
    else:
        draw.line(box, fill=255, width=2)
        draw.line([box[0], box[3], box[2], box[1]], fill=255, width=2)
    return image


@pytest.fixture(scope="session")
def draw_shapes() -> Callable[[Path, int, int], Path]:
    """``draw_shapes(folder, count, seed)``: so many images of each class, in a folder for each."""

    def draw(folder: Path, count: int, seed: int) -> Path:
        random = np.random.RandomState(seed)
        for class_name in CLASSES:
            (folder / class_name).mkdir(parents=True)
            for index in range(count):
                draw_shape(class_name, random).save(folder / class_name / f"{class_name}_{index}.png")
        return folder

    return draw


@pytest.fixture(scope="session")
def shapes_dir(tmp_path_factory: pytest.TempPathFactory, draw_shapes: Callable[[Path, int, int], Path]) -> Path:
    """TFRecords named shapes: 63 training and 27 test images of 3 classes."""
    pictures = draw_shapes(tmp_path_factory.mktemp("pictures"), 30, 0)
    records = tmp_path_factory.mktemp("records")
    convert_dataset("image_folder", str(records), str(pictures), seed=1, num_workers=1)
    return records


class Loopback:
    """Where the tasks of a cluster are: all of them here."""

    def address(self, task: str) -> str:
        """Return host:port of ``task``."""
        return f"127.0.0.1:{free_port()}"

    def command(self, task: str) -> list[str]:
        """Return the words that start a program on the host of ``task``."""
        return []


class LocalCluster:
    """Processes of train_image_classifier on this machine, each one task of a cluster, logging to a file of its own.

    Args:
      folder: for logs; the training folder is ``train`` in it.
      command: program and flags that all tasks share.
      sizes: tasks of each type, ``{"ps": 1, "worker": 2}``.
      python_path: folder of packages that the tasks have beside ours.
      hosts: where the tasks are.
    """

    def __init__(
        self,
        folder: Path,
        command: Sequence[str],
        sizes: dict[str, int],
        python_path: Path | None = None,
        hosts: Any = None,
    ) -> None:
        self._python_path = os.pathsep.join(map(str, filter(None, (ROOT, python_path))))
        hosts = hosts or Loopback()
        self.train_dir = folder / "train"
        self._folder, self._command, self._hosts = folder, [*command, f"--train_dir={self.train_dir}"], hosts
        self.addresses = {
            type_: [hosts.address(f"{type_} {index}") for index in range(number)] for type_, number in sizes.items()
        }
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, task: str, *flags: str) -> None:
        """Start ``"ps 0"`` or ``"chief 0"``, a task that runs no longer included."""
        type_, index = task.split()
        tf_config = {"cluster": self.addresses, "task": {"type": type_, "index": int(index)}}
        with self._log_path(task).open("ab") as log:
            self._processes[task] = subprocess.Popen(
                [*self._hosts.command(task), *self._command, *flags],
                stdout=log,
                stderr=log,
                env={**os.environ, "PYTHONPATH": self._python_path, "TF_CONFIG": json.dumps(tf_config)},
            )

    def start_all(self, *flags: str) -> None:
        for type_, addresses in self.addresses.items():
            for index in range(len(addresses)):
                self.start(f"{type_} {index}", *flags)

    def signal(self, task: str, number: int) -> None:
        self._processes[task].send_signal(number)

    def kill(self, task: str) -> None:
        """As a lost machine would go: SIGKILL."""
        self._processes[task].kill()
        self._processes[task].wait()

    def rename(self, task: str, name: str) -> None:
        """Call a process and its log otherwise, to start another one for ``task`` while it runs."""
        self._log_path(task).rename(self._log_path(name))
        self._processes[name] = self._processes.pop(task)

    def exit_codes(self, *tasks: str, timeout: float = TIMEOUT) -> dict[str, int]:
        """Wait until the tasks, or all of them, have ended."""
        deadline = time.monotonic() + timeout
        codes = {}
        for task in tasks or self._processes:
            try:
                codes[task] = self._processes[task].wait(max(0.0, deadline - time.monotonic()))
            except subprocess.TimeoutExpired:
                raise AssertionError(f"{task} does not end:\n{self.logs()}") from None
        return codes

    def is_running(self, task: str) -> bool:
        return self._processes[task].poll() is None

    def wait_for_log(self, task: str, words: str, times: int = 1, timeout: float = TIMEOUT) -> None:
        """Wait until the task's log holds ``words`` this many times; fail when it ends before."""
        self.wait_until(lambda: self.log(task).count(words) >= times, f"{words!r} of {task}", timeout, task)

    def wait_for_step(self, step: int, timeout: float = TIMEOUT) -> None:
        """Wait until metrics.jsonl has come to ``step``."""
        self.wait_until(lambda: any(m["step"] >= step for m in self.metrics()), f"step {step}", timeout)

    def log(self, task: str) -> str:
        return self._log_path(task).read_text(errors="replace")

    def logged_steps(self, task: str) -> list[int]:
        """The global steps in the lines of the task's log, in their order."""
        return [int(step) for step in re.findall(r" I step (\d+)[/ ]", self.log(task))]

    def logs(self) -> str:
        """The ends of all logs, for the message of a failed test."""
        return "\n".join(f"--- {task}\n{self.log(task)[-3000:]}" for task in self._processes)

    def metrics(self) -> list[dict[str, float]]:
        path = self.train_dir / "metrics.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.is_file() else []

    def result(self) -> dict[str, Any]:
        return json.loads((self.train_dir / "result.json").read_text())

    def close(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()

    def wait_until(
        self, condition: Callable[[], bool], what: str, timeout: float = TIMEOUT, task: str | None = None
    ) -> None:
        """Wait until ``condition()``; fail after ``timeout``, or when ``task`` ends before."""
        deadline = time.monotonic() + timeout
        while not condition():
            ended = task is not None and not self.is_running(task) and not condition()
            assert not ended, f"{task} has ended without {what}:\n{self.logs()}"
            assert time.monotonic() < deadline, f"no {what} after {timeout} s:\n{self.logs()}"
            time.sleep(0.1)

    def _log_path(self, task: str) -> Path:
        return self._folder / f"{task.replace(' ', '_')}.log"


def free_port() -> int:
    """A port of loopback where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def make_cluster(shapes_dir: Path, tmp_path: Path) -> Iterator[Callable[..., LocalCluster]]:
    """``make_cluster("--seed=1", ps=1, worker=2)``: a cluster that trains lenet on the shapes, ended with the test."""
    clusters = []

    def make(*flags: str, python_path: Path | None = None, hosts: Any = None, **sizes: int) -> LocalCluster:
        command = [
            sys.executable, "-m", "slim_train.cli.train_image_classifier", f"--dataset_dir={shapes_dir}",
            "--model_name=lenet", "--batch_size=8", "--optimizer=momentum", "--learning_rate=0.001", "--clone_on_cpu",
            "--log_every_n_steps=5", "--save_summaries_secs=0", *flags,
        ]  # fmt: skip
        clusters.append(LocalCluster(tmp_path, command, sizes, python_path, hosts))
        return clusters[-1]

    yield make
    for cluster in clusters:
        cluster.close()


class SparkProcesses:
    """The processes of Spark's tasks on this machine, found in /proc."""

    def executors(self, ancestor: int) -> list[int]:
        """Return the executors that ``ancestor`` started: Java processes of a worker."""
        return [number for number, words in self._below(ancestor).items() if b"CoarseGrainedExecutorBackend" in words]

    def python_workers(self, ancestor: int) -> list[int]:
        """Return the Python processes of tasks that ``ancestor`` started: those that daemons have forked."""
        daemons = {number for number, words in self._below(ancestor).items() if b"pyspark.daemon" in words}
        forked = {number: self._parent(number) for number in daemons}
        return [number for number, parent in forked.items() if parent in daemons and number not in forked.values()]

    def _below(self, ancestor: int) -> dict[int, bytes]:
        """Return the command lines of all descendants, by process number."""
        parents, words = {}, {}
        for folder in Path("/proc").iterdir():
            if folder.name.isdecimal():
                with contextlib.suppress(OSError, IndexError):
                    words[int(folder.name)] = (folder / "cmdline").read_bytes()
                    parents[int(folder.name)] = self._parent(int(folder.name))
        below = {ancestor}
        while more := {number for number, parent in parents.items() if parent in below} - below:
            below |= more
        return {number: words[number] for number in below & set(words)}

    def _parent(self, number: int) -> int:
        return int(Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[1])


class SparkServers:
    """Server processes of Spark on 127.0.0.1."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def close(self) -> None:
        """End all processes; a worker that is asked to end ends its executors."""
        for process in reversed(self._processes.values()):
            process.send_signal(signal.SIGTERM)
        for process in self._processes.values():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()

    def _launch(self, name: str, program: str, *flags: str) -> None:
        import pyspark

        home = Path(pyspark.__file__).parent
        environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environment |= {"SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1", "PYSPARK_PYTHON": sys.executable}
        with java_home(pyspark.__version__, os.environ) as java, (self._folder / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [home / "bin" / program, *flags],
                stdout=log,
                stderr=log,
                env=environment | ({"JAVA_HOME": java} if java else {}),
                cwd=self._folder,
            )

    def _log(self, name: str) -> str:
        return (self._folder / f"{name}.log").read_text(errors="replace")

    def _wait_until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + TIMEOUT
        while not condition():
            ended = [name for name, process in self._processes.items() if process.poll() is not None]
            assert not ended, f"{ended[0]} has ended:\n{self._log(ended[0])[-3000:]}"
            assert time.monotonic() < deadline, "Spark does not start"
            time.sleep(0.1)


class StandaloneSpark(SparkServers):
    """A master and workers of Spark on 127.0.0.1, one core each.

    Attributes:
      master: the address for --spark_master.
    """

    def __init__(self, folder: Path, workers: int) -> None:
        super().__init__(folder)
        port = free_port()
        self.master = f"spark://127.0.0.1:{port}"
        listen = ["--host", "127.0.0.1", "--webui-port", "0"]
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self.close)
            self._start("master", "master.Master", *listen, "--port", str(port))
            self._wait_until(lambda: "Starting Spark master at" in self._log("master"))
            for number in range(workers):
                size = ["--cores", "1", "--memory", "1g", "--work-dir", str(folder / f"work_{number}")]
                self._start(f"worker {number}", "worker.Worker", *listen, *size, self.master)
            self._wait_until(lambda: self._log("master").count("Registering worker") == workers)
            on_failure.pop_all()

    def executors(self) -> list[int]:
        """Return the process numbers of all executors."""
        return [number for one in self._workers() for number in SparkProcesses().executors(one)]

    def python_workers(self) -> list[int]:
        """Return the process numbers of all Python processes of tasks."""
        return [number for one in self._workers() for number in SparkProcesses().python_workers(one)]

    def _workers(self) -> list[int]:
        return [process.pid for name, process in self._processes.items() if name != "master"]

    def _start(self, name: str, class_name: str, *flags: str) -> None:
        self._launch(name, "spark-class", f"org.apache.spark.deploy.{class_name}", *flags)


class ConnectServer(SparkServers):
    """A Connect server of Spark on 127.0.0.1, with two threads.

    Attributes:
      remote: the address for --spark_remote.
    """

    def __init__(self, folder: Path) -> None:
        import pyspark

        super().__init__(folder)
        port = free_port()
        self.remote = f"sc://127.0.0.1:{port}"
        settings = {"spark.connect.grpc.binding.address": "127.0.0.1", "spark.connect.grpc.binding.port": str(port)}
        flags = [word for key, value in settings.items() for word in ("--conf", f"{key}={value}")]
        (jar,) = (Path(pyspark.__file__).parent / "jars").glob("spark-connect_*.jar")
        server = "org.apache.spark.sql.connect.service.SparkConnectServer"
        with contextlib.ExitStack() as on_failure:
            on_failure.callback(self.close)
            self._launch("connect", "spark-submit", "--master", "local[2]", "--class", server, *flags, str(jar))
            self._wait_until(lambda: "Spark Connect server started" in self._log("connect"))
            on_failure.pop_all()


def _spark_is_missing() -> str | None:
    """Return what this machine lacks to run Spark."""
    for package in ("pyspark", "pyarrow", "pandas"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed (extra [spark])"
    import pyspark

    try:
        with java_home(pyspark.__version__, os.environ):
            return None
    except ClusterError as error:
        return str(error)


@pytest.fixture(scope="session")
def needs_spark() -> None:
    """Skip the test if this machine cannot run Spark."""
    if reason := _spark_is_missing():
        pytest.skip(reason)


@pytest.fixture
def spark_processes() -> SparkProcesses:
    """The processes of Spark's tasks, to kill them."""
    if not Path("/proc/self/stat").exists():
        pytest.skip("processes are found in /proc")
    return SparkProcesses()


@pytest.fixture(scope="module")
def standalone_spark(needs_spark: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StandaloneSpark]:
    """A Spark cluster of a master and two workers on this machine."""
    cluster = StandaloneSpark(tmp_path_factory.mktemp("spark"), workers=2)
    yield cluster
    cluster.close()


@pytest.fixture
def connect_server(needs_spark: None, tmp_path: Path) -> Iterator[ConnectServer]:
    """A Connect server."""
    pytest.importorskip("grpc_status", reason="pyspark[connect] is not installed")
    (tmp_path / "connect").mkdir()
    server = ConnectServer(tmp_path / "connect")
    yield server
    server.close()
