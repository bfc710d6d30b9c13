from __future__ import annotations

import threading
from pathlib import Path

import pytest

from datasets.made_folders import made_folder


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SLIM_TRAIN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def copy(source: Path, folder: Path) -> None:
    folder.mkdir()
    (folder / "copy").write_bytes(source.read_bytes())


def test_a_folder_is_made_once_for_each_content_and_version(tmp_path: Path) -> None:
    path, other = tmp_path / "a.bin", tmp_path / "b.json"
    path.write_bytes(b"1")
    first = made_folder("things", "a", path, copy, [other])
    assert (first / "copy").read_bytes() == b"1"
    (first / "mark").touch()
    assert (made_folder("things", "a", path, copy, [other]) / "mark").exists()
    folders = {first, made_folder("things", "a", path, copy, [other], version="2")}
    for changed in (other, path):
        changed.write_bytes(b"12")
        folders.add(made_folder("things", "a", path, copy, [other]))
    assert len(folders) == 4


def test_two_that_make_it_at_the_same_time_get_the_same_folder(tmp_path: Path, cache: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"1")
    barrier = threading.Barrier(2, timeout=10)
    found: list[Path] = []

    def make(source: Path, folder: Path) -> None:
        copy(source, folder)
        barrier.wait()

    threads = [
        threading.Thread(target=lambda: found.append(made_folder("things", "a", tmp_path / "a.bin", make)))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2 and found[0] == found[1]
    assert list((cache / "things").iterdir()) == [found[0]]


def test_a_failure_leaves_nothing_behind(tmp_path: Path, cache: Path) -> None:
    def fail(source: Path, folder: Path) -> None:
        copy(source, folder)
        raise OSError("full")

    (tmp_path / "a.bin").write_bytes(b"1")
    with pytest.raises(OSError, match="full"):
        made_folder("things", "a", tmp_path / "a.bin", fail)
    assert list((cache / "things").iterdir()) == []
