"""The output folder of a conversion: one writer at a time, and nothing there that looks finished before it is."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from datasets import manifests
from datasets.errors import DataError
from datasets.files import own_temporary_folder
from datasets.record_files import find_record_files
from datasets.spec import INFO_FILE, LABELS_FILE
from datasets.storage import copy_file, is_url

log = logging.getLogger(__name__)

REJECTED_FILE = "rejected.csv"
_STAGING_FOLDER = ".converting"


class AnotherConversion(DataError):
    """Another process is converting into the folder."""


@contextlib.contextmanager
def staging(dataset_dir: Path) -> Iterator[Path]:
    """A folder inside ``dataset_dir`` to write in, removed at the end.

    Record files that have a manifest there (:mod:`datasets.manifests`) outlive a block that fails, and a killed
    process. The next conversion finds them, and nothing else that was left. Folders that this has made, and in which
    nothing is at the end, are removed again.

    For a URL the folder is one of this machine, in the folder for temporary files, with a name that depends on the URL.

    Args:
      dataset_dir: the output folder.

    Raises:
      DataError: ``dataset_dir`` cannot be written.
      AnotherConversion: another conversion is writing there now.
    """
    if is_url(dataset_dir):
        with _staging_here(dataset_dir) as folder:
            yield folder
        return
    missing = [path for path in (dataset_dir, *dataset_dir.parents) if not path.exists()]
    try:
        dataset_dir.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(dataset_dir, os.O_RDONLY)
    except OSError as error:
        raise DataError(f"Cannot make the folder --dataset_dir={dataset_dir}: {error.strerror}.") from error
    folder = dataset_dir / _STAGING_FOLDER
    try:
        _lock(descriptor, dataset_dir)
        with _kept_if_unfinished(folder, dataset_dir, dataset_dir):
            yield folder
    finally:
        _remove_empty(missing)
        os.close(descriptor)  # and so the lock


@contextlib.contextmanager
def _kept_if_unfinished(folder: Path, moved_to: Path, dataset_dir: Path) -> Iterator[None]:
    """Keep record files of ``folder`` that are finished if the block fails, and take over those of a block before.

    Args:
      folder: of unfinished conversions; it may be missing.
      moved_to: the folder that a block before was about to move files to.
      dataset_dir: the output folder, for errors.
    """
    is_left = folder.is_dir() and any(folder.iterdir())
    try:
        kept = manifests.take_over(folder, moved_to)
    except OSError as error:
        raise DataError(f"Cannot write in --dataset_dir={dataset_dir}: {error.strerror}.") from error
    if is_left:
        log.info("Of an earlier, unfinished conversion, %s holds %d record files.", folder, len(kept))
    is_finished = False
    try:
        yield
        is_finished = True
    finally:
        kept = [] if is_finished else manifests.finished_files(folder)
        if kept:
            manifests.sweep(folder, kept)
            log.info("%d finished record files stay in %s for the next conversion.", len(kept), folder)
        else:
            shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _staging_here(dataset_dir: Path) -> Iterator[Path]:
    """Yield a folder of this machine; an object at the URL says meanwhile that a conversion is running.

    It is written before the block, so that a store that takes no files fails before the conversion and not after it.
    """
    digest = hashlib.sha256(str(dataset_dir).encode()).hexdigest()[:12]
    name = f"slim-train-converting-{os.getuid()}-{digest}"
    try:
        folder = own_temporary_folder(name)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise DataError(
            f"Cannot use the folder {Path(tempfile.gettempdir(), name)} for the record files: {error.strerror}. Remove "
            "it, or set TMPDIR to another folder."
        ) from error
    mark = dataset_dir / _STAGING_FOLDER
    try:
        _lock(descriptor, dataset_dir)
        _write_mark(mark)
        try:
            with _kept_if_unfinished(folder, folder, dataset_dir):
                yield folder
        finally:
            with contextlib.suppress(OSError):
                mark.unlink(missing_ok=True)
    finally:
        os.close(descriptor)


def _write_mark(mark: Path) -> None:
    try:
        if mark.exists():
            log.warning(
                "Another conversion into %s is running, or was killed. One that is running would be overwritten.",
                mark.parent,
            )
        mark.write_text("A conversion is running. Without info.json, the files beside this one are not complete.\n")
    except OSError as error:
        raise DataError(f"Cannot write in --dataset_dir={mark.parent}: {error.strerror}.") from error


def publish(folder: Path, dataset_dir: Path, name: str) -> None:
    """Move the finished files of ``folder`` into ``dataset_dir``, info.json last; an older conversion's give way.

    For a URL they are uploaded. Each object appears when it is whole.
    """
    old_files = [file for (old, _), files in find_record_files(dataset_dir).items() if old == name for file in files]
    (dataset_dir / INFO_FILE).unlink(missing_ok=True)
    files = {path.name for path in folder.iterdir() if path.is_file()}

    def move(file_name: str) -> None:
        if is_url(dataset_dir):
            _upload(folder / file_name, dataset_dir / file_name)
        else:
            (folder / file_name).replace(dataset_dir / file_name)

    for file_name in sorted(files - {LABELS_FILE, INFO_FILE}):
        move(file_name)
    for old_file in old_files:  # only now: an upload that fails leaves them
        if old_file.name not in files:
            old_file.unlink()
    move(LABELS_FILE)
    move(INFO_FILE)


def _upload(source: Path, target: Path) -> None:
    """Upload a file, unless the store says that it holds the same one: an upload before may have been interrupted."""
    try:
        status = target.stat()
    except FileNotFoundError:
        pass
    else:
        tag = getattr(status, "tag", "")
        if tag and status.st_size == source.stat().st_size and tag == _md5(source):
            return
    copy_file(source, target)


def _md5(path: Path) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            digest.update(data)
    return digest.hexdigest()


def _remove_empty(folders: Sequence[Path]) -> None:
    with contextlib.suppress(OSError):  # the first that holds something ends it
        for folder in folders:
            folder.rmdir()


def _lock(descriptor: int, dataset_dir: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AnotherConversion(
            f"Another conversion is writing in --dataset_dir={dataset_dir}: wait for its end."
        ) from None
    except OSError:
        log.debug("This file system has no locks; two conversions into %s at a time would clash.", dataset_dir)
