"""Class folders: ``<root>/<class>/*.jpg``, or ``<root>/<split>/<class>/*.jpg``. No TensorFlow here."""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import secrets
import stat
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from datasets.errors import DataError
from datasets.files import Stamp, stamp_of
from datasets.images import SUFFIXES, EncodedImage, ImageRejected, header_of, normalise
from datasets.shrinking import Shrinking, shrunk
from datasets.sources import TRAIN, ImageSource
from datasets.splits import nfc
from datasets.storage import entries_in, is_url, path_of
from datasets.url_path import UrlEntry

log = logging.getLogger(__name__)

_SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}
# Files of a folder without names of images that are looked into.
_MOST_TRIED = 10
_NEVER_IMAGES = ("thumbs.db", "desktop.ini", "__macosx")
# Device and inode number, the same for every link to a folder; of a folder at a URL, which has no links, the URL.
_Identity = tuple[int, int] | str
_Entry = os.DirEntry[str] | UrlEntry
_LAYOUT = "Expected one folder of images per class, as in PIC_PATH/cat/1.jpg, or PIC_PATH/train/cat/1.jpg."


class NoImages(DataError):
    """The folder does not exist, or holds no class folder with a file in it."""


@dataclass(frozen=True)
class FolderReader:
    """Reads image files by their path relative to ``root``, and makes large ones smaller if asked to."""

    root: str
    shrinking: Shrinking | None = None

    @classmethod
    def of(cls, root: Path, shrinking: Shrinking | None = None) -> FolderReader:
        """Return the reader of the images in a folder, or at a URL."""
        return (UrlFolderReader if is_url(root) else cls)(str(root), shrinking)

    def stamp(self, name: str) -> Stamp:
        """Return the file's size, and with its time of change as text."""
        return stamp_of(f"{self.root}/{name}")

    def load(self, name: str) -> EncodedImage:
        """Read and decode one file; what cannot be read is rejected like what cannot be decoded."""
        try:
            data = self._content(name)
        except OSError as error:
            raise ImageRejected("cannot be read", error.strerror or "") from None
        return shrunk(data, self.shrinking) if self.shrinking else normalise(data)

    def _content(self, name: str) -> bytes:
        with open(os.path.join(self.root, name), "rb") as file:  # noqa: PTH118, PTH123 -- called per image
            return file.read()


@dataclass(frozen=True)
class UrlFolderReader(FolderReader):
    """Reads images below a URL, each when it is asked for; :mod:`datasets.fetching` brings many at once."""

    _token: str = field(default_factory=lambda: secrets.token_hex(16), compare=False)

    def stamp(self, name: str) -> Stamp:
        """Return nothing that is the same for another reader: a request per image would tell whether it is."""
        return Stamp(self._token, 0)

    def _content(self, name: str) -> bytes:
        return (path_of(self.root) / name).read_bytes()


@dataclass(frozen=True)
class ClassFolder:
    """A folder with the images of one class.

    Attributes:
      split_name: the split that its images belong to.
      path: relative to the folder given by the user, with forward slashes.
    """

    split_name: str
    path: str


@dataclass(frozen=True)
class FoundFolders:
    """The class folders below a folder given by the user.

    Attributes:
      folders: in the order of their names.
      is_split: whether the folders above them are splits.
      passed_over: what is ignored there, and how often.
    """

    folders: list[ClassFolder]
    is_split: bool
    passed_over: collections.Counter[str]


@dataclass(frozen=True)
class ListedFolder:
    """What a class folder holds.

    Attributes:
      class_name: the name of the class; "" if it holds no image.
      passed_over: what is ignored there, and how often.
      warning: text for the log, or "".
    """

    class_name: str
    passed_over: collections.Counter[str]
    warning: str = ""


