"""The output folder of a bulk job at a URL: the job works on this machine, and what it has written is uploaded."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from datasets.storage import copy_file, files_below, is_url, path_of
from slim_train.errors import UsageError


@contextlib.contextmanager
def worked_on_here(folder: str, flag: str) -> Iterator[Path]:
    """Yield the output folder, or for a URL a folder of this machine with what is there.

    At the end, files that are new or have changed are uploaded, and those that are gone are removed at the URL: also
    if the job failed, for it goes on with the parts that are finished.

    Args:
      folder: path or URL.
      flag: that names it, for errors.

    Raises:
      UsageError: the store cannot be read or written.
    """
    target = path_of(folder)
    if not is_url(folder):
        yield target.absolute()
        return
    with tempfile.TemporaryDirectory(prefix="slim-train-") as temporary:
        here = Path(temporary, target.name)
        here.mkdir()
        try:
            before = _downloaded(target, here)
        except OSError as error:
            raise UsageError(f"--{flag}: cannot read {target}: {error.strerror}.") from error
        try:
            yield here
        except UsageError as error:  # it names the folder that was given
            raise UsageError(str(error).replace(str(here), str(target))) from error
        finally:
            try:
                _upload(here, target, before)
            except OSError as error:
                raise UsageError(f"--{flag}: cannot write to {target}: {error.strerror}.") from error


def _downloaded(source: Path, here: Path) -> dict[str, tuple[int, int]]:
    """Copy the files of a folder at a URL; return their states by name."""
    if source.is_dir():
        for file in files_below(source):
            copy = here / file.relative_to(source).as_posix()
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy_file(file, copy)
    return _states(here)


def _upload(here: Path, target: Path, before: dict[str, tuple[int, int]]) -> None:
    after = _states(here)
    for name, state in after.items():
        if before.get(name) != state:
            copy_file(here / name, target / name)
    for name in before.keys() - after.keys():
        (target / name).unlink(missing_ok=True)


def _states(folder: Path) -> dict[str, tuple[int, int]]:
    statuses = {file.relative_to(folder).as_posix(): file.stat() for file in files_below(folder)}
    return {name: (status.st_size, status.st_mtime_ns) for name, status in statuses.items()}
