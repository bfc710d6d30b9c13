"""One pass over the images of a data set: read, checked, encoded in worker processes and written to record files."""

from __future__ import annotations

import contextlib
import csv
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from datasets.errors import DataError
from datasets.images import ImageRejected
from datasets.record_files import file_names
from datasets.sources import ImageSource, OnProgress, Reader
from datasets.splits import ImagesByClass, mixed_order
from datasets.workers import Chunk, ChunkConverter, ConvertedChunk, Rejection, convert_chunks, cut_into_chunks, extremes


@dataclass
class Tally:
    """What a pass has met.

    Attributes:
      class_counts: split name -> images written, by label.
      rejections: the bad images.
      heights: smallest and largest, in pixels; empty before the first image.
      widths: smallest and largest, in pixels.
      num_bytes: size of the record files.
    """

    class_counts: dict[str, list[int]]
    rejections: list[Rejection] = field(default_factory=list)
    heights: tuple[int, ...] = ()
    widths: tuple[int, ...] = ()
    num_bytes: int = 0

    def add(self, chunk: Chunk, converted: ConvertedChunk) -> None:
        """Count a chunk in."""
        counts = self.class_counts[chunk.split_name]
        for label in chunk.labels:
            counts[label] += 1
        for rejection in converted.rejections:
            counts[rejection.label] -= 1
        self.rejections += converted.rejections
        self.heights = extremes(self.heights + converted.heights)
        self.widths = extremes(self.widths + converted.widths)
        self.num_bytes += len(converted.records)


class Images(Protocol):
    """Labelled images that can be written as record files.

    Attributes:
      classes: class names, sorted; a label is an index into them.
      is_split: whether the images come with splits.
    """

    classes: tuple[str, ...]
    is_split: bool

    def write(self, without: frozenset[str]) -> Tally:
        """Write the record files of all images but some, which are named.

        Raises:
          DataError: the images cannot be divided, or are fewer than files; or one is bad and the pass is to stop there.
        """


@dataclass(frozen=True)
class RecordWriter:
    """How record files are written.

    Attributes:
      folder: where.
      name: of the data set; the start of the file names.
      num_shards: files per split.
      num_workers: processes; 1: this one.
      seed: of the order of the records.
      stop_at_bad_image: raise at the first instead of leaving it out.
      on_progress: told how many images are done.
    """

    folder: Path
    name: str
    num_shards: int
    num_workers: int
    seed: int
    stop_at_bad_image: bool
    on_progress: OnProgress

    def write(self, source: ImageSource, splits: Mapping[str, ImagesByClass]) -> Tally:
        """Write ``splits``, whose images are the source's, as record files.

        Raises:
          DataError: a split has fewer images than files; or an image is bad and the pass is to stop there.
        """
        tally = Tally({split_name: [0] * len(source.classes) for split_name in splits})
        total = sum(len(names) for images in splits.values() for names in images)
        tasks = (chunk for whole in self._files(splits) for chunk in cut_into_chunks(source.reader, whole))
        converter = ChunkConverter(source.reader, source.classes)
        done = 0
        with contextlib.closing(convert_chunks(converter, tasks, self.num_workers)) as results:
            for file_name, results_of_file in itertools.groupby(results, key=lambda result: result[0].file_name):
                with (self.folder / file_name).open("wb") as file:
                    for chunk, converted in results_of_file:
                        if self.stop_at_bad_image and converted.rejections:
                            raise bad_image(converted.rejections[0])
                        file.write(converted.records)
                        tally.add(chunk, converted)
                        done += len(chunk.names)
                        self.on_progress("converting", done, total, "images")
        return tally

    def _files(self, splits: Mapping[str, ImagesByClass]) -> Iterator[Chunk]:
        """Yield each record file with all of its images."""
        for split_name, images in splits.items():
            names, labels = mixed_order(images, self.seed)
            if len(names) < self.num_shards:
                raise too_many_shards(self.num_shards, split_name, len(names))
            for shard, file_name in enumerate(file_names(self.name, split_name, self.num_shards)):
                start, end = (len(names) * edge // self.num_shards for edge in (shard, shard + 1))
                yield Chunk(split_name, file_name, names[start:end], labels[start:end])


def write_rejected(path: Path, rejections: list[Rejection], classes: tuple[str, ...]) -> None:
    """Write the list of bad images: file, split, class, reason and the decoder's words."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "split", "class", "reason", "detail"))
        for bad in rejections:
            rows.writerow((bad.name, bad.split_name, classes[bad.label], bad.reason, bad.detail))


def bad_image(bad: Rejection) -> DataError:
    """Return the error for an image at which a conversion is to stop."""
    words = f"{bad.reason} ({bad.detail})" if bad.detail else bad.reason
    return DataError(f"Bad image {bad.name}: {words}. Fix or remove it, or skip bad images with on_error=skip.")


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
