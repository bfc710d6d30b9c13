"""Lists of images that conversion leaves out. No TensorFlow.

A list is a text file with a name per line, or a CSV file with a column ``file``.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from datasets.errors import DataError
from datasets.files import replacing
from datasets.sources import ImageSource
from datasets.splits import nfc

log = logging.getLogger(__name__)

_MOST_NAMED = 3
_MOST_BYTES = 256 * 2**20
# Names come back as they are on the disk, in whatever encoding.
_ERRORS = "surrogateescape"


class Exclusion(NamedTuple):
    """An image to leave out.

    Attributes:
      file: its path below the folder of images.
      reason: why.
      kept: the image that stays instead; "" if there is none.
    """

    file: str
    reason: str
    kept: str


@dataclass(frozen=True)
class ExcludedNames:
    """The names of a list.

    Attributes:
      path: the file.
      names: the names, in Unicode form NFC.
    """

    path: str
    names: frozenset[str]

    def settings(self) -> dict[str, str | int]:
        """Return what info.json says of the list: how many names, and a digest of them."""
        text = "\n".join(sorted(self.names)).encode("utf-8", "surrogateescape")
        return {"excluded": len(self.names), "exclude_digest": hashlib.blake2b(text, digest_size=8).hexdigest()}


class Excluding:
    """Leaves the images of a list out while others are listed, one class folder after the other."""

    def __init__(self, excluded: ExcludedNames) -> None:
        self._excluded, self._flag = excluded, f"--exclude={excluded.path}"
        self._found: set[str] = set()
        self._of_folder: set[str] = set()
        self._example = self._example_of_folder = ""

    def stays(self, name: str) -> bool:
        """Return whether an image is not on the list."""
        form = nfc(name)
        self._example_of_folder = min(self._example_of_folder or form, form)
        if form not in self._excluded.names:
            return True
        self._of_folder.add(form)
        return False

    def end_folder(self, has_images: bool) -> None:
        """Count the names since the last call, or forget them: those of a folder without images are no images."""
        if has_images:
            self._found |= self._of_folder
            self._example = min(filter(None, (self._example, self._example_of_folder)), default="")
        self._of_folder, self._example_of_folder = set(), ""

    def check(self, images_left: Mapping[str, int]) -> None:
        """Log what was left out, and which names of the list are no images.

        Args:
          images_left: how many images each class keeps.

        Raises:
          DataError: none of the names is an image, or a class has no image left.
        """
        flag, names = self._flag, self._excluded.names
        unknown = sorted(names - self._found)
        if not self._found:
            raise DataError(
                f"{flag}: none of its {len(unknown):,} names is an image. The first is {unknown[0]!r}; images have "
                f"names such as {self._example!r}."
            )
        if unknown:
            log.warning(
                "%s: %s of %s names are no images, such as %s.",
                flag, f"{len(unknown):,}", f"{len(names):,}", ", ".join(unknown[:_MOST_NAMED]),
            )  # fmt: skip
        for class_name, count in images_left.items():
            if not count:
                raise DataError(f"{flag} leaves no image of class {class_name!r}: remove some of its lines.")
        log.info("%s: %s images are left out.", flag, f"{len(self._found):,}")


def without_excluded(source: ImageSource, excluded: ExcludedNames) -> ImageSource:
    """Return a source without the images of a list. Names that it does not have are named in the log.

    Raises:
      DataError: none of the names is an image of the source, or a class has no image left.
    """
    excluding = Excluding(excluded)
    splits = {
        split: [list(filter(excluding.stays, names)) for names in by_class] for split, by_class in source.splits.items()
    }
    excluding.end_folder(has_images=True)
    excluding.check(
        {
            class_name: sum(len(by_class[label]) for by_class in splits.values())
            for label, class_name in enumerate(source.classes)
        }
    )
    return dataclasses.replace(source, splits={split: by_class for split, by_class in splits.items() if any(by_class)})


def write_exclusions(path: Path, exclusions: Iterable[Exclusion]) -> None:
    """Write a CSV file with the columns file, reason and kept.

    Raises:
      DataError: it cannot be written.
    """
    try:
        with (
            replacing(path) as temporary,
            temporary.open("w", newline="", encoding="utf-8", errors=_ERRORS) as file,
        ):
            rows = csv.writer(file, lineterminator="\n")
            rows.writerow(Exclusion._fields)
            rows.writerows(exclusions)
    except OSError as error:
        raise DataError(f"Cannot write --write_exclusions={path}: {error.strerror}.") from error


def read_exclusions(path: Path) -> ExcludedNames:
    """Return the names of a list, which must have at least one.

    Raises:
      DataError: the file cannot be read, or is no such list.
    """
    flag = f"--exclude={path}"
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise DataError(f"{flag} is larger than {_MOST_BYTES >> 20} MB: a list has a name per line.")
        # Windows programs begin a file in UTF-8 with a byte order mark.
        with path.open(newline="", encoding="utf-8-sig", errors=_ERRORS) as file:
            if path.suffix.lower() == ".csv":
                table = csv.DictReader(file)
                if "file" not in (table.fieldnames or ()):
                    raise DataError(f"{flag} has no column file; its columns: {', '.join(table.fieldnames or ())}.")
                names = [row["file"] for row in table]
            else:
                names = [line.rstrip("\r\n") for line in file]
    except OSError as error:
        raise DataError(f"Cannot read {flag}: {error.strerror}.") from error
    except csv.Error as error:
        raise DataError(f"{flag} is not a CSV file: {error}.") from error
    found = frozenset(nfc(name) for name in names if name)
    if not found:
        raise DataError(f"{flag} names no image.")
    return ExcludedNames(str(path), found)
