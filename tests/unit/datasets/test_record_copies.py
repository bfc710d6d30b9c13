"""Copies of record files on this machine."""

from __future__ import annotations

import errno
import gc
import os
import threading
from pathlib import Path

import pytest

from datasets import process_folder, record_copies
from datasets.errors import DataError
from datasets.record_copies import CopySettings, RecordCopies


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A slow store with four files of 100 bytes."""
    folder = tmp_path / "store"
    folder.mkdir()
    for number in range(4):
        (folder / f"x_train-{number}.tfrecord").write_bytes(bytes([number]) * 100)
    return folder


def _copies(folder: Path) -> list[str]:
    return sorted(path.name.partition(".tfrecord")[0] for path in folder.glob("*.copy"))


def _file(store: Path, number: int) -> str:
    return str(store / f"x_train-{number}.tfrecord")


def test_what_tensorflow_cannot_open_is_copied_without_a_folder_too() -> None:
    assert CopySettings().applies_to("memory://data/x")
    assert not CopySettings().applies_to("gs://data/x")
    assert CopySettings("/cache").applies_to("/data/x")


def test_a_file_is_copied_once_and_again_when_it_changes(store: Path, tmp_path: Path) -> None:
    settings = CopySettings(str(tmp_path / "cache"))
    for content in (b"\x01" * 100, b"\x01" * 100, b"new"):
        if content == b"new":
            Path(_file(store, 1)).write_bytes(content)
        copies = RecordCopies(settings)
        assert Path(copies.fetch(_file(store, 1))).read_bytes() == content
        assert len(_copies(tmp_path / "cache")) == 1 + (content == b"new")


def test_a_copy_that_was_cut_short_is_made_again(store: Path, tmp_path: Path) -> None:
    settings = CopySettings(str(tmp_path / "cache"))
    RecordCopies(settings).fetch(_file(store, 1))
    (copy,) = (tmp_path / "cache").glob("*.copy")
    copy.write_bytes(b"half")
    copies = RecordCopies(settings)
    assert Path(copies.fetch(_file(store, 1))).read_bytes() == b"\x01" * 100


def test_copies_in_a_temporary_folder_that_are_in_use_stay_readable(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_copies.tempfile, "tempdir", str(tmp_path))
    copies = RecordCopies(CopySettings(max_bytes=150))
    paths = [Path(copies.fetch(_file(store, number))) for number in range(4)]
    assert [path.read_bytes()[0] for path in paths] == [0, 1, 2, 3]


def test_copies_are_bounded_and_those_in_use_stay_readable(store: Path, tmp_path: Path) -> None:
    settings = CopySettings(str(tmp_path / "cache"), max_bytes=250)
    copies = RecordCopies(settings)
    paths = []
    for number in range(3):
        paths.append(Path(copies.fetch(_file(store, number))))
        for age, copy in enumerate(sorted((tmp_path / "cache").glob("*.copy"), reverse=True), 1):
            os.utime(copy, (1e9 - age, 1e9 - age))
    assert _copies(tmp_path / "cache") == ["x_train-1", "x_train-2"]
    assert [path.read_bytes()[0] for path in paths] == [0, 1, 2]
    copies.release(str(paths[0]))
    assert [path.exists() for path in paths] == [False, True, True]


def test_files_of_a_temporary_folder_go_with_the_reader(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_copies.tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    copies = RecordCopies(CopySettings())
    assert Path(copies.fetch(_file(store, 0))).is_file()
    (base,) = (tmp_path / "temporary").iterdir()
    assert len(list(base.iterdir())) == 1  # the folder of the process
    del copies
    gc.collect()
    assert list(base.iterdir()) == []


def test_what_a_killed_process_left_is_removed_by_the_next(store: Path, tmp_path: Path) -> None:
    settings = CopySettings(str(tmp_path / "cache"))
    living = RecordCopies(settings)
    path = Path(living.fetch(_file(store, 0)))
    left = tmp_path / "cache" / ".in-use-killed"
    left.mkdir()
    (left / "x").write_bytes(b"x")
    RecordCopies(settings)
    assert not left.exists()
    assert path.is_file()


def test_readers_at_the_same_time_share_the_copies(store: Path, tmp_path: Path) -> None:
    settings = CopySettings(str(tmp_path / "cache"))
    found: list[bytes] = []

    def read() -> None:
        copies = RecordCopies(settings)
        found.extend(Path(copies.fetch(_file(store, number))).read_bytes()[:1] for number in range(4))

    threads = [threading.Thread(target=read) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == sorted(bytes([number]) for number in range(4) for _ in threads)
    assert len(_copies(tmp_path / "cache")) == 4


def test_a_file_that_is_missing_and_a_folder_that_cannot_be_made_are_named(store: Path, tmp_path: Path) -> None:
    copies = RecordCopies(CopySettings(str(tmp_path / "cache")))
    with pytest.raises(DataError, match=r"Cannot copy .*x_train-9\.tfrecord: No such file"):
        copies.fetch(_file(store, 9))
    with pytest.raises(DataError, match="--cache_dir=.*cannot be written"):
        RecordCopies(CopySettings(_file(store, 0)))


def test_a_store_that_fails_is_asked_again(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(record_copies, "_FIRST_WAIT_SECS", 0.001)
    failures = [OSError(5, "away"), OSError(5, "away")]
    copy_file = record_copies.copy_file

    def sometimes(source: Path, target: Path) -> None:
        if failures:
            raise failures.pop()
        copy_file(source, target)

    monkeypatch.setattr(record_copies, "copy_file", sometimes)
    copies = RecordCopies(CopySettings(str(tmp_path / "cache")))
    assert Path(copies.fetch(_file(store, 2))).read_bytes() == b"\x02" * 100
    assert caplog.text.count("away. Trying again") == 1


def test_without_hard_links_a_copy_is_copied(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refused)
    monkeypatch.setattr(os, "utime", refused)
    copies = RecordCopies(CopySettings(str(tmp_path / "cache")))
    path = Path(copies.fetch(_file(store, 2)))
    assert path.read_bytes() == b"\x02" * 100
    copies.release(str(path))
    assert not path.exists()


def test_copies_of_another_user_are_kept_if_they_cannot_be_removed(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copies = RecordCopies(CopySettings(str(tmp_path / "cache"), max_bytes=150))
    copies.fetch(_file(store, 0))
    unlink = Path.unlink

    def refused(path: Path, missing_ok: bool = False) -> None:
        if path.suffix == ".copy" and path.parent == tmp_path / "cache":
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    assert Path(copies.fetch(_file(store, 1))).read_bytes() == b"\x01" * 100


def test_a_folder_that_another_process_is_about_to_remove_is_given_up(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, taken = process_folder.fcntl.flock, []

    def first_taken(descriptor: int, how: int) -> None:
        if not taken:
            taken.append(descriptor)
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        flock(descriptor, how)

    monkeypatch.setattr(process_folder.fcntl, "flock", first_taken)
    copies = RecordCopies(CopySettings(str(tmp_path / "cache")))
    assert Path(copies.fetch(_file(store, 0))).is_file()
    assert taken


def test_a_temporary_folder_of_another_user_is_not_used(
    store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record_copies.tempfile, "tempdir", str(tmp_path / "temporary"))
    planted = tmp_path / "temporary" / f"slim-train-records-{os.getuid()}"
    planted.mkdir(parents=True)
    planted.chmod(0o777)
    copies = RecordCopies(CopySettings())
    path = Path(copies.fetch(_file(store, 0)))
    assert path.is_file()
    assert planted not in path.parents
    del copies
    gc.collect()
    assert list((tmp_path / "temporary").iterdir()) == [planted]
