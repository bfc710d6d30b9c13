from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datasets.storage import path_of
from slim_train import config
from slim_train.bulk import engine, kinds
from slim_train.bulk.classes import class_numbers
from slim_train.bulk.classify import METRICS_FILE, classify
from slim_train.bulk.classify_options import ClassifyOptions
from slim_train.bulk.listing import list_images
from slim_train.bulk.options import ListedImages
from slim_train.bulk.parts import CLASSES
from slim_train.cli.classify_images import COMMAND
from slim_train.errors import UsageError
from slim_train.evaluation.metrics import ClassificationMetrics
from slim_train.inference.classifier import load_classifier

pq = pytest.importorskip("pyarrow.parquet", reason="pyarrow is not installed (extra [parquet])")


@pytest.fixture
def flowers(tmp_path: Path, photo: Callable[..., bytes]) -> Path:
    """Two classes that the training folder knows, one that it does not, and a broken image."""
    for number, name in enumerate(("daisy", "roses", "cat")):
        (tmp_path / "images" / name).mkdir(parents=True)
        for index in range(4):
            (tmp_path / "images" / name / f"{index}.jpg").write_bytes(photo(seed=10 * number + index))
    (tmp_path / "images" / "daisy" / "broken.jpg").write_bytes(photo(seed=3)[:-200])
    return tmp_path / "images"


def options(mobilenet_folder: Path, images: Path, output: Path, **flags: Any) -> ClassifyOptions:
    given = {"train_dir": str(mobilenet_folder), "image_dir": str(images), "predictions_dir": str(output)}
    return config.with_values(ClassifyOptions(), {**given, "images_per_file": 5, **flags})


def test_images_have_the_classes_that_the_classifier_gives(
    mobilenet_folder: Path, flowers: Path, tmp_path: Path
) -> None:
    report = classify(options(mobilenet_folder, flowers, tmp_path / "out", top=2))
    assert (report.images, report.computed, report.rejected) == (13, 13, 1)
    rows = {row["path"]: row for row in pq.read_table(tmp_path / "out").to_pylist()}
    assert len(rows) == 13
    assert rows["daisy/broken.jpg"]["error"] and rows["daisy/broken.jpg"]["prediction"] is None
    with load_classifier(mobilenet_folder) as classifier:
        (expected,) = classifier.predict([flowers / "roses" / "1.jpg"], top=2)
        logits = [np.log(one.probabilities) for one in classifier.predict(sorted(flowers.glob("[dr]*/[0-9].jpg")))]
    row = rows["roses/1.jpg"]
    assert row["top_classes"] == [label for label, _ in expected.top]
    assert row["top_probabilities"] == pytest.approx([score for _, score in expected.top], rel=1e-4)
    metrics = ClassificationMetrics(5)
    metrics.update([0] * 4 + [2] * 4, np.stack(logits))
    assert report.metrics is not None
    assert report.metrics.headline() == pytest.approx(metrics.report().headline(), rel=1e-4)
    assert json.loads((tmp_path / "out" / METRICS_FILE).read_text())["images"] == 8


@pytest.mark.slow
def test_predictions_are_kept_at_a_url(mobilenet_folder: Path, flowers: Path, tmp_path: Path) -> None:
    folder = path_of("ram://bulk/classify")
    wanted = options(mobilenet_folder, flowers, tmp_path, predictions_dir=str(folder))
    assert (classify(wanted).folder, (folder / METRICS_FILE).is_file()) == (folder, True)
    next(folder.glob("part-*.parquet")).unlink()
    assert 3 <= classify(wanted).computed <= 5


@pytest.mark.slow
def test_a_second_run_classifies_what_is_missing(mobilenet_folder: Path, flowers: Path, tmp_path: Path) -> None:
    wanted = options(mobilenet_folder, flowers, tmp_path / "out")
    classify(wanted)
    next((tmp_path / "out").glob("part-*.parquet")).unlink()
    assert 3 <= classify(wanted).computed <= 5
    with pytest.raises(UsageError, match="results with another top: 5, not 1"):
        classify(options(mobilenet_folder, flowers, tmp_path / "out", top=1))


def test_a_worker_reads_the_classifier_from_its_flags(mobilenet_folder: Path, flowers: Path, tmp_path: Path) -> None:
    wanted = options(mobilenet_folder, flowers, tmp_path)
    images = list_images(ListedImages(image_dir=str(flowers)))
    (tmp_path / "out" / ".job-1").mkdir(parents=True)
    kinds.write_classifier(tmp_path / "out" / ".job-1", wanted.classifier, images.classes, 5)
    write = kinds.writer(CLASSES, tmp_path / "out" / ".job-1", images.opener(), threads=1)
    (first, *_) = engine.missing_parts(tmp_path / "out", images, 5)
    assert write(first) == (first.file, 5, 0)
    assert (tmp_path / "out" / first.file).is_file()


def test_classes_are_found_as_retrain_writes_their_names() -> None:
    assert class_numbers(["blue sky", "roses"], ["Blue_Sky", "roses", "cat"]) == {"Blue_Sky": 0, "roses": 1}


def test_the_command_names_a_flag_that_is_missing(capsys: pytest.CaptureFixture[str]) -> None:
    assert COMMAND.main(["--image_dir=images", "--train_dir=models/x"]) == 2
    assert "--predictions_dir is required" in capsys.readouterr().err
