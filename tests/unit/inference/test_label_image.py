from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from datasets import storage
from datasets.storage import path_of
from slim_train import config
from slim_train.errors import RunError, UsageError
from slim_train.inference import label_image
from slim_train.inference.options import LabelImageOptions
from slim_train.inference.predictor import load_predictor

Photo = Callable[..., bytes]


def options(**flags: Any) -> LabelImageOptions:
    return config.with_values(LabelImageOptions(), flags)


@pytest.fixture
def folder(photo: Photo, tmp_path: Path) -> Path:
    """Two images, and one that is none."""
    (tmp_path / "a.jpg").write_bytes(photo(seed=1))
    (tmp_path / "b.png").write_bytes(photo("PNG", mode="RGBA", seed=2))
    (tmp_path / "broken.jpg").write_bytes(photo()[:300])
    return tmp_path


def test_one_picture_gives_its_five_likeliest_classes(training_folder: Path, folder: Path) -> None:
    text = label_image.run(options(train_dir=str(training_folder), image=str(folder / "a.jpg")))
    scores = load_predictor(training_folder).predict([(folder / "a.jpg").read_bytes()])[0]
    best = sorted(zip(scores, ("daisy", "dandelion", "roses", "sunflowers", "tulips"), strict=True), reverse=True)
    assert [line.split() for line in text.splitlines()] == [[f"{score:.4%}", label] for score, label in best]


def test_a_folder_is_labelled_and_what_cannot_be_read_is_said(training_folder: Path, folder: Path) -> None:
    text = label_image.run(options(train_dir=str(training_folder), image=str(folder), top=1))
    lines = text.splitlines()
    assert lines[0] == str(folder / "a.jpg")
    assert lines[3] == str(folder / "b.png")
    assert lines[6:] == [str(folder / "broken.jpg"), lines[7]]
    assert "cannot be read: truncated" in lines[7]


def test_json_holds_the_same_on_screen_and_in_a_file(training_folder: Path, folder: Path) -> None:
    flags = {"json": True, "top": 2, "output_file": str(folder / "labels.json")}
    text = label_image.run(options(train_dir=str(training_folder), image=str(folder), **flags))
    answer = json.loads(text)
    assert answer == json.loads((folder / "labels.json").read_text())
    assert answer["model"] == "cifarnet"
    assert [Path(entry["image"]).name for entry in answer["images"]] == ["a.jpg", "b.png", "broken.jpg"]
    assert [len(entry.get("labels", ())) for entry in answer["images"]] == [2, 2, 0]
    first, second = answer["images"][0]["labels"]
    assert first["probability"] >= second["probability"]
    assert "truncated" in answer["images"][2]["error"]


def test_the_contact_sheet_shows_every_picture(training_folder: Path, folder: Path) -> None:
    sheets = []
    for image in (folder / "a.jpg", folder):
        sheet = folder.parent / f"{folder.name}-{image.name}.png"
        label_image.run(options(train_dir=str(training_folder), image=str(image), contact_sheet=str(sheet)))
        sheets.append(Image.open(sheet))
    one, three = sheets
    assert three.width > one.width or three.height > one.height


