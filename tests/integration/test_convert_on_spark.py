"""Conversion on Spark: the files of one machine, whatever is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from datasets.convert import convert_dataset
from slim_train.bulk.conversion import SparkEngine, spark_engine
from slim_train.spark_options import SparkOptions

ROOT = Path(__file__).resolve().parents[2]
SHARDS = 20
pytestmark = pytest.mark.usefixtures("needs_spark")


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Two classes of 40 images, and a file that is no image."""
    random = np.random.default_rng(3)
    for name in ("grass", "roses"):
        (tmp_path / "pictures" / name).mkdir(parents=True)
        for number in range(40):
            pixels = random.integers(0, 255, (90, 120, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "pictures" / name / f"{number}.png")
    (tmp_path / "pictures" / "roses" / "notes.jpg").write_text("water them")
    return tmp_path / "pictures"


@pytest.fixture
def many_pictures(pictures: Path) -> Path:
    """6,080 images: links to the same few."""
    for number in range(6000):
        folder = pictures / ("grass", "roses")[number % 2]
        os.link(folder / f"{number % 40}.png", folder / f"copy_{number}.png")
    return pictures


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def command(pictures: Path, out: Path, master: str, *flags: str) -> list[str]:
    words = ["--dataset_name=image_folder", f"--pic_path={pictures}", f"--dataset_dir={out}"]
    script = str(ROOT / "scripts" / "download_and_convert_data.py")
    return [sys.executable, script, *words, f"--spark_master={master}", *flags]


@contextlib.contextmanager
def started(words: list[str]) -> Iterator[subprocess.Popen[str]]:
    # From another folder, and without ours on the path: workers get our packages from the session.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with subprocess.Popen(words, cwd="/", env=environment, stderr=subprocess.PIPE, text=True) as process:
        yield process


def wait_for_shards(out: Path, count: int, process: subprocess.Popen[str]) -> None:
    """Wait until the process has written so many record files."""
    while len(list((out / ".converting").glob("[!.]*.tfrecord"))) < count:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.02)


def test_spark_writes_the_files_of_one_machine(pictures: Path, tmp_path: Path) -> None:
    with started(command(pictures, tmp_path / "spark", "local[2]", "--num_shards=2", "--seed=4")) as process:
        said = process.communicate()[1]
    assert process.returncode == 0, said
    assert "WARN" not in said
    convert_dataset("image_folder", tmp_path / "here", pictures, num_shards=2, seed=4)
    assert contents(tmp_path / "spark") == contents(tmp_path / "here")


@pytest.mark.slow
def test_a_killed_driver_worker_and_executor_cost_no_image(
    many_pictures: Path, tmp_path: Path, standalone_spark: Any
) -> None:
    out = tmp_path / "out"
    speculation = "spark.speculation=true,spark.speculation.quantile=0.1,spark.speculation.multiplier=1.01"
    flags = [f"--num_shards={SHARDS}", f"--spark_conf={speculation},spark.speculation.minTaskRuntime=10ms"]
    words = command(many_pictures, out, standalone_spark.master, *flags)
    with started(words) as process:
        wait_for_shards(out, 4, process)
        process.kill()
    assert not (out / "info.json").exists()
    with started(words) as process:
        wait_for_shards(out, 10, process)
        os.kill(standalone_spark.python_workers()[0], signal.SIGKILL)
        wait_for_shards(out, 16, process)
        os.kill(standalone_spark.executors()[0], signal.SIGKILL)
        said = process.communicate()[1]
    assert process.returncode == 0, said
    assert f"of {2 * SHARDS} record files were there from an earlier run" in said
    convert_dataset("image_folder", tmp_path / "here", many_pictures, num_shards=SHARDS, num_workers=2)
    assert contents(out) == contents(tmp_path / "here")


class DiesAfterWriting(SparkEngine):
    """Spark on which each task of a record file is lost after its first try, when it has written the file."""

    def run(self, task: Any, job: Path, count: int, watch: Callable[[], None] | None = None) -> list[str]:
        is_shard = task.__name__ == "write_shard"

        def dies(job: Path, number: int) -> str:
            import os

            from pyspark import TaskContext

            answer = str(task(job, number))
            if is_shard and TaskContext.get().attemptNumber() == 0:
                os._exit(1)
            return answer

        return super().run(dies, job, count, watch)


@pytest.mark.slow
def test_a_task_that_is_tried_again_after_it_wrote_writes_each_image_once(
    pictures: Path, tmp_path: Path, standalone_spark: Any
) -> None:
    @contextlib.contextmanager
    def cluster() -> Iterator[SparkEngine]:
        with spark_engine(SparkOptions(spark_master=standalone_spark.master)) as engine:
            yield DiesAfterWriting(engine.session, engine._source, engine._idle)

    convert_dataset("image_folder", tmp_path / "spark", pictures, num_shards=4, cluster=cluster)
    convert_dataset("image_folder", tmp_path / "here", pictures, num_shards=4)
    assert contents(tmp_path / "spark") == contents(tmp_path / "here")
