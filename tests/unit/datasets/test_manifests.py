"""Record files with manifests."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from datasets.errors import DataError
from datasets.files import Stamp
from datasets.manifests import (
    SourceDigest,
    finished_files,
    is_written,
    read_manifest,
    sweep,
    take_over,
    tally_of,
    written,
)
from datasets.workers import Chunk, ConvertedChunk, Rejection

_IMAGES = [("b/1.jpg", 1), ("a/\udcff.jpg", 0), ("b/2.jpg", 1)]
_BAD = Rejection("a/\udcff.jpg", "test", 0, "truncated", "no end")


@dataclass
class _Reader:
    """Every image has one stamp."""

    text: str = "10 1"

    def stamp(self, name: str) -> Stamp:
        return Stamp(self.text, 10)


def _digest(flags: str = "", classes: str = "ab", stamp: str = "10 1") -> SourceDigest:
    return SourceDigest(flags, classes, _Reader(stamp))  # type: ignore[arg-type]


def _write(staged: Path, file_name: str = "x.tfrecord", records: bytes = b"records") -> None:
    digest = _digest()
    names, labels, _ = map(list, zip(*digest.passing(_IMAGES), strict=True))
    chunk = Chunk("test", file_name, names, labels)
    with written(staged, "test", file_name, digest, 2, stop_at_bad_image=False) as add:
        add(chunk, ConvertedChunk(records, [_BAD], (8, 9), (10, 11)))


@pytest.fixture
def staged(tmp_path: Path) -> Path:
    """A folder of unfinished conversions."""
    folder = tmp_path / ".converting"
    take_over(folder, tmp_path)
    return folder


def _is_there(staged: Path, digest: SourceDigest | None = None, stop: bool = False) -> bool:
    return is_written(staged, "test", "x.tfrecord", lambda: (digest or _digest()).all_of(_IMAGES), stop)


def _names(folder: Path) -> Iterator[str]:
    return (str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_file_is_known_by_its_images_and_its_checksum(staged: Path) -> None:
    assert not _is_there(staged)
    _write(staged)
    assert _is_there(staged)
    (staged / "x.tfrecord").write_bytes(b"recordz")
    assert not _is_there(staged)


@pytest.mark.parametrize("change", [{"flags": "512"}, {"classes": "ac"}, {"stamp": "10 2"}])
def test_other_flags_classes_or_times_are_another_file(staged: Path, change: dict[str, str]) -> None:
    _write(staged)
    assert not _is_there(staged, _digest(**change))


def test_the_order_of_the_images_counts() -> None:
    assert _digest().all_of(_IMAGES) != _digest().all_of(_IMAGES[::-1])


def test_a_file_without_a_bad_image_does_for_a_run_that_skips_them_alone(staged: Path) -> None:
    _write(staged)
    with pytest.raises(DataError, match="Bad image a/.*jpg: truncated"):
        _is_there(staged, stop=True)


def test_manifests_give_back_the_counts_of_their_files(staged: Path) -> None:
    _write(staged)
    _write(staged, "y.tfrecord", b"more records")
    tally = tally_of(staged, {"test": ["x.tfrecord", "y.tfrecord"]}, 3)
    assert tally.class_counts == {"test": [0, 4, 0]}
    assert tally.rejections == [_BAD, _BAD]
    assert (tally.heights, tally.widths, tally.num_bytes) == ((8, 9), (10, 11), 19)


def test_a_file_of_another_size_than_its_manifest_says_is_an_error(staged: Path) -> None:
    _write(staged)
    (staged / "x.tfrecord").write_bytes(b"half")
    with pytest.raises(DataError, match=r"x\.tfrecord is not what was written"):
        tally_of(staged, {"test": ["x.tfrecord"]}, 2)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"size": 1}'])
def test_a_manifest_that_is_not_whole_counts_for_nothing(staged: Path, text: str) -> None:
    (staged / "manifests").mkdir()
    (staged / "manifests" / "x.tfrecord.json").write_text(text)
    assert read_manifest(staged, "x.tfrecord") is None


def test_a_block_that_fails_leaves_no_file(staged: Path) -> None:
    with pytest.raises(ZeroDivisionError), written(staged, "test", "x.tfrecord", _digest(), 2, False):
        raise ZeroDivisionError
    assert not list(_names(staged))


@pytest.fixture
def left(staged: Path) -> Path:
    """Two files with manifests, and what killed processes left."""
    for name in ("a.tfrecord", "b.tfrecord"):
        _write(staged, name)
    (staged / "job-1" / "order").mkdir(parents=True)
    for name in (".a.1234.tfrecord", "c.tfrecord", "manifests/.b.tfrecord.12.json", "manifests/d.tfrecord.json"):
        (staged / name).write_bytes(b"half")
    return staged


def test_only_named_files_and_their_manifests_survive_a_sweep(left: Path) -> None:
    sweep(left, ["a.tfrecord"])
    assert {name for name in _names(left) if not name.startswith("job-1")} == {
        "a.tfrecord", "manifests", "manifests/a.tfrecord.json",
    }  # fmt: skip


def test_a_new_run_keeps_files_that_have_a_manifest(left: Path, tmp_path: Path) -> None:
    assert sorted(take_over(left, tmp_path)) == sorted(finished_files(left)) == ["a.tfrecord", "b.tfrecord"]
    assert set(_names(left)) == {
        "a.tfrecord", "b.tfrecord", "manifests", "manifests/a.tfrecord.json", "manifests/b.tfrecord.json",
    }  # fmt: skip


def test_files_that_were_moved_before_a_crash_are_taken_back_if_the_data_set_is_not_finished(
    left: Path, tmp_path: Path
) -> None:
    manifest = left / "manifests" / "d.tfrecord.json"
    content = manifest.read_bytes()
    for is_finished in (True, False):
        manifest.write_bytes(content)
        (tmp_path / "d.tfrecord").write_bytes(b"published")
        (tmp_path / "info.json").write_text(json.dumps({}))
        if not is_finished:
            (tmp_path / "info.json").unlink()
        take_over(left, tmp_path)
        assert (tmp_path / "d.tfrecord").exists() == is_finished
