"""Where images come from, before they are records: the one form that all data sets are brought to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from datasets.errors import DataError
from datasets.files import Stamp
from datasets.images import EncodedImage
from datasets.shrinking import Shrinking
from datasets.splits import ImagesByClass

TRAIN = "train"

# Called with what is being done, how much of it is done, how much there is (None: unknown), and the unit.
OnProgress = Callable[[str, int, "int | None", str], None]


class Reader(Protocol):
    """Fetches single images; sent to the worker processes once, so it is small and can be pickled."""

    def stamp(self, name: str) -> Stamp:
        """Return about how many bytes :meth:`load` will read, and text that changes with the image."""

    def load(self, name: str) -> EncodedImage:
        """Read, decode and check one image.

        Raises:
          ImageRejected: it cannot be used.
        """


@dataclass(frozen=True)
class ImageSource:
    """Labelled images by name.

    Attributes:
      classes: class names, sorted; a label is an index into them.
      splits: split name -> class by class, in label order, the names of its images. Names are unique.
      is_split: False where the source has no splits of its own; then all images are under ``train``.
      reader: fetches an image by its name.
    """

    classes: tuple[str, ...]
    splits: Mapping[str, ImagesByClass]
    is_split: bool
    reader: Reader

    def with_shrinking(self, shrinking: Shrinking | None) -> ImageSource:
        """Return the source with images made smaller.

        Raises:
          DataError: the images are not in files of their own.
        """
        reader: Any = self.reader
        if shrinking is None:
            return self
        if not hasattr(reader, "shrinking"):
            raise DataError(
                "--max_image_side requires image files, and these images are packed in larger files: remove the flag."
            )
        return dataclasses.replace(self, reader=dataclasses.replace(reader, shrinking=shrinking))


@dataclass(frozen=True)
class Request:
    """What the user asked a known data set for.

    Attributes:
      pic_path: the user's own copy; None: download, if there is a public address.
      dataset_dir: the output folder.
      work_dir: an empty folder for what is needed only while converting.
      on_progress: told how downloads come along.
    """

    pic_path: Path | None
    dataset_dir: Path
    work_dir: Path
    on_progress: OnProgress


@dataclass(frozen=True)
class KnownDataset:
    """A data set the converter has a name for.

    Attributes:
      name: what users call it.
      title: what it is.
      open: lists its images.
      folders: returns the folder with its class folders; None if it has none.
    """

    name: str
    title: str
    open: Callable[[Request], ImageSource]
    folders: Callable[[Request], Path | None] | None = None
