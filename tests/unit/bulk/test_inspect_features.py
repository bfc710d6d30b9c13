"""What a net tells of a data set: through the Python function, on class folders and on records."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import slim_train
from datasets.convert import convert_dataset
from datasets.inspection.inspect import inspect
from slim_train.bulk.cached_features import image_features
from slim_train.bulk.feature_net import load_feature_net
from slim_train.bulk.inspect_features import features_of_inspection
from slim_train.bulk.label_errors import doubtful_labels
from slim_train.bulk.listing import list_images
from slim_train.bulk.options import FeatureNetOptions, ListedImages
from slim_train.cli.inspect_dataset import COMMAND
from slim_train.training_options import UserCodeOptions


@pytest.mark.slow
def test_class_folders_and_the_records_made_from_them_say_the_same(
    training_folder: Path, image_dir: Path, tmp_path: Path
) -> None:
    (image_dir / "dog/broken.jpg").unlink()
    convert_dataset("image_folder", tmp_path / "data", image_dir)
    net = load_feature_net(FeatureNetOptions(checkpoint_path=str(training_folder), precision="fp32"), UserCodeOptions())
    of_folders, of_records = (
        features_of_inspection(inspect(folder), net, 2, cache=tmp_path / "cache")
        for folder in (image_dir, tmp_path / "data")
    )
    assert of_folders.num_images == of_records.num_images == 10
    assert [sample.label for sample in of_folders.typical] == [0, 0, 1, 1]
    assert {sample.split for sample in of_folders.typical} == {"all"}
    assert {sample.split for sample in of_records.typical} <= {"train", "test"}
    assert {sample.data for sample in of_folders.typical} == {sample.data for sample in of_records.typical}
    assert of_folders.alike and of_records.alike
    assert of_folders.alike.counts["features"].images == of_records.alike.counts["features"].images
    sources = {error.source for error in of_records.label_errors}
    assert all((image_dir / source).is_file() for source in sources)


def test_the_report_has_a_list_a_sheet_and_sections_of_the_page(
    training_folder: Path, image_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SLIM_TRAIN_CACHE", str(tmp_path / "cache"))
    report = slim_train.inspect_dataset(
        image_dir, checkpoint_path=training_folder, output_dir=tmp_path / "report", images_per_class=2, precision="fp32"
    )
    assert report.by_features
    assert report.by_features.num_images == 10
    content = json.loads((tmp_path / "report" / "inspection.json").read_text())["by_features"]
    assert content["accuracy"] == report.by_features.accuracy
    assert len(content["typical"]) == len(content["unusual"]) == 4
    assert report.files["label_errors"].read_text().startswith("file,split,record,label,suggestion,")
    page = report.files["page"].read_text()
    assert "Labels that are probably wrong" in page
    assert "Most typical and most unusual images" in page
    assert page.count("<details open") == 2
    assert "Most typical" in report._repr_html_()


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--image_size=96"], "Name the net with --checkpoint_path"),
        (["--checkpoint_path=x", "--end_points=?"], "--end_points=? is for extract_features"),
        (["--checkpoint_path=x", "--image_key=image"], "A net and --image_key cannot be combined"),
        (["--checkpoint_path=gone", "--num_workers=1"], "gone"),
    ],
)
def test_a_net_that_does_not_fit_is_refused_before_images_are_read(
    image_dir: Path, capsys: pytest.CaptureFixture[str], flags: list[str], complaint: str
) -> None:
    assert COMMAND.main([str(image_dir), *flags]) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.slow
def test_of_swapped_labels_of_flowers_four_fifths_are_in_the_first_tenth(shared_data: Path, tmp_path: Path) -> None:
    checkpoint = shared_data / "checkpoints/mobilenet_v2_1.0_224/mobilenet_v2_1.0_224.ckpt"
    images = list_images(ListedImages(image_dir=str(shared_data / "flowers")))
    net = load_feature_net(FeatureNetOptions(checkpoint_path=str(checkpoint)), UserCodeOptions())
    vectors, keys = image_features(net, images, tmp_path)
    labels = np.array([row.label for row in images.rows], np.int64)
    random = np.random.default_rng(0)
    swapped = random.choice(len(labels), len(labels) // 20, replace=False)
    labels[swapped] = (labels[swapped] + random.integers(1, 5, len(swapped))) % 5
    order = doubtful_labels(vectors, labels, keys, 5).order
    assert np.isin(swapped, order[: len(labels) // 10]).mean() >= 0.8