def test_of_a_great_many_pictures_the_first_are_drawn(
    training_folder: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(label_image, "_MOST_TILES", 2)
    monkeypatch.setattr(label_image, "draw_contact_sheet", lambda _, tiles, *text: drawn.append((len(tiles), *text)))
    label_image.run(options(train_dir=str(training_folder), image=str(folder), contact_sheet=str(folder / "s.png")))
    assert drawn == [(2, "cifarnet", "the first 2 of 3 images and their likeliest classes")]


@pytest.mark.slow
def test_where_the_net_looks_is_drawn_beside_each_picture_and_to_files(training_folder: Path, folder: Path) -> None:
    flags = {"train_dir": str(training_folder), "image": str(folder), "json": True}
    label_image.run(options(contact_sheet=str(folder.parent / "plain.png"), **flags))
    answer = json.loads(
        label_image.run(
            options(contact_sheet=str(folder.parent / "s.png"), explain=True, explain_dir=str(folder / "heat"), **flags)
        )
    )
    files = [Path(entry["heat"]) for entry in answer["images"] if "heat" in entry]
    assert [file.name for file in files] == ["a.jpg_heat.jpg", "b.png_heat.jpg"]
    assert all(Image.open(file).size == (224, 224) for file in files)
    plain, sheet = (Image.open(folder.parent / name) for name in ("plain.png", "s.png"))
    assert sheet.height > plain.height


def test_an_explanation_without_a_place_for_it_is_refused(training_folder: Path, folder: Path) -> None:
    with pytest.raises(UsageError, match="give --contact_sheet or --explain_dir"):
        label_image.run(options(train_dir=str(training_folder), image=str(folder), explain=True))


def test_pictures_none_of_which_can_be_read_are_a_failure(training_folder: Path, folder: Path) -> None:
    with pytest.raises(RunError, match=r"broken\.jpg: truncated"):
        label_image.run(options(train_dir=str(training_folder), image=str(folder / "broken.jpg")))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ({}, "--graph, --saved_model_dir or --train_dir; none"),
        ({"graph": "a.pb", "train_dir": "b"}, "not --graph and --train_dir"),
        ({"graph": "gone.pb"}, "gone.pb does not exist"),
        ({"graph": "gone.pb", "image": "gone.jpg"}, "no image at gone.jpg"),
        ({"graph": "gone.pb", "contact_sheet": "no/such/folder.png"}, "--contact_sheet: there is no folder"),
        ({"graph": "gone.pb", "contact_sheet": "sheet.xyz"}, "--contact_sheet=sheet.xyz: a sheet is an image"),
        ({"graph": "gone.pb", "contact_sheet": "sheet"}, "--contact_sheet=sheet: a sheet is an image"),
    ],
)
def test_wrong_flags_are_usage_errors(flags: dict[str, str], message: str, folder: Path) -> None:
    with pytest.raises(UsageError, match=message):
        label_image.run(options(**({"image": str(folder)} | flags)))


def test_released_weights_know_the_four_pictures(shared_data: Any, tmp_path: Path) -> None:
    """A checkpoint without any file beside it, told what it is."""
    from slim_train.exporting import run
    from slim_train.exporting.options import ExportOptions

    images = shared_data / "images"
    flags = {
        "checkpoint_path": str(shared_data / "checkpoints" / "mobilenet_v2_1.0_224"),
        "model_name": "mobilenet_v2",
        "labels": str(images / "imagenet_labels.txt"),
        "output_file": str(tmp_path / "net.pb"),
        "check_images": str(images),
    }
    run.run(config.with_values(ExportOptions(), flags))
    answer = json.loads(label_image.run(options(graph=str(tmp_path / "net.pb"), image=str(images), json=True)))
    best = {Path(entry["image"]).stem: entry["labels"][0]["label"] for entry in answer["images"]}
    assert best == {
        "bird": "chickadee",
        "cat": "Egyptian cat",
        "grace_hopper": "military uniform",
        "hot_dog": "hotdog, hot dog, red hot",
    }


def test_images_and_model_at_urls_are_labelled_and_the_answers_written_there(
    training_folder: Path, folder: Path
) -> None:
    url = path_of("ram://label")
    storage.copy_folder(training_folder, url / "model")
    storage.copy_folder(folder, url / "images")
    flags = {"top": 1, "output_file": "ram://label/out/labels.json", "contact_sheet": "ram://label/out/sheet.png"}
    text = label_image.run(options(train_dir="ram://label/model", image="ram://label/images/a.jpg", **flags))
    assert text == label_image.run(options(train_dir=str(training_folder), image=str(folder / "a.jpg"), top=1))
    assert json.loads((url / "out" / "labels.json").read_text())["model"] == "cifarnet"
    assert (url / "out" / "sheet.png").read_bytes().startswith(b"\x89PNG")