def scan(root: Path, exclude: Path | None = None) -> ImageSource:
    """List the images below ``root``; the label of a class is its place among the class names sorted.

    The folders are splits when all of them are named like one (train, val, validation, test) and hold folders. Every
    other file is taken for an image: the decoder says what is none. Hidden files and Thumbs.db are ignored, and so
    are class folders without an image, with a message in the log. Folders inside a class folder belong to the class;
    links are followed, each folder once.

    Args:
      root: the folder given by the user.
      exclude: a folder not to enter: the output, where that lies inside ``root``.

    Raises:
      NoImages: ``root`` is missing, or holds no class folder with a file in it.
      DataError: a folder cannot be listed, or has a name that cannot be a class.
    """
    log.info("Listing the images in %s.", root)
    found = find_class_folders(root, exclude)
    passed_over = found.passed_over
    files: dict[str, dict[str, list[str]]] = {}
    for folder in found.folders:
        names = list[str]()
        listed = list_class_folder(root, folder.path, names.append, exclude)
        passed_over.update(listed.passed_over)
        if listed.warning:
            log.warning("%s", listed.warning)
        if listed.class_name:
            files.setdefault(folder.split_name, {}).setdefault(listed.class_name, []).extend(names)
    log_passed_over(root, passed_over)
    classes = tuple(sorted({name for by_class in files.values() for name, names in by_class.items() if names}))
    if not classes:
        raise no_images(root)
    splits = {
        split_name: [sorted(by_class.get(class_name, ()), key=nfc) for class_name in classes]
        for split_name, by_class in files.items()
        if any(by_class.values())
    }
    return ImageSource(classes, splits, is_split=found.is_split, reader=FolderReader.of(root))


def find_class_folders(root: Path, exclude: Path | None = None) -> FoundFolders:
    """Return the class folders below ``root``, without looking into them. Arguments and errors: see :func:`scan`."""
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise NoImages(f"--pic_path={root} {what}. {_LAYOUT}")
    passed_over: collections.Counter[str] = collections.Counter()
    split_folders = _split_folders(root, _barred(root, exclude))
    folders = []
    for split_name, folder in split_folders or [(TRAIN, root)]:
        barred = _barred(root, exclude, folder)
        for entry in _sorted_entries(folder, passed_over):
            if not _is_dir(entry):
                passed_over["files outside the class folders"] += 1
            elif _identity(folder / entry.name) not in barred:
                folders.append(ClassFolder(split_name, (folder / entry.name).relative_to(root).as_posix()))
    return FoundFolders(folders, bool(split_folders), passed_over)


def list_class_folder(
    root: Path, path: str, keep: Callable[[str], object], exclude: Path | None = None
) -> ListedFolder:
    """List the class folder ``path`` below ``root``, in no order.

    Args:
      root: the folder given by the user.
      path: of the class folder, relative to it.
      keep: called with the path of each file, relative to ``root``, before it is known whether any is an image.
      exclude: a folder not to enter.

    Raises:
      DataError: see :func:`scan`.
    """
    folder = root / path
    passed_over: collections.Counter[str] = collections.Counter()
    number, has_image, first = 0, False, list[str]()
    for name in _files_below(folder, root, _barred(root, exclude, folder.parent), passed_over):
        keep(name)
        number += 1
        has_image = has_image or PurePosixPath(name).suffix.lower() in SUFFIXES
        if not has_image:
            first = sorted([*first, name], key=nfc)[:_MOST_TRIED]
    if not number:
        passed_over[f"empty class folder {folder.name!r}"] += 1
        return ListedFolder("", passed_over)
    # Files without such a name may be images all the same; notebooks and notes are none.
    if not has_image and not any(_is_image(root / name) for name in first):
        warning = f"Ignoring the folder {folder}: none of its {number} files is an image."
        return ListedFolder("", passed_over, warning)
    return ListedFolder(_class_name(folder), passed_over)


