"""Conversions that are interrupted, and go on: the files are those of an undisturbed run."""

from __future__ import annotations

import logging
import os
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from datasets.convert import convert_dataset
from datasets.errors import DataError
from datasets.shrinking import Shrinking


class _Interrupted(Exception):
    """Stands for Ctrl-C, a full disk, a lost mount."""


@pytest.fixture
def pictures(class_folders: Callable[..., Path]) -> Path:
    """Two classes with bad images in most record files."""
    root = class_folders({"a": 150, "b b/in": 150})
    for number in range(20):
        (root / "a" / f"bad {number}.jpg").write_bytes(b"bad"[: number % 2])
    return root


def _contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def _interrupt(pictures: Path, out: Path, **options: Any) -> None:
    """Convert until most of the images are done."""

    def stop(what: str, done: int, total: int, unit: str) -> None:
        if done > 0.8 * total:
            raise _Interrupted

    with pytest.raises(_Interrupted):
        convert_dataset("image_folder", out, pictures, on_progress=stop, **options)
    assert list(out.iterdir()) == [out / ".converting"]


def _undisturbed(pictures: Path, tmp_path: Path, **options: Any) -> dict[str, bytes]:
    convert_dataset("image_folder", tmp_path / "undisturbed", pictures, **options)
    return _contents(tmp_path / "undisturbed")


def test_a_conversion_that_is_killed_at_every_turn_ends_with_the_same_files(pictures: Path, tmp_path: Path) -> None:
    script = """
        import os, signal, sys
        from pathlib import Path
        from datasets.convert import convert_dataset

        left, replace = int(sys.argv[3]), Path.replace

        def replace_or_die(path, target):
            global left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return replace(path, target)

        if __name__ == "__main__":
            Path.replace = replace_or_die
            convert_dataset("image_folder", sys.argv[1], sys.argv[2], num_shards=4, num_workers=2)
    """
    out, killed = tmp_path / "out", 0
    # Every file appears by a rename: record files, their manifests, and all of them in the output folder at the end.
    while not (out / "info.json").exists():
        arguments = [str(out), str(pictures), str(4 + 3 * killed)]
        run = subprocess.run([sys.executable, "-c", textwrap.dedent(script), *arguments], timeout=60, check=False)
        killed += run.returncode == -signal.SIGKILL
        assert run.returncode in (0, -signal.SIGKILL)
    assert killed > 3
    assert _contents(out) == _undisturbed(pictures, tmp_path, num_shards=4)


def test_files_that_are_finished_are_not_written_again(
    pictures: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _interrupt(pictures, tmp_path / "out", num_shards=5)
    kept = {path.name: path.stat().st_mtime_ns for path in (tmp_path / "out" / ".converting").glob("*.tfrecord")}
    assert len(kept) > 5
    damaged = sorted(kept)[0]
    with (tmp_path / "out" / ".converting" / damaged).open("r+b") as file:
        file.write(b"damage")
    told: list[int] = []
    with caplog.at_level(logging.INFO):
        convert_dataset(
            "image_folder", tmp_path / "out", pictures, num_shards=5, on_progress=lambda *args: told.append(args[1])
        )
    assert f"{len(kept) - 1} of 10 record files were there from an earlier run" in caplog.text
    assert told == sorted(told)
    assert told[-1] == 320
    same = [name for name, time in kept.items() if (tmp_path / "out" / name).stat().st_mtime_ns == time]
    assert sorted(same) == sorted(kept)[1:]
    assert _contents(tmp_path / "out") == _undisturbed(pictures, tmp_path, num_shards=5)


@pytest.mark.parametrize(
    "options",
    [
        {"seed": 1},
        {"num_shards": 3},
        {"test_fraction": 0.25},
        {"split_by": "filename_hash"},
        {"shrinking": Shrinking(9)},
    ],
    ids=str,
)
@pytest.mark.slow
def test_other_flags_take_nothing_of_the_files_of_before(pictures: Path, tmp_path: Path, options: Any) -> None:
    _interrupt(pictures, tmp_path / "out", num_shards=4)
    options = {"num_shards": 4} | options
    convert_dataset("image_folder", tmp_path / "out", pictures, **options)
    assert _contents(tmp_path / "out") == _undisturbed(pictures, tmp_path, **options)


def test_an_image_that_changes_between_the_runs_is_in_the_data_set_as_it_is_now(pictures: Path, tmp_path: Path) -> None:
    _interrupt(pictures, tmp_path / "out", num_shards=4)
    for number in range(0, 150, 10):
        changed = pictures / "a" / f"{number}.jpg"
        changed.write_bytes((pictures / "b b" / "in" / f"{number + 1}.jpg").read_bytes())
        os.utime(changed, ns=(7, 7))
    (pictures / "a" / "bad 1.jpg").unlink()
    convert_dataset("image_folder", tmp_path / "out", pictures, num_shards=4)
    assert _contents(tmp_path / "out") == _undisturbed(pictures, tmp_path, num_shards=4)


def test_images_of_another_folder_are_others_even_with_the_same_names_sizes_and_times(
    pictures: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    shutil.copytree(pictures, other)
    for path in other.rglob("[0-9]*.jpg"):
        status = path.stat()
        path.write_bytes(path.read_bytes()[:-20] + b"\0" * 20)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    _interrupt(pictures, tmp_path / "out", num_shards=4)
    with pytest.raises(DataError, match="Class 'a' has no usable image"):
        convert_dataset("image_folder", tmp_path / "out", other, num_shards=4)


def test_a_bad_image_of_an_interrupted_run_stops_one_that_stops_at_bad_images(pictures: Path, tmp_path: Path) -> None:
    _interrupt(pictures, tmp_path / "out", num_shards=4)
    with pytest.raises(DataError, match=r"Bad image a/bad \d+\.jpg"):
        convert_dataset("image_folder", tmp_path / "out", pictures, num_shards=4, on_error="fail")
