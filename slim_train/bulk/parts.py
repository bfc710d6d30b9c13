"""A job in parts: each part is a batch of images and a file. Run here, one part after the other. No TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from slim_train.bulk.image_rows import ImageRow
from slim_train.bulk.parquet import part_name
from slim_train.progress import ProgressBar

# Images of a part: a worker needs 7 s to import TensorFlow, about as long as for 250 images.
_LEAST, _MOST = 250, 1000

# Kinds of work.
FEATURES, CLASSES = "features", "classes"


class Part(NamedTuple):
    """Images that become one file of the output."""

    file: str
    rows: Sequence[ImageRow]


class PartDone(NamedTuple):
    """A part that is written: its file, its images, and how many of them were rejected."""

    file: str
    images: int
    rejected: int


# Writes the file of a part.
WritePart = Callable[[Part], PartDone]


def split_into_parts(rows: Sequence[ImageRow], size: int) -> list[Part]:
    """Return parts of ``size`` images, the last one smaller."""
    batches = (rows[start : start + size] for start in range(0, len(rows), size))
    return [Part(part_name(batch), batch) for batch in batches]


def default_size(images: int) -> int:
    """Return the size of parts that serves here and on clusters of any size, so that both write the same files.

    At most 1,000 images each, and a multiple of 8 parts, so that 2, 4 or 8 tasks end together; fewer if parts would be
    so small that the start of a worker takes longer than their images.

    Args:
      images: number of images.
    """
    fewest = -(-images // _MOST)
    even = images // _LEAST // 2 * 2
    return max(-(-images // max(fewest, min(-(-fewest // 8) * 8, even), 1)), 1)


def run_here(parts: Iterable[Part], write: WritePart, images: int) -> Iterator[PartDone]:
    """Write one part after the other in this process, with a progress bar over ``images``."""
    done = 0
    with ProgressBar("computing", images, "images") as bar:
        for part in parts:
            yield write(part)
            done += len(part.rows)
            bar.update(done)


def finished(folder: Path, parts: Iterable[Part]) -> int:
    """Return the number of images of ``parts`` whose file is there."""
    there = {path.name for path in folder.iterdir()}
    return sum(len(part.rows) for part in parts if part.file in there)