def log_passed_over(root: Path, passed_over: collections.Counter[str]) -> None:
    """Log what was ignored below ``root``."""
    for reason, count in passed_over.items():
        log.info("Passed over in %s: %s (%d).", root, reason, count)


def no_images(root: Path) -> NoImages:
    """Return the error for a folder without images."""
    return NoImages(f"--pic_path={root} holds no class folder with an image in it. {_LAYOUT}")


def _barred(*folders: Path | None) -> set[_Identity]:
    """Neither the output nor a link back up, which would bring every other class in under this one's label."""
    return {_identity(folder) for folder in folders if folder and (is_url(folder) or folder.exists())}


def _split_folders(root: Path, barred: set[_Identity]) -> list[tuple[str, Path]]:
    """(split name, folder) where the folders of ``root`` are splits, else nothing."""
    folders = [root / entry.name for entry in _sorted_entries(root) if _is_dir(entry)]
    folders = [folder for folder in folders if _identity(folder) not in barred]
    if not folders or any(folder.name.lower() not in _SPLIT_FOLDERS for folder in folders):
        return []
    if not any(_is_dir(entry) for folder in folders for entry in _entries(folder)):
        return []  # images right inside: these are classes that happen to be called train, test, ...
    return [(_SPLIT_FOLDERS[folder.name.lower()], folder) for folder in folders]


def _is_image(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            header_of(file)
    except (OSError, ImageRejected):
        return False
    return True


def _files_below(
    folder: Path, root: Path, seen: set[_Identity], passed_over: collections.Counter[str]
) -> Iterator[str]:
    """Paths relative to ``root``, with forward slashes, of all files in ``folder`` and below."""
    identity = _identity(folder)
    if identity in seen:
        passed_over["links to a folder already listed"] += 1
        return
    seen.add(identity)
    prefix = folder.relative_to(root).as_posix()
    folders = list[str]()
    for entry in _entries(folder, passed_over):
        if _is_dir(entry):
            folders.append(entry.name)
        elif _is_special(entry):
            passed_over["pipes, sockets and devices"] += 1
        else:
            yield f"{prefix}/{entry.name}"
    for name in sorted(folders, key=nfc):
        yield from _files_below(folder / name, root, seen, passed_over)


def _sorted_entries(folder: Path, passed_over: collections.Counter[str] | None = None) -> list[_Entry]:
    """Return what is in a folder, sorted by name, less hidden files and the like."""
    return sorted(_entries(folder, passed_over), key=lambda entry: nfc(entry.name))


def _entries(folder: Path, passed_over: collections.Counter[str] | None = None) -> Iterator[_Entry]:
    """Yield what is in a folder, less hidden files and the like."""
    try:
        with entries_in(folder) as listing:
            for entry in listing:
                if not entry.name.startswith(".") and entry.name.lower() not in _NEVER_IMAGES:
                    yield entry
                elif passed_over is not None:
                    passed_over["hidden files, Thumbs.db and the like"] += 1
    except OSError as error:
        raise DataError(f"Cannot list the folder {folder}: {error.strerror}.") from error


def _class_name(folder: Path) -> str:
    name = nfc(folder.name)
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        raise DataError(f"The class folder {str(folder)!r} has a name that is not valid UTF-8; rename it.") from None
    if any(unicodedata.category(character) == "Cc" for character in name):
        raise DataError(f"The class folder {str(folder)!r} has a control character in its name; rename it.")
    return name


def _is_dir(entry: _Entry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads to itself
        return False


def _is_special(entry: _Entry) -> bool:
    """Whether opening the entry might wait forever. A broken link is not special: reading it gives a clear reason."""
    with contextlib.suppress(OSError):
        return not entry.is_file() and isinstance(entry, os.DirEntry) and not stat.S_ISREG(entry.stat().st_mode)
    return False


def _identity(folder: Path) -> _Identity:
    if is_url(folder):
        return str(folder)
    status = folder.stat()
    return status.st_dev, status.st_ino
