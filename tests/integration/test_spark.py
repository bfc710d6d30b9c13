"""Bulk jobs on Spark: the same rows as without it, and each image once whatever is killed."""

from __future__ import annotations

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


def run(name: str, *flags: str) -> str:
    # From another folder, and without ours on the path: workers get our packages from the session.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    result = subprocess.run(
        command(name, *flags), cwd="/", env=environment, capture_output=True, text=True, check=False
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
