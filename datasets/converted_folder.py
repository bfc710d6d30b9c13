"""Class folders where a data set is expected: converted once, into the user's cache. No TensorFlow."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from pathlib import Path

from datasets.class_folders import find_class_folders, list_class_folder
from datasets.convert import convert_dataset
from datasets.errors import DataError
from datasets.files import cache_folder
from datasets.images import SUFFIXES
from datasets.output import AnotherConversion
from datasets.record_files import find_any_record_files
from datasets.sources import OnProgress
from datasets.spec import INFO_FILE
from datasets.splits import nfc
from datasets.storage import is_url, path_of

log = logging.getLogger(__name__)

_LOOKS_EVERY_SECS = 0.5


def data_set_of(folder: str | os.PathLike[str], num_workers: int = 1, on_progress: OnProgress | None = None) -> str:
    """Return ``folder``; if it holds class folders of images and no records, the folder that they are converted to.

    That is in ``datasets`` of the cache folder, under a key of the names, sizes and times of the images: other images
    are another data set. Tasks of a job that come at the same time wait for the first.

    Args:
      folder: what the user calls the data set's folder.
      num_workers: processes that decode images.
      on_progress: called as ``on_progress(what, done, total, unit)``.

    Raises:
      DataError: the images cannot be converted.
    """
    images = path_of(folder)
    if not _holds_class_folders(images):
        return os.fspath(folder)
    target = cache_folder() / "datasets" / f"{images.resolve().name}-{_key(images, cache_folder())}"
    is_said = False
    while not (target / INFO_FILE).is_file():
        if not is_said:
            log.warning(
                "%s holds class folders, and no records: converting them into %s. To choose the place and the splits, "
                "use download_and_convert_data.", images, target,
            )  # fmt: skip
            is_said = True
        try:
            convert_dataset(
                "image_folder",
                target,
                images,
                num_workers=num_workers,
                on_progress=on_progress,
                skip_folder=cache_folder(),
            )
        except AnotherConversion:
            time.sleep(_LOOKS_EVERY_SECS)
    return os.fspath(target)


def _holds_class_folders(folder: Path) -> bool:
    if is_url(folder) or not folder.is_dir() or (folder / INFO_FILE).exists() or find_any_record_files(folder):
        return False
    try:
        deep = (path for pattern in ("*/*", "*/*/*") for path in folder.glob(pattern))
        return any(path.suffix.lower() in SUFFIXES for path in deep)
    except OSError as error:
        raise DataError(f"Cannot list the folder {folder}: {error.strerror}.") from error


def _key(folder: Path, exclude: Path) -> str:
    """Return a digest of the images, without a list of them all."""
    digest = hashlib.sha256(os.fsencode(folder.resolve()))
    places: dict[tuple[str, str], list[str]] = {}
    for found in find_class_folders(folder, exclude).folders:
        places.setdefault((found.split_name, nfc(Path(found.path).name)), []).append(found.path)
    for (split, _), paths in sorted(places.items()):
        names = list[str]()
        for path in paths:
            of_folder = list[str]()
            if list_class_folder(folder, path, of_folder.append, exclude).class_name:
                names += of_folder
        for name in sorted(names, key=nfc):
            try:
                status = (folder / name).stat()
                stamp = f"{status.st_size}\0{status.st_mtime_ns}"
            except OSError:  # such as of a broken link, which conversion rejects
                stamp = "missing"
            digest.update(f"{split}\0{name}\0{stamp}\0".encode(errors="surrogateescape"))
    return digest.hexdigest()[:16]
