"""The sheet of what a net sees in training."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import tfrecords
from slim_train.cli.show_augmentations import COMMAND
from slim_train.model.spec import ModelSpec
from slim_train.nets.factory import get_record
from slim_train.preprocessing.factory import get_recipe
from slim_train.training.augmentation_sheet import caption, displayed, note
from slim_train.training_options import AugmentationOptions


@pytest.fixture
def dataset_dir(tmp_path: Path) -> Path:
    """Twelve red images of one class."""
    buffer = io.BytesIO()
    Image.new("RGB", (32, 32), (200, 20, 20)).save(buffer, "PNG")
    records = [tfrecords.image_example(buffer.getvalue(), "png", 0, "red", 32, 32, f"{i}.png") for i in range(12)]
    tfrecords.write_records(str(tmp_path / "toy_train.tfrecord"), records)
    (tmp_path / "labels.txt").write_text("0:red\n")
    (tmp_path / "info.json").write_text(
        json.dumps({"name": "toy", "num_class": 1, "num_sample_train": 12, "num_sample_test": 0})
    )
    return tmp_path


def sheet(dataset_dir: Path, *flags: str) -> tuple[int, Path]:
    path = dataset_dir / "sheet.png"
    return COMMAND.main([f"--dataset_dir={dataset_dir}", "--batch_size=4", f"--output_file={path}", *flags]), path


@pytest.mark.parametrize("net", ["lenet", "vgg_16", "cifarnet"])
def test_the_sheet_shows_the_pictures_in_their_colours(dataset_dir: Path, net: str) -> None:
    code, path = sheet(dataset_dir, f"--model_name={net}", "--train_image_size=48", "--train_image_channels=3",
                       "--augmentation=none", "--num_images=5")  # fmt: skip
    assert code == 0
    pixels = np.asarray(Image.open(path)).reshape(-1, 3).astype(int)
    red = np.abs(pixels - (200, 20, 20)).max(axis=1) < 6
    # The cifarnet recipe makes a flat image 0 everywhere.
    assert (red.sum() > 5 * 190 * 190) == (net != "cifarnet")


def test_flags_of_training_are_taken_from_its_config_file(dataset_dir: Path) -> None:
    (dataset_dir / "config.yaml").write_text(f"dataset_dir: {dataset_dir}\nmodel_name: lenet\nlearning_rate: 0.1\n")
    path = dataset_dir / "of_config.png"
    assert COMMAND.main([f"--config={dataset_dir / 'config.yaml'}", f"--output_file={path}", "--batch_size=4"]) == 0
    assert path.is_file()


def test_an_unknown_augmentation_is_a_usage_error(dataset_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _ = sheet(dataset_dir, "--model_name=lenet", "--augmentation=face")
    assert code == 2
    assert "Did you mean faces" in capsys.readouterr().err


def test_what_preprocessing_did_is_undone_for_display() -> None:
    pixels = np.array([0, 51, 255])[:, np.newaxis] * np.ones((1, 1, 3, 3), np.int64)
    images = pixels * np.array([2, 1, 1]) / 255 - np.array([1.0, 0.5, 0.0])
    shown = displayed(images, np.array([-1.0, -0.5, 0.0]), np.array([1.0, 0.5, 1.0]))
    np.testing.assert_array_equal(shown, pixels)


@pytest.mark.parametrize(
    ("other", "share", "expected"),
    [
        (1, 0.75, [("daisy", "75%"), ("rose", "25%")]),
        (1, 0.2, [("rose", "80%"), ("daisy", "20%")]),
        (1, 0.996, ["daisy"]),
        (1, 0.004, ["rose"]),
        (0, 0.03, ["daisy"]),
    ],
)
def test_a_mixed_picture_names_each_class_once_with_its_share_the_larger_first(other, share, expected) -> None:
    batch = {"label": [0], "mixed_label": [other], "label_weight": [np.float32(share)]}
    assert caption(batch, 0, ["daisy", "rose"]) == expected


def test_the_line_below_the_title_tells_of_mixing_and_erasing_where_they_are_on() -> None:
    model = ModelSpec(get_record("lenet"), 7, labels_offset=0, image_size=48, channels=1, recipe=get_recipe("lenet"))
    everything = AugmentationOptions("randaugment", random_erasing=0.25, mixup_alpha=0.2, cutmix_alpha=1.0)
    assert note(model, AugmentationOptions()) == "preprocessing lenet · augmentation recipe · 48x48x1"
    assert note(model, everything) == (
        "preprocessing lenet · augmentation randaugment · erasing 0.25 · mixup 0.2 · CutMix 1 · 48x48x1"
    )
