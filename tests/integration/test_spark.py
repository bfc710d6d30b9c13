"""Bulk jobs on Spark: the same rows as without it, and each image once whatever is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from slim_train.tf_compat import tf

ROOT = Path(__file__).resolve().parents[2]
SIZE = 8


pytestmark = pytest.mark.usefixtures("needs_spark")


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module in TF1 Hub format: three features, the mean of red, green and blue."""
    folder = tmp_path_factory.mktemp("modules") / "mean_color"
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.placeholder(tf.float32, [None, SIZE, SIZE, 3], name="images")
        scale = tf.get_variable("scale", initializer=10.0)
        outputs = {"default": scale * tf.reduce_mean(images, axis=[1, 2])}
        session.run(tf.global_variables_initializer())
        builder = tf.saved_model.Builder(str(folder))
        signature = tf.saved_model.predict_signature_def({"images": images}, outputs)
        builder.add_meta_graph_and_variables(session, [], {"default": signature})
        builder.save()
    return folder


@pytest.fixture
def image_dir(tmp_path: Path) -> Path:
    """Three classes of 30 images, each of nearly one color, and a file that is no image."""
    random = np.random.default_rng(5)
    for channel, name in enumerate(("blue", "grass", "roses")):
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(30):
            pixels = random.integers(0, 90, (12, 10, 3), np.uint8)
            pixels[:, :, channel] += 120
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    (tmp_path / "images" / "roses" / "notes.jpg").write_text("water them")
    return tmp_path / "images"


def command(name: str, *flags: str) -> list[str]:
    return [sys.executable, str(ROOT / "scripts" / f"{name}.py"), *flags]


def run(name: str, *flags: str, folder: Path | str = "/") -> str:
    # From another folder, and without ours on the path: workers get our packages from the session.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    result = subprocess.run(
        command(name, *flags), cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stderr


def rows(folder: Path) -> list[dict[str, object]]:
    import pyarrow.parquet

    return sorted(pyarrow.parquet.read_table(folder).to_pylist(), key=lambda row: row["path"])


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_spark_writes_the_rows_that_one_process_writes(module: Path, image_dir: Path, tmp_path: Path) -> None:
    flags = [f"--tfhub_module={module}", f"--image_dir={image_dir}", "--images_per_file=40", "--precision=fp32"]
    run("extract_features", *flags, f"--output_dir={tmp_path / 'here'}")
    said = run("extract_features", *flags, f"--output_dir={tmp_path / 'spark'}", "--spark_master=local[2]")
    assert "WARN" not in said
    assert rows(tmp_path / "spark") == rows(tmp_path / "here")
    assert len(rows(tmp_path / "spark")) == 91
    assert [row["path"] for row in rows(tmp_path / "spark") if row["error"]] == ["roses/notes.jpg"]
    assert hidden(tmp_path / "spark") == []
    assert {path.name for path in (tmp_path / "spark").iterdir()} == {
        path.name for path in (tmp_path / "here").iterdir()
    }


