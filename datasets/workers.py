"""Worker processes that turn images into record bytes, in order and in bounded memory. No TensorFlow in them."""

from __future__ import annotations

import collections
import itertools
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any, TypeVar

from datasets.errors import DataError
from datasets.images import ImageRejected
from datasets.sources import Reader
from datasets.tfrecords import frame, image_example

T = TypeVar("T")

_CHUNK_IMAGES = 64
_CHUNK_BYTES = 1 << 20
_CHUNKS_PER_WORKER = 3


@dataclass(frozen=True)
class Chunk:
    """A few images of one split that are converted together, for one record file."""

    split_name: str
    file_name: str
    names: Sequence[str]
    labels: Sequence[int]


@dataclass(frozen=True)
class Rejection:
    """A rejected image."""

    name: str
    split_name: str
    label: int
    reason: str
    detail: str


@dataclass(frozen=True)
class ConvertedChunk:
    """The outcome of a chunk.

    Attributes:
      records: framed as in a TFRecord file, one after the other.
      rejections: the bad images.
      heights: smallest and largest, in pixels; empty where all images are bad.
      widths: smallest and largest, in pixels.
    """

    records: bytes
    rejections: list[Rejection]
    heights: tuple[int, ...]
    widths: tuple[int, ...]


@dataclass(frozen=True)
class ChunkConverter:
    """Reads, checks and encodes the images of a chunk."""

    reader: Reader
    classes: Sequence[str]

    def __call__(self, chunk: Chunk) -> ConvertedChunk:
        """Convert one chunk; bad images are rejections in the result."""
        records, heights, widths, rejections = [], [], [], []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about odd metadata: the image itself is what counts
            for name, label in zip(chunk.names, chunk.labels, strict=True):
                try:
                    image = self.reader.load(name)
                except ImageRejected as rejected:
                    rejections.append(Rejection(name, chunk.split_name, label, rejected.reason, rejected.detail))
                    continue
                text = self.classes[label]
                example = image_example(image.data, image.format, label, text, image.height, image.width, name)
                records.append(frame(example))
                heights.append(image.height)
                widths.append(image.width)
        return ConvertedChunk(b"".join(records), rejections, extremes(heights), extremes(widths))


def extremes(numbers: Sequence[int]) -> tuple[int, ...]:
    """(smallest, largest); empty when there are no numbers."""
    return (min(numbers), max(numbers)) if numbers else ()


def cut_into_chunks(split_name: str, file_name: str, images: Iterable[tuple[str, int, int]]) -> Iterator[Chunk]:
    """Cut the images of a file, given by name, label and bytes, into chunks so small that several fit into memory."""
    names, labels, size = list[str](), list[int](), 0
    for name, label, num_bytes in images:
        names.append(name)
        labels.append(label)
        size += num_bytes
        if len(names) == _CHUNK_IMAGES or size >= _CHUNK_BYTES:
            yield Chunk(split_name, file_name, names, labels)
            names, labels, size = [], [], 0
    if names:
        yield Chunk(split_name, file_name, names, labels)


def convert_chunks(
    converter: Callable[[Chunk], T], tasks: Iterable[Chunk], num_workers: int
) -> Generator[tuple[Chunk, T], None, None]:
    """Convert chunks in ``num_workers`` processes (1: in this one) and give them, in order, each with its outcome.

    Closing the generator ends the processes.

    Raises:
      DataError: a worker process died, as when the machine is out of memory; the message names the images it may have
        been working on.
    """
    if num_workers == 1:
        yield from ((task, converter(task)) for task in tasks)
        return
    tasks = iter(tasks)
    pool = ProcessPoolExecutor(
        num_workers, multiprocessing.get_context(_start_method()), initializer=_start_worker, initargs=(converter,)
    )
    pending: collections.deque[tuple[Chunk, Future[T]]] = collections.deque()
    try:
        while True:
            for task in itertools.islice(tasks, num_workers * _CHUNKS_PER_WORKER - len(pending)):
                pending.append((task, pool.submit(_convert_in_worker, task)))
            if not pending:
                return
            task, future = pending[0]
            yield task, future.result()
            pending.popleft()
    except BrokenProcessPool as error:
        suspects = ", ".join(task.names[0] for task, _ in itertools.islice(pending, 2 * num_workers))
        raise DataError(
            "A worker process died, probably out of memory. It was reading the images from one of these on: "
            f"{suspects}. Try --num_workers=1."
        ) from error
    finally:
        pool.shutdown(cancel_futures=True)


def _start_method() -> str:
    # A fork starts in no time, where a fresh process imports everything again; but it can hang when the process that is
    # forked has threads, such as TensorFlow's.
    alone = threading.active_count() == 1 and "tensorflow" not in sys.modules
    return "fork" if alone and sys.platform == "linux" else "spawn"


_converter: Callable[[Chunk], Any]


def _start_worker(converter: Callable[[Chunk], Any]) -> None:
    global _converter
    _converter = converter
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then ends the workers
    threading.Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    # A killed parent cannot tell its workers to stop; without this they would wait for work forever.
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _convert_in_worker(chunk: Chunk) -> Any:
    return _converter(chunk)
