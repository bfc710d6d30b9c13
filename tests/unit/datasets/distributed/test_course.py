"""Whole conversions by an engine: the files are those of one machine."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from datasets.convert import NotForClusters, convert_dataset
from datasets.distributed import course, ordering
from datasets.distributed.engine import BucketCount
from datasets.errors import DataError
from datasets.shrinking import Shrinking

COUNTS = {"ant": 40, "bee": 25, "cow": 9}


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones too."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def both(pictures: Path, tmp_path: Path, engine: Any, **options: Any) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """What one machine and the engine make of a folder."""
    for name, cluster in (("here", None), ("cluster", engine)):
        convert_dataset("image_folder", tmp_path / name, pictures, cluster=cluster, **options)
    return contents(tmp_path / "here"), contents(tmp_path / "cluster")


def add_bad_images(pictures: Path) -> None:
    (pictures / "ant" / "empty.jpg").touch()
    (pictures / "bee" / "cut, \n.jpg").write_bytes((pictures / "bee" / "1.jpg").read_bytes()[:-40])
    (pictures / "cow" / "link.jpg").symlink_to("nowhere")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"seed": 7, "num_shards": 4},
        {"split_by": "filename_hash", "num_shards": 2, "test_fraction": 0.2},
        {"test_fraction": 0, "num_shards": 3, "shrinking": Shrinking(9)},
    ],
    ids=str,
)
def test_the_files_are_those_of_one_machine(
    class_folders: Callable[[Mapping[str, int]], Path],
    tmp_path: Path,
    engine: Any,
    options: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ordering, "_IMAGES_PER_BUCKET", 10)
    pictures = class_folders(COUNTS)
    add_bad_images(pictures)
    here, cluster = both(pictures, tmp_path, engine, **options)
    assert cluster == here


def test_given_splits_are_kept(class_folders: Callable[[Mapping[str, int]], Path], tmp_path: Path, engine: Any) -> None:
    pictures = class_folders({"val/b": 5, "train/a": 30, "train/b": 20, "train/c": 4})
    here, cluster = both(pictures, tmp_path, engine, num_shards=2)
    assert cluster == here


def test_names_beyond_ascii_and_copies_of_an_image_are_ordered_as_on_one_machine(
    class_folders: Callable[[Mapping[str, int]], Path], tmp_path: Path, engine: Any
) -> None:
    pictures = class_folders({"b\u00e4r": 6, "a": 6})
    for name in ("\u00e9", "e\u0301 2", "\uff5a", "\U0001f33b", "x_nohash_2", "x_nohash_1", "x_nohash_10", "[*]"):
        os.link(pictures / "a" / "0.jpg", pictures / "a" / f"{name}.jpg")
    (pictures / "a" / os.fsdecode(b"\xff.jpg")).write_bytes((pictures / "a" / "1.jpg").read_bytes())
    for split_by in ("random", "filename_hash"):
        here, cluster = both(pictures, tmp_path / split_by, engine, split_by=split_by, test_fraction=0.5)
        assert cluster == here


def test_bad_images_that_leave_a_class_empty_in_a_split_are_left_out_of_the_split(
    class_folders: Callable[[Mapping[str, int]], Path], tmp_path: Path, engine: Any
) -> None:
    pictures = class_folders({"a": 3, "b": 20})
    convert_dataset("image_folder", tmp_path / "probe", pictures)
    train = (tmp_path / "probe" / "image_folder_train.tfrecord").read_bytes()
    (only_test,) = [n for n in range(3) if f"a/{n}.jpg".encode() not in train]
    (pictures / "a" / f"{only_test}.jpg").write_bytes(b"bad")
    for split_by in ("random", "filename_hash"):
        here, cluster = both(pictures, tmp_path / split_by, engine, split_by=split_by)
        assert cluster == here
        assert json.loads(cluster["info.json"])["splits"]["test"]["class_counts"]["a"] == 1


def test_tasks_that_run_twice_change_nothing(
    class_folders: Callable[[Mapping[str, int]], Path], tmp_path: Path, engine_of: Callable[[int], Any]
) -> None:
    pictures = class_folders(COUNTS)
    here, cluster = both(pictures, tmp_path, engine_of(2), num_shards=3)
    assert cluster == here


class Lost(Exception):
    """The cluster is gone."""


def test_a_second_run_writes_what_is_missing(
    class_folders: Callable[[Mapping[str, int]], Path], tmp_path: Path, engine: Any, caplog: pytest.LogCaptureFixture
) -> None:
    pictures, out = class_folders(COUNTS), tmp_path / "out"

    def fail(task: str, number: int) -> None:
        if task == "write_shard" and number == 5:
            raise Lost

    engine.before = fail
    with pytest.raises(Lost):
        convert_dataset("image_folder", out, pictures, cluster=engine, num_shards=4)
    assert {path.name for path in out.iterdir()} == {".converting"}
    staged = out / ".converting"
    assert len(list(staged.glob("*.tfrecord"))) == 5
    assert {path.name for path in staged.iterdir() if path.is_dir()} == {"manifests"}
    kept = {path.name: path.stat().st_mtime_ns for path in staged.glob("*.tfrecord")}
    damaged = staged / "image_folder_train-00001-of-00004.tfrecord"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"x")
    (staged / "image_folder_train-00002-of-00004.tfrecord").unlink()
    engine.before = lambda task, number: None
    with caplog.at_level(logging.INFO, logger=course.__name__):
        convert_dataset("image_folder", out, pictures, cluster=engine, num_shards=4)
    assert "3 of 8 record files were there from an earlier run" in caplog.text
    convert_dataset("image_folder", tmp_path / "here", pictures, num_shards=4)
    assert contents(out) == contents(tmp_path / "here")
    same = [name for name, time in kept.items() if (out / name).stat().st_mtime_ns == time]
    assert len(same) == 3


def test_an_image_that_has_changed_is_written_again(
    class_folders: Callable[[Mapping[str, int]], Path], tmp_path: Path, engine: Any
) -> None:
    pictures, out = class_folders(COUNTS), tmp_path / "out"

    def fail(task: str, number: int) -> None:
        if task == "write_shard" and number == 1:
            raise Lost

    engine.before = fail
    with pytest.raises(Lost):
        convert_dataset("image_folder", out, pictures, cluster=engine)
    engine.before = lambda task, number: None
    for path in pictures.glob("*/*.jpg"):
        os.utime(path, (1, 1))
        path.write_bytes((pictures / "ant" / "0.jpg").read_bytes())
    convert_dataset("image_folder", out, pictures, cluster=engine)
    convert_dataset("image_folder", tmp_path / "here", pictures)
    assert contents(out) == contents(tmp_path / "here")


def test_a_bad_image_of_an_interrupted_run_stops_one_that_stops_at_bad_images(
    class_folders: Callable[[Mapping[str, int]], Path], tmp_path: Path, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures, out = class_folders(COUNTS), tmp_path / "out"
    (pictures / "ant" / "empty.jpg").touch()

    def crash(staged: Path, folder: Path, name: str) -> None:
        raise Lost

    with monkeypatch.context() as patch, pytest.raises(Lost):
        patch.setattr("datasets.convert.publish", crash)
        convert_dataset("image_folder", out, pictures, cluster=engine)
    with pytest.raises(DataError, match=r"Bad image ant/empty.jpg"):
        convert_dataset("image_folder", out, pictures, cluster=engine, on_error="fail")


def test_files_that_were_moved_before_a_crash_are_taken_back(
    class_folders: Callable[[Mapping[str, int]], Path],
    tmp_path: Path,
    engine: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    pictures, out = class_folders(COUNTS), tmp_path / "out"

    def half(staged: Path, folder: Path, name: str) -> None:
        file = "image_folder_train-00000-of-00002.tfrecord"
        (staged / file).replace(folder / file)
        raise Lost

    with monkeypatch.context() as patch, pytest.raises(Lost):
        patch.setattr("datasets.convert.publish", half)
        convert_dataset("image_folder", out, pictures, cluster=engine, num_shards=2)
    with caplog.at_level(logging.INFO):
        convert_dataset("image_folder", out, pictures, cluster=engine, num_shards=2)
    assert "4 of 4 record files were there" in caplog.text
    convert_dataset("image_folder", tmp_path / "here", pictures, num_shards=2)
    assert contents(out) == contents(tmp_path / "here")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_shards": 30}, "num_shards=30 is more than split 'test' has images: 23"),
        ({"on_error": "fail"}, "Bad image bee/cut, \n.jpg: "),
    ],
    ids=["shards", "bad image"],
)
def test_what_stops_one_machine_stops_a_cluster(
    class_folders: Callable[[Mapping[str, int]], Path], tmp_path: Path, engine: Any, options: Any, message: str
) -> None:
    pictures = class_folders(COUNTS)
    (pictures / "bee" / "cut, \n.jpg").write_bytes((pictures / "bee" / "1.jpg").read_bytes()[:-40])
    with pytest.raises(DataError) as raised:
        convert_dataset("image_folder", tmp_path / "out", pictures, cluster=engine, **options)
    assert message in str(raised.value)


def test_an_engine_that_loses_images_is_found_out(
    class_folders: Callable[[Mapping[str, int]], Path], tmp_path: Path, engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "order", lambda *_: [BucketCount(0, 0, 50), BucketCount(0, 1, 20)])
    with pytest.raises(DataError, match="74 images were listed, and 70 of them were ordered"):
        convert_dataset("image_folder", tmp_path / "out", class_folders(COUNTS), cluster=engine)
    assert not (tmp_path / "out").exists()


def test_a_class_of_one_image_is_named_with_its_image(
    class_folders: Callable[[Mapping[str, int]], Path], tmp_path: Path, engine: Any
) -> None:
    pictures = class_folders({"a": 3, "b": 1})
    with pytest.raises(DataError, match="Class 'b' has a single usable image, b/0.jpg"):
        convert_dataset("image_folder", tmp_path / "out", pictures, cluster=engine)
    assert not (tmp_path / "out").exists()


def test_a_folder_without_images_is_refused_before_the_cluster_starts(tmp_path: Path) -> None:
    (tmp_path / "pictures").mkdir()
    with pytest.raises(DataError, match="holds no class folder"):
        convert_dataset("image_folder", tmp_path / "out", tmp_path / "pictures", cluster=pytest.fail)
    assert not (tmp_path / "out").exists()


def test_images_in_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NotForClusters, match="--dataset_name=mnist are in other files"):
        convert_dataset("mnist", tmp_path / "out", tmp_path, cluster=pytest.fail)


def test_an_empty_class_folder_is_no_class(
    class_folders: Callable[[Mapping[str, int]], Path], tmp_path: Path, engine: Any, caplog: pytest.LogCaptureFixture
) -> None:
    pictures = class_folders(COUNTS | {"nothing": 0, "notes": 0})
    (pictures / "notes" / "a.txt").write_text("text")
    with caplog.at_level(logging.INFO):
        here, cluster = both(pictures, tmp_path, engine)
    assert cluster == here
    assert caplog.text.count("none of its 1 files is an image") == 2
    assert caplog.text.count("empty class folder 'nothing'") == 2