def test_retrain_on_spark_writes_a_classifier_that_labels_images(module: Path, image_dir: Path, tmp_path: Path) -> None:
    flags = [f"--tfhub_module={module}", f"--image_dir={image_dir}", f"--bottleneck_dir={tmp_path / 'cache'}"]
    files = [f"--output_graph={tmp_path / 'out/graph.pb'}", f"--output_labels={tmp_path / 'out/labels.txt'}"]
    run("retrain", *flags, *files, "--spark_master=local[2]", f"--summaries_dir={tmp_path / 'logs'}")
    result = json.loads((tmp_path / "out" / "graph.json").read_text())
    assert result["test"]["accuracy"] == 1.0
    assert sum(result["pictures"].values()) == 90
    assert list(result["rejected"]) == ["roses/notes.jpg"]
    image = image_dir / "grass" / "0.png"
    labelled = subprocess.run(
        command("label_image", f"--graph={tmp_path / 'out/graph.pb'}", f"--image={image}", "--json"),
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(labelled.stdout)["images"][0]["labels"][0]["label"] == "grass"


def test_images_are_classified_on_spark_as_in_one_process(module: Path, image_dir: Path, tmp_path: Path) -> None:
    graph = tmp_path / "out" / "graph.pb"
    files = [f"--output_graph={graph}", f"--output_labels={tmp_path / 'out/labels.txt'}"]
    cache = [f"--bottleneck_dir={tmp_path / 'cache'}", f"--summaries_dir={tmp_path / 'logs'}"]
    run("retrain", f"--tfhub_module={module}", f"--image_dir={image_dir}", *files, *cache)
    flags = [f"--graph={graph}", f"--image_dir={image_dir}", "--images_per_file=40", "--top=2"]
    run("classify_images", *flags, f"--predictions_dir={tmp_path / 'here'}")
    run("classify_images", *flags, f"--predictions_dir={tmp_path / 'spark'}", "--spark_master=local[2]")
    here, spark = rows(tmp_path / "here"), rows(tmp_path / "spark")
    for name in ("path", "class", "top_classes", "true_rank", "error"):
        assert [row[name] for row in spark] == [row[name] for row in here], name
    metrics = json.loads((tmp_path / "spark" / "_metrics.json").read_text())
    assert (metrics["images"], metrics["accuracy"]) == (90, 1.0)
    assert hidden(tmp_path / "spark") == []


@pytest.mark.slow
def test_the_driver_of_a_local_spark_does_without_tensorflow(module: Path, image_dir: Path, tmp_path: Path) -> None:
    code = (
        "import runpy, sys\n"
        "sys.modules['tensorflow'] = None  # importing it is an error from here on\n"
        "sys.argv[:] = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    flags = [f"--tfhub_module={module}", f"--image_dir={image_dir}", f"--output_dir={tmp_path / 'out'}"]
    _, *words = command("extract_features", *flags, "--spark_master=local[2]")
    said = subprocess.run([sys.executable, "-c", code, *words], cwd="/", capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    assert len(rows(tmp_path / "out")) == 91


@pytest.mark.slow
def test_workers_find_our_packages_if_the_current_folder_is_a_checkout(
    module: Path, image_dir: Path, tmp_path: Path
) -> None:
    master = "--spark_master=local[2]"
    flags = [f"--tfhub_module={module}", f"--image_dir={image_dir}", f"--output_dir={tmp_path / 'features'}"]
    run("extract_features", *flags, master, folder=ROOT)
    assert len(rows(tmp_path / "features")) == 91
    flags = ["--dataset_name=image_folder", f"--pic_path={image_dir}", f"--dataset_dir={tmp_path / 'records'}"]
    run("download_and_convert_data", *flags, "--num_shards=1", master, folder=ROOT)
    assert (tmp_path / "records" / "info.json").is_file()


@pytest.mark.slow
def test_a_killed_worker_costs_no_image_and_leaves_no_file(
    module: Path, image_dir: Path, tmp_path: Path, spark_processes: Any
) -> None:
    for number in range(6000):
        folder = ("blue", "grass", "roses")[number % 3]
        os.link(image_dir / folder / "0.png", image_dir / folder / f"copy_{number}.png")
    output = tmp_path / "features"
    flags = [f"--tfhub_module={module}", f"--image_dir={image_dir}", f"--output_dir={output}", "--images_per_file=100"]
    with subprocess.Popen(
        command("extract_features", *flags, "--spark_master=local[2]"), stderr=subprocess.PIPE, text=True
    ) as process:
        killed: set[int] = set()
        while process.poll() is None and len(killed) < 2:
            parts = len(list(output.glob("part-*.parquet"))) if output.is_dir() else 0
            if parts > 10 * len(killed):
                for worker in spark_processes.python_workers(process.pid):
                    os.kill(worker, signal.SIGKILL)
                    killed.add(worker)
                    break
            time.sleep(0.02)
        _, said = process.communicate()
    assert process.returncode == 0, said
    assert len(killed) == 2
    found = [row["path"] for row in rows(output)]
    assert len(found) == len(set(found)) == 6091
    assert hidden(output) == []


@pytest.fixture
def many_images(image_dir: Path) -> Path:
    """The images, and 600 copies."""
    for number in range(600):
        folder = ("blue", "grass", "roses")[number % 3]
        os.link(image_dir / folder / "0.png", image_dir / folder / f"copy_{number}.png")
    return image_dir


@pytest.fixture
def dies_after_it_wrote(tmp_path: Path) -> dict[str, str]:
    """Settings with which the first task that has renamed its file dies before it answers."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        "import os\n"
        "rename = os.replace\n"
        "def replace(source, target):\n"
        "    rename(source, target)\n"
        "    if str(target).endswith('.parquet'):\n"
        "        try:\n"
        f"            open({str(folder / 'died')!r}, 'x').close()\n"
        "        except FileExistsError:\n"
        "            return\n"
        "        os._exit(1)\n"
        "os.replace = replace\n"
    )
    return {"spark.executorEnv.PYTHONPATH": str(folder)}


SPECULATION = {
    "spark.speculation": "true",
    "spark.speculation.interval": "100ms",
    "spark.speculation.multiplier": "1.2",
    "spark.speculation.quantile": "0.1",
    "spark.speculation.minTaskRuntime": "100ms",
}


def finish_with_faults(process: subprocess.Popen[str], output: Path, cluster: Any) -> tuple[str, int]:
    """Kill an executor, pause a Python process, kill one; return what was said, and the number of faults."""
    faults = [(cluster.executors, signal.SIGKILL), (cluster.python_workers, signal.SIGSTOP)]
    faults += [(cluster.python_workers, signal.SIGKILL)]
    done = 0
    deadline = time.monotonic() + 3600
    while process.poll() is None and done < len(faults) and time.monotonic() < deadline:
        parts = len(list(output.glob("part-*.parquet"))) if output.is_dir() else 0
        targets, number = faults[done]
        if parts > 2 + 4 * done and (found := targets()):
            with contextlib.suppress(ProcessLookupError):  # it has ended by itself
                os.kill(found[0], number)
                done += 1
                if number == signal.SIGSTOP:
                    time.sleep(5)
                    os.kill(found[0], signal.SIGCONT)
        time.sleep(0.02)
    try:
        _, said = process.communicate(timeout=max(1, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return said, done


@pytest.fixture
def graph(module: Path, image_dir: Path, tmp_path: Path) -> Path:
    """A classifier of the three classes."""
    files = [f"--output_graph={tmp_path / 'trained/graph.pb'}", f"--output_labels={tmp_path / 'trained/labels.txt'}"]
    cache = [f"--bottleneck_dir={tmp_path / 'cache'}", f"--summaries_dir={tmp_path / 'logs'}"]
    run("retrain", f"--tfhub_module={module}", f"--image_dir={image_dir}", *files, *cache)
    return tmp_path / "trained" / "graph.pb"


@pytest.mark.slow
@pytest.mark.parametrize("name", ["extract_features", "classify_images"])
def test_a_cluster_that_loses_processes_and_repeats_tasks_writes_each_image_once(
    name: str,
    module: Path,
    graph: Path,
    many_images: Path,
    tmp_path: Path,
    standalone_spark: Any,
    dies_after_it_wrote: dict[str, str],
) -> None:
    output = tmp_path / "out"
    flags = [f"--image_dir={many_images}", "--images_per_file=25", f"--spark_master={standalone_spark.master}"]
    settings = {**SPECULATION, **dies_after_it_wrote, "spark.executor.memory": "600m"}
    flags.append("--spark_conf=" + ",".join(f"{key}={value}" for key, value in settings.items()))
    if name == "extract_features":
        flags += [f"--tfhub_module={module}", f"--output_dir={output}"]
    else:
        flags += [f"--graph={graph}", f"--predictions_dir={output}"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    with subprocess.Popen(
        command(name, *flags), cwd="/", env=environment, stderr=subprocess.PIPE, text=True
    ) as process:
        said, faults = finish_with_faults(process, output, standalone_spark)
    assert process.returncode == 0, said
    assert faults == 3, said
    assert (tmp_path / "site" / "died").exists()
    found = [row["path"] for row in rows(output)]
    assert len(found) == len(set(found)) == 691
    assert hidden(output) == []


@pytest.mark.slow
def test_a_task_takes_the_gpu_that_spark_gave_it(module: Path, image_dir: Path, tmp_path: Path) -> None:
    """The GPU is a fake: what counts is what TensorFlow finds in the environment when it is imported."""
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "sitecustomize.py").write_text(
        "import os, sys\n"
        "class Watch:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name == 'tensorflow':\n"
        f"            with open({str(tmp_path / 'devices')!r}, 'a') as file:\n"
        "                print(os.environ.get('CUDA_VISIBLE_DEVICES'), file=file)\n"
        "sys.meta_path.insert(0, Watch())\n"
    )
    discovery = tmp_path / "gpus.sh"
    discovery.write_text('#!/bin/sh\necho \'{"name": "gpu", "addresses": ["7"]}\'\n')
    discovery.chmod(0o755)
    settings = {
        "spark.worker.resource.gpu.amount": "1",
        "spark.worker.resource.gpu.discoveryScript": str(discovery),
        "spark.executor.resource.gpu.amount": "1",
        "spark.task.resource.gpu.amount": "1",
        "spark.executor.memory": "600m",
        "spark.executorEnv.PYTHONPATH": str(tmp_path / "site"),
    }
    conf = ",".join(f"{key}={value}" for key, value in settings.items())
    flags = [f"--tfhub_module={module}", f"--image_dir={image_dir}", f"--output_dir={tmp_path / 'out'}"]
    run("extract_features", *flags, "--spark_master=local-cluster[1,1,700]", f"--spark_conf={conf}")
    assert (tmp_path / "devices").read_text().split() == ["7"]


@pytest.mark.slow
def test_jobs_within_a_job_share_a_session_on_a_connect_server(
    module: Path, image_dir: Path, tmp_path: Path, connect_server: Any
) -> None:
    graph, remote = tmp_path / "out" / "graph.pb", f"--spark_remote={connect_server.remote}"
    flags = [f"--tfhub_module={module}", f"--image_dir={image_dir}", f"--bottleneck_dir={tmp_path / 'cache'}", remote]
    files = [f"--output_graph={graph}", f"--output_labels={tmp_path / 'out/labels.txt'}"]
    run("retrain", *flags, *files, f"--summaries_dir={tmp_path / 'logs'}")  # extracts features, then trains
    assert json.loads(graph.with_suffix(".json").read_text())["test"]["accuracy"] == 1.0
    predictions = tmp_path / "predictions"
    run("classify_images", f"--graph={graph}", f"--image_dir={image_dir}", f"--predictions_dir={predictions}", remote)
    assert len(rows(predictions)) == 91
    assert hidden(predictions) == []
    for name, where in (("here", []), ("connect", [remote])):
        folders = [f"--pic_path={image_dir}", f"--dataset_dir={tmp_path / name}"]
        run("download_and_convert_data", "--dataset_name=image_folder", "--num_shards=2", *folders, *where)
    for file in sorted((tmp_path / "here").iterdir()):
        assert (tmp_path / "connect" / file.name).read_bytes() == file.read_bytes(), file.name


NOTEBOOK = """
import sys

from pyspark.sql import SparkSession

import slim_train

remote, module, image_dir, output_dir = sys.argv[1:]
spark = SparkSession.builder.remote(remote).getOrCreate()
slim_train.extract_features(
    tfhub_module=module, image_dir=image_dir, output_dir=output_dir, spark_remote=remote
)
assert spark.range(7).count() == 7
assert SparkSession.builder.remote(remote).getOrCreate().range(7).count() == 7
"""


@pytest.mark.slow
def test_the_session_of_a_notebook_on_a_connect_server_stays(
    module: Path, image_dir: Path, tmp_path: Path, connect_server: Any
) -> None:
    script = tmp_path / "notebook.py"
    script.write_text(NOTEBOOK, encoding="utf-8")
    arguments = [connect_server.remote, str(module), str(image_dir), str(tmp_path / "out")]
    subprocess.run([sys.executable, script, *arguments], check=True, timeout=300)
    assert len(rows(tmp_path / "out")) == 91
