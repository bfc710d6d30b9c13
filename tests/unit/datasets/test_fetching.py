"""Images at a URL, copied ahead of their conversion."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets import process_folder
from datasets.class_folders import FolderReader
from datasets.fetching import files_here, images_here, readable_here
from datasets.storage import path_of
from datasets.workers import Chunk


def _chunk(names: list[str]) -> Chunk:
    return Chunk("train", "x_train.tfrecord", names, [0] * len(names))


def _files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_images_are_here_when_their_chunk_comes_and_few_of_those_after_it(
    encoded: Callable[..., bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, names = path_of("ram://fetching/few"), [f"dog/{number}.jpg" for number in range(1000)]
    for name in names:
        (url / name).write_bytes(encoded())
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    given, most = [], 0
    with readable_here(FolderReader.of(url)) as images:
        for chunk in images.fetched([_chunk(names[start : start + 64]) for start in range(0, len(names), 64)]):
            assert [images.reader.load(name).height for name in chunk.names] == [8] * len(chunk.names)
            given += chunk.names
            most = max(most, len(_files(tmp_path)))
            images.remove(chunk)
        assert _files(tmp_path) == []
    assert given == names
    assert most < 500
    assert list(process_folder.own_folder().iterdir()) == []


def test_an_image_that_cannot_be_copied_ends_it() -> None:
    with (
        readable_here(FolderReader.of(path_of("ram://fetching/none"))) as images,
        pytest.raises(FileNotFoundError, match="ram://fetching/none/dog/1.jpg"),
    ):
        list(images.fetched([_chunk(["dog/1.jpg"])]))


def test_images_of_this_machine_stay_where_they_are(tmp_path: Path) -> None:
    reader = FolderReader.of(tmp_path)
    chunk = _chunk(["dog/1.jpg"])
    with readable_here(reader) as images:
        assert images.reader is reader
        assert list(images.fetched([chunk])) == [chunk]


def test_all_images_of_a_url_are_copied_for_as_long_as_they_are_needed(tmp_path: Path) -> None:
    url, names = path_of("ram://fetching/all"), [f"dog/{number}.jpg" for number in range(100)]
    for name in names:
        (url / name).write_text(name)
    with images_here(url, names) as folder:
        assert [(folder / name).read_text() for name in names] == names
    assert not folder.exists()
    with images_here(tmp_path, names) as folder:
        assert folder == tmp_path


def test_images_at_a_url_are_new_to_every_reader() -> None:
    url = path_of("ram://fetching/stamps")
    reader = FolderReader.of(url)
    assert reader.stamp("dog/1.jpg") == reader.stamp("dog/1.jpg")
    assert reader.stamp("dog/1.jpg") != FolderReader.of(url).stamp("dog/1.jpg")


def test_files_at_urls_are_copied_and_those_of_this_machine_are_not(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    path_of("memory://fetching/b").write_bytes(b"2")
    with files_here([str(tmp_path / "a"), "memory://fetching/b", "memory://fetching/b", "ram://fetching/c"]) as files:
        assert files[0] == str(tmp_path / "a")
        assert [Path(file).read_bytes() for file in files[:3]] == [b"1", b"2", b"2"]
        assert files[3] == "ram://fetching/c"  # is not there
    assert not Path(files[1]).exists()
