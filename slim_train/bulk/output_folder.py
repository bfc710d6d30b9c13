"""The output folder of a bulk job at a URL: the job works on this machine, and what it has written is uploaded."""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from datasets.changed_files import ChangedFiles
from datasets.storage import copy_folder, is_url, path_of
from slim_train.errors import RunError, UsageError

log = logging.getLogger(__name__)


@contextlib.contextmanager
def worked_on_here(folder: str, flag: str) -> Iterator[Path]:
    """Yield the output folder, or for a URL a folder of this machine with what is there.

    At the end, files that are new or have changed are uploaded, and those that are gone are removed at the URL: also
    if the job failed, for it goes on with the parts that are finished. If the upload fails, the folder is kept, and the
    error or, after a job that failed, the log names it.

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
    here = Path(tempfile.mkdtemp(prefix="slim-train-"), target.name or "output")
    try:
        files = _downloaded(target, here)
    except BaseException as error:
        shutil.rmtree(here.parent, ignore_errors=True)
        if isinstance(error, OSError):
            raise UsageError(f"--{flag}: cannot read {target}: {error.strerror}.") from error
        raise
    try:
        yield here
    except BaseException as error:
        if fault := _hand_over(files, here, target):
            log.error("--%s: %s", flag, fault)
        if isinstance(error, (RunError, UsageError)):  # it names the folder that was given
            raise type(error)(str(error).replace(str(here), str(target))) from error
        raise
    if fault := _hand_over(files, here, target):
        raise UsageError(f"--{flag}: {fault}")


def _downloaded(source: Path, here: Path) -> ChangedFiles:
    """Copy the files of a folder at a URL."""
    here.mkdir()
    if source.is_dir():
        copy_folder(source, here)
    return ChangedFiles(here, source)


def _hand_over(files: ChangedFiles, here: Path, target: Path) -> str:
    """Upload what has changed and remove the folder; if that fails, keep it and return why."""
    try:
        files.upload()
        files.remove_missing()
    except OSError as error:
        return f"cannot write to {target}: {error.strerror}. The results are kept in {here}: copy them to the URL."
    shutil.rmtree(here.parent, ignore_errors=True)
    return ""
