"""Files that are either whole or absent."""

from __future__ import annotations

import os
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from datasets.files import cache_folder, own_temporary_folder, replacing, replacing_synced


def test_a_file_appears_when_the_block_ends(tmp_path):
    path = tmp_path / "out.png"
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.suffix == ".png"
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_what_the_machine_refuses_is_told_of_the_file_and_not_of_its_temporary_name(tmp_path):
    folder = tmp_path / "out.png"
    folder.mkdir()
    with pytest.raises(IsADirectoryError) as told, replacing(folder) as temporary:
        temporary.write_text("whole")
    assert told.value.filename == str(folder)
    assert list(tmp_path.iterdir()) == [folder]


def test_a_synced_file_is_on_the_disk_before_it_appears(tmp_path, monkeypatch):
    path, synced = tmp_path / "file", []
    monkeypatch.setattr(os, "fsync", lambda descriptor: synced.append((os.fstat(descriptor).st_size, path.exists())))
    with replacing_synced(path) as file:
        file.write(b"whole")
    assert synced == [(5, False)]
    assert path.read_bytes() == b"whole"


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "out.png"
    path.write_text("old")
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_at_once_write_two_files_and_the_last_one_stays(tmp_path):
    path = tmp_path / "labels.txt"
    with ExitStack() as first, replacing(path) as second:
        temporary = first.enter_context(replacing(path))
        temporary.write_text("first")
        second.write_text("second")
        first.close()
        assert path.read_text() == "first"
    assert path.read_text() == "second"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_is_whole_at_any_time_while_many_write_it(tmp_path):
    path = tmp_path / "info.json"

    def write(number: int) -> str:
        with replacing(path) as temporary:
            temporary.write_text(str(number) * 10_000)
        return path.read_text()

    with ThreadPoolExecutor(4) as pool:
        read = list(pool.map(write, range(10)))
    assert {(len(text), len(set(text))) for text in read} == {(10_000, 1)}
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("umask", [0o022, 0o027, 0o077])
def test_a_file_has_the_permissions_that_open_gives(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        (tmp_path / "plain").write_text("")
        with replacing(tmp_path / "replaced") as temporary:
            temporary.write_text("")
    finally:
        os.umask(before)
    assert (tmp_path / "replaced").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_the_cache_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SLIM_TRAIN_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("SLIM_TRAIN_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "slim-train"


def test_a_temporary_folder_is_for_this_user_only_and_found_again(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    folder = own_temporary_folder("own")
    assert folder.stat().st_mode & 0o777 == 0o700
    assert own_temporary_folder("own") == folder == tmp_path / "own"


@pytest.mark.parametrize("planted", ["open to others", "link", "file", "of another user"])
def test_a_temporary_folder_in_which_others_may_write_is_refused(tmp_path, monkeypatch, planted):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    if planted == "link":
        (tmp_path / "elsewhere").mkdir(mode=0o700)
        (tmp_path / "own").symlink_to(tmp_path / "elsewhere")
    elif planted == "file":
        (tmp_path / "own").touch(mode=0o600)
    else:
        (tmp_path / "own").mkdir(mode=0o700)
    if planted == "open to others":
        (tmp_path / "own").chmod(0o770)
    if planted == "of another user":
        monkeypatch.setattr(os, "getuid", lambda: (tmp_path / "own").stat().st_uid + 1)
    with pytest.raises(PermissionError, match="only you can use"):
        own_temporary_folder("own")
