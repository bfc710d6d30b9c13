"""The files of a conversion are those of the release that held all names in memory, byte for byte."""

from __future__ import annotations

import base64
import csv
import hashlib
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datasets.convert import convert_dataset
from datasets.examples import features
from datasets.tfrecords import scan_records

# One gray pixel; constant, because encoders differ between versions.
_PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgBwAACQAIICPDjAAAAABJRU5ErkJggg==")


def _write(root: Path, names: list[str], data: bytes = _PNG) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


def _classes(root: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "été")
    _write(root, [f"big cat/{number} of a day.png" for number in range(40)])
    _write(root, [f"猫/{number}_nohash_{copy}.png" for number in range(6) for copy in range(5)])
    _write(root, [f"{decomposed}/in/doors/{number}.png" for number in range(9)])
    _write(root, [f"{decomposed}/{number}" for number in range(5)])
    _write(root, ["two/1.png", "two/2.png", "two/3.png", "two/bad.png"])
    _write(root, ["two/bad.png", "big cat/é.png", "big cat/7 of a day.png"], b"")
    _write(root, ["notes/a.txt", "notes/b.txt"], b"no image")
    (root / "nothing").mkdir()


def _splits(root: Path) -> None:
    for split, count in (("val", 4), ("train", 30), ("Testing", 7)):
        _write(root, [f"{split}/{name}/{number}.png" for name in ("a b", "ö", "c") for number in range(count)])
    _write(root, ["train/c/3.png", "val/d/1.png"], b"")
    _write(root, ["train/d/1.png", "Testing/d/0.png"])


def _tiny_class(root: Path) -> None:
    _write(root, [f"a/{number}.png" for number in range(30)])
    _write(root, [f"b/{number}.png" for number in range(8)])
    _write(root, [f"b/{number}.png" for number in range(2, 8)], b"")


def _csv(root: Path, usage: bool) -> None:
    root.mkdir()
    rows = [["emotion", "pixels", "Usage"] if usage else ["emotion", "pixels"]]
    for number in range(60):
        row = [str(number * 7 % 5), " ".join(["7"] * (2304 if number != 17 else 3))]
        rows.append([*row, ("Training", "PublicTest", "PrivateTest")[number % 3]] if usage else row)
    with (root / "fer2013.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)


def _csv_with_splits(root: Path) -> None:
    _csv(root, usage=True)


def _csv_without_splits(root: Path) -> None:
    _csv(root, usage=False)


def _digest(out: Path, name: str) -> str:
    """SHA-1 of all files; of rejected.csv without Pillow's words, of a csv file's images without zlib's bytes."""
    digest = hashlib.sha1()
    for path in sorted(out.iterdir()):
        digest.update(path.name.encode())
        if path.name == "rejected.csv":
            with path.open(newline="", encoding="utf-8") as file:
                digest.update(repr([row[:4] for row in csv.reader(file)]).encode())
        elif name == "fer" and path.suffix == ".tfrecord":
            for _, record in scan_records(path):
                found = features(record)
                digest.update(repr([found["image/filename"], found["image/class/label"]]).encode())
        else:
            digest.update(path.read_bytes())
    return digest.hexdigest()


@pytest.mark.parametrize(
    ("layout", "name", "options", "sha1"),
    [
        (_classes, "image_folder", {"num_shards": 3}, "8506cda410df"),
        (_classes, "image_folder", {"seed": 7, "num_workers": 2}, "dd4c9f0a22ac"),
        (
            _classes,
            "image_folder",
            {"split_by": "filename_hash", "test_fraction": 0.5, "num_shards": 2},
            "83791f34f68c",
        ),
        (
            _classes,
            "image_folder",
            {"split_by": "filename_hash", "test_fraction": 0.02},
            "3f0259193f0e",
        ),
        (
            _classes,
            "image_folder",
            {"test_fraction": 0, "num_shards": 5, "seed": -1},
            "1033f60e0d24",
        ),
        (_splits, "image_folder", {"num_shards": 2}, "e8c1312da233"),
        (_tiny_class, "image_folder", {"test_fraction": 0.1}, "073ba184625b"),
        (
            _tiny_class,
            "image_folder",
            {"test_fraction": 0.1, "split_by": "filename_hash"},
            "8824637ad023",
        ),
        (_csv_with_splits, "fer", {"num_shards": 2}, "be1d999ac5d5"),
        (_csv_without_splits, "fer", {"seed": 3}, "fd2a8e056283"),
    ],
)
def test_the_files_are_those_of_before(
    layout: Callable[[Path], None], name: str, options: dict[str, Any], sha1: str, tmp_path: Path
) -> None:
    layout(tmp_path / "images")
    convert_dataset(name, tmp_path / "out", tmp_path / "images", **options)
    assert _digest(tmp_path / "out", name)[:12] == sha1
