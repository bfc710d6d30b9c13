"""Folders that are locked while their process lives."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from datasets import process_folder

_USE = """
import os, signal, sys
from datasets.process_folder import new_folder
print(new_folder(), flush=True)
if sys.argv[1] == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
if sys.argv[1] == "forks" and os.fork() == 0:
    sys.exit()
if sys.argv[1] == "forks":
    os.wait()
    print(new_folder(), flush=True)
"""


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder for temporary files."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(process_folder.tempfile, "tempdir", str(folder))
    monkeypatch.setenv("TMPDIR", str(folder))
    return folder


def _use(how: str, code: int = 0) -> list[Path]:
    """Return the folders that another process has made."""
    done = subprocess.run([sys.executable, "-c", _USE, how], stdout=subprocess.PIPE, text=True, check=False)
    assert done.returncode == code
    return [Path(line) for line in done.stdout.splitlines()]


def test_a_process_that_ends_removes_its_folders(temporary: Path) -> None:
    (folder,) = _use("ends")
    assert not folder.parent.exists()
    assert temporary in folder.parents


def test_what_a_killed_process_left_is_removed_by_the_next(temporary: Path) -> None:
    living = process_folder.new_folder()
    (left,) = _use("dies", -signal.SIGKILL)
    assert left.is_dir()
    _use("ends")
    assert not left.exists()
    assert living.is_dir()


def test_a_copy_of_the_process_that_ends_removes_nothing(temporary: Path) -> None:
    assert len(_use("forks")) == 2


def test_a_folder_that_was_removed_by_others_is_made_again() -> None:
    shutil.rmtree(process_folder.own_folder())
    assert process_folder.new_folder().is_dir()


def test_a_folder_that_is_to_stay_is_moved_out_with_its_files(temporary: Path) -> None:
    folder = process_folder.new_folder()
    (folder / "a").write_text("a")
    kept = process_folder.to_stay(folder)
    assert (kept / "a").read_text() == "a"
    assert kept.parent == temporary


def test_the_name_may_be_taken_by_another_user(temporary: Path) -> None:
    planted = temporary / f"slim-train-{os.getuid()}"
    planted.mkdir(mode=0o777)
    planted.chmod(0o777)
    assert planted not in process_folder.new_folder().parents
