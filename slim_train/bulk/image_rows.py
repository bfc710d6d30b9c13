"""Images of a bulk job: what is known of each, and their bytes. No TensorFlow."""

from __future__ import annotations

import collections
import contextlib
import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from datasets.errors import DataError
from datasets.examples import features as example_features
from datasets.fetching import files_here
from datasets.images import ImageRejected
from datasets.storage import is_url, local_path
from datasets.tfrecords import scan_records
from slim_train.bulk.image_tables import read_images


class ImageRow(NamedTuple):
    """An image.

    Attributes:
      path: what names it in the output: relative to the image folder, as in the list, or of a record or table row
        ``file@place``.
      label: number of its class, or None.
      class_name: its class, or None.
      split: training, validation, testing, or the name that the source has for it; None if it has none.
    """

    path: str
    label: int | None = None
    class_name: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class ImageSet:
    """The images of a job.

    Attributes:
      rows: the images, in the order of the output.
      root: folder that paths are relative to; "" leaves them as they are.
      image_key: of records: where they hold the image; "" for files.
      image_column: of tables: the column that holds the image; "" for files.
      classes: class names by label; empty if they are not known.
      hashed: whether the split is a hash of the path, as in retrain.
    """

    rows: Sequence[ImageRow]
    root: str = ""
    image_key: str = ""
    image_column: str = ""
    classes: tuple[str, ...] = ()
    hashed: bool = False

    def opener(self) -> ImageOpener:
        """Return what reads the images."""
        return ImageOpener(self.root, self.image_key, self.image_column)


# Returns the bytes of the image at a path.
ReadImage = Callable[[str], bytes]


@dataclass(frozen=True)
class ImageOpener:
    """Reads images by their paths in an :class:`ImageSet`, in any process that sees the same folders."""

    root: str = ""
    image_key: str = ""
    image_column: str = ""

    @contextlib.contextmanager
    def opened(self, paths: Sequence[str]) -> Iterator[ReadImage]:
        """Yield what reads some images: those of records and tables in one pass over each file, before it yields.

        Images at URLs are copied to a temporary folder for the time of the block, many at once. What is yielded raises
        ``ImageRejected`` for an image that cannot be read.

        Raises:
          DataError: a record file or table file cannot be read, or a store does not answer.
        """
        if self.image_key or self.image_column:
            yield functools.partial(_image_in, self._of_containers(paths))
            return
        with files_here([self.whole_path(path) for path in paths]) as files:
            file_of = dict(zip(paths, files, strict=True))
            yield lambda path: _content(file_of[path])

    def whole_path(self, path: str) -> str:
        """Return where an image, a record file or a table file is."""
        if "://" in path:
            return local_path(path)
        if is_url(self.root) and not path.startswith("/"):
            return f"{self.root}/{path}"
        return os.path.join(self.root, path)  # noqa: PTH118 -- called per image

    def _of_containers(self, paths: Sequence[str]) -> Mapping[str, bytes]:
        places: dict[str, set[int]] = collections.defaultdict(set)
        for path in paths:
            file, _, number = path.rpartition("@")
            places[file].add(int(number))
        found: dict[str, bytes] = {}
        for file, wanted in places.items():
            read = self._of_table if self.image_column else self._of_records
            found |= {f"{file}@{place}": data for place, data in read(self.whole_path(file), wanted)}
        return found

    def _of_table(self, file: str, wanted: set[int]) -> Iterator[tuple[int, bytes]]:
        try:
            yield from read_images(file, self.image_column, wanted).items()
        except (OSError, ValueError) as error:  # ValueError: pyarrow's ArrowInvalid
            raise DataError(f"Cannot read the table file {file}: {error}.") from error

    def _of_records(self, file: str, wanted: set[int]) -> Iterator[tuple[int, bytes]]:
        for offset, record in scan_records(file, min(wanted)):
            if offset in wanted:
                yield offset, example_features(record)[self.image_key][1][0]
            if offset >= max(wanted):
                break


def _image_in(records: Mapping[str, bytes], path: str) -> bytes:
    if path not in records:
        raise ImageRejected("cannot be read", "its row or record holds no image")
    return records[path]


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 -- called per image
            return file.read()
    except (OSError, ValueError) as error:
        raise ImageRejected("cannot be read", getattr(error, "strerror", None) or str(error)) from None
