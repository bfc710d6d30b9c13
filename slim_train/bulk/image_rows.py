"""Images of a bulk job: what is known of each, and their bytes. No TensorFlow."""

from __future__ import annotations

import collections
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from datasets.examples import features as example_features
from datasets.images import ImageRejected
from datasets.tfrecords import scan_records


class ImageRow(NamedTuple):
    """An image.

    Attributes:
      path: what names it in the output: relative to the image folder, as in the list, or ``file@offset`` of a record.
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
      classes: class names by label; empty if they are not known.
      hashed: whether the split is a hash of the path, as in retrain.
    """

    rows: Sequence[ImageRow]
    root: str = ""
    image_key: str = ""
    classes: tuple[str, ...] = ()
    hashed: bool = False

    def opener(self) -> ImageOpener:
        """Return what reads the images."""
        return ImageOpener(self.root, self.image_key)


@dataclass(frozen=True)
class ImageOpener:
    """Reads images by their paths in an :class:`ImageSet`, in any process that sees the same folders."""

    root: str = ""
    image_key: str = ""

    def read_all(self, paths: Sequence[str]) -> Mapping[str, bytes]:
        """Return the images of records by path, in one pass over each file; nothing for files, which are read singly.

        Raises:
          DataError: a record file cannot be read.
        """
        if not self.image_key:
            return {}
        offsets: dict[str, set[int]] = collections.defaultdict(set)
        for path in paths:
            file, _, number = path.rpartition("@")
            offsets[file].add(int(number))
        found = {}
        for file, wanted in offsets.items():
            for offset, record in scan_records(os.path.join(self.root, file), min(wanted)):  # noqa: PTH118
                if offset in wanted:
                    found[f"{file}@{offset}"] = example_features(record)[self.image_key][1][0]
                if offset >= max(wanted):
                    break
        return found

    def read(self, path: str, records: Mapping[str, bytes] = MappingProxyType({})) -> bytes:
        """Return the bytes of an image.

        Args:
          path: of the image.
          records: what :meth:`read_all` returned for it and others.

        Raises:
          ImageRejected: it cannot be read.
        """
        if self.image_key:
            if path not in records:
                raise ImageRejected("cannot be read", "the record is not there")
            return records[path]
        try:
            with open(os.path.join(self.root, path), "rb") as file:  # noqa: PTH118, PTH123 -- called per image
                return file.read()
        except (OSError, ValueError) as error:
            raise ImageRejected("cannot be read", getattr(error, "strerror", None) or str(error)) from None
