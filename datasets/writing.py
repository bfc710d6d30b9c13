"""The record files of a data set: images read, checked and encoded in worker processes. No TensorFlow."""

from __future__ import annotations

import contextlib
import csv
import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from datasets import manifests
from datasets.errors import DataError
from datasets.fetching import readable_here
from datasets.image_list import OrderedImages
from datasets.images import ImageRejected
from datasets.manifests import SourceDigest
from datasets.record_files import file_names
from datasets.sources import OnProgress, Reader
from datasets.tally import Tally
from datasets.workers import Chunk, ChunkConverter, ConvertedChunk, Rejection, convert_chunks, cut_into_chunks

log = logging.getLogger(__name__)


class Images(Protocol):
    """Labelled images that can be written as record files.

    Attributes:
      classes: class names, sorted; a label is an index into them.
      is_split: whether the images come with splits.
    """

    classes: tuple[str, ...]
    is_split: bool

    def write(self, without: Mapping[str, int]) -> Tally:
        """Write the record files of all images but some, which are given by name, with their labels.

        Raises:
          DataError: the images cannot be divided, or are fewer than files; or one is bad and the pass is to stop there.
        """


@dataclass(frozen=True)
class RecordWriter:
    """How record files are written.

    Attributes:
      folder: the folder of unfinished conversions. Files that an earlier run has finished there are kept.
      name: of the data set; the start of the file names.
      num_shards: files per split.
      num_workers: processes; 1: this one.
      flags: what the records depend on beside the images.
      stop_at_bad_image: raise at the first instead of leaving it out.
      on_progress: told how many images are done.
    """

    folder: Path
    name: str
    num_shards: int
    num_workers: int
    flags: str
    stop_at_bad_image: bool
    on_progress: OnProgress

    def write(self, reader: Reader, classes: Sequence[str], splits: Mapping[str, Sequence[OrderedImages]]) -> Tally:
        """Write the images of each split as its record files.

        Raises:
          DataError: a split has fewer images than files; or an image is bad and the pass is to stop there.
        """
        for split_name, shards in splits.items():
            num_images = sum(map(len, shards))
            if num_images < self.num_shards:
                raise too_many_shards(self.num_shards, split_name, num_images)
        files = {split_name: file_names(self.name, split_name, self.num_shards) for split_name in splits}
        total = sum(len(images) for shards in splits.values() for images in shards)
        done = 0
        digests: dict[str, SourceDigest] = {}

        def progress(more: int) -> None:
            nonlocal done
            done += more
            self.on_progress("converting", done, total, "images")

        def tasks() -> Iterator[Chunk]:
            for split_name, shards in splits.items():
                for file_name, images in zip(files[split_name], shards, strict=True):
                    digest = SourceDigest(self.flags, classes, reader)
                    if self._is_written(split_name, file_name, images, digest):
                        progress(len(images))
                        continue
                    digests[file_name] = digest = SourceDigest(self.flags, classes, reader)
                    yield from cut_into_chunks(split_name, file_name, digest.passing(images))

        with (
            readable_here(reader) as here,
            contextlib.closing(here.fetched(tasks())) as chunks,
            contextlib.closing(
                convert_chunks(ChunkConverter(here.reader, classes), chunks, self.num_workers)
            ) as results,
        ):
            for (split_name, file_name), of_file in itertools.groupby(results, key=_place):
                with manifests.written(
                    self.folder, split_name, file_name, digests[file_name], len(classes), self.stop_at_bad_image
                ) as add:
                    for chunk, converted in of_file:
                        add(chunk, converted)
                        here.remove(chunk)
                        progress(len(chunk.names))
        num_files = sum(map(len, files.values()))
        if len(digests) < num_files:
            log.info("%d of %d record files were there from an earlier run.", num_files - len(digests), num_files)
        return manifests.tally_of(self.folder, files, len(classes))

    def _is_written(self, split_name: str, file_name: str, images: OrderedImages, digest: SourceDigest) -> bool:
        return manifests.is_written(
            self.folder, split_name, file_name, lambda: digest.all_of(images), self.stop_at_bad_image
        )


def _place(result: tuple[Chunk, ConvertedChunk]) -> tuple[str, str]:
    chunk, _ = result
    return chunk.split_name, chunk.file_name


def write_rejected(path: Path, rejections: Sequence[Rejection], classes: Sequence[str]) -> None:
    """Write the list of bad images: file, split, class, reason and the decoder's words."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "split", "class", "reason", "detail"))
        for bad in rejections:
            rows.writerow((bad.name, bad.split_name, classes[bad.label], bad.reason, bad.detail))


def too_many_shards(num_shards: int, split_name: str, num_images: int) -> DataError:
    """Return the error for a split that has fewer images than files."""
    return DataError(f"num_shards={num_shards} is more than split {split_name!r} has images: {num_images}.")


def single_image(class_name: str, name: str, reader: Reader) -> DataError:
    """Return the error for a class that cannot be divided, or whose only image is bad."""
    try:
        reader.load(name)
    except ImageRejected as rejected:
        return DataError(
            f"Class {class_name!r} has no usable image: its only one, {name}, is rejected: "
            f"{rejected.reason}. Fix it or remove the class."
        )
    return DataError(
        f"Class {class_name!r} has a single usable image, {name}, and train and test need one each. Add "
        "images, remove the class, or keep all images for training with test_fraction=0."
    )
