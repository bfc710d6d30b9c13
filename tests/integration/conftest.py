"""A small real data set, drawn shapes converted once for all tests, and clusters of real processes that train on it."""

from __future__ import annotations

import json
import os
import re
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
