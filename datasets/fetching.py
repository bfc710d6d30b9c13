"""Images at a URL, copied to this machine a little ahead of the processes that convert them. No TensorFlow."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import logging
import tempfile
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Protocol

from datasets.class_folders import FolderReader, UrlFolderReader
from datasets.errors import DataError
from datasets.process_folder import own_folder
from datasets.shrinking import Shrinking
from datasets.sources import Reader
from datasets.storage import copy_file, is_url, path_of, shown
from datasets.workers import Chunk, cut_into_chunks

log = logging.getLogger(__name__)

# A request takes most of its time on the way: many at once.
_THREADS = 32
# Chunks that are on their way, or here before they are needed.
_CHUNKS_AHEAD = 4


class ReadableImages(Protocol):
    """Images that can be read on this machine.

    Attributes:
      reader: reads an image that is here.
    """

    reader: Reader

    def fetched(self, chunks: Iterable[Chunk]) -> Generator[Chunk, None, None]:
        """Yield the images in the same order, when they are here.

        Raises:
          OSError: an image cannot be copied.
        """

    def remove(self, chunk: Chunk) -> None:
        """Remove images that are no longer needed."""


@contextlib.contextmanager
def readable_here(reader: Reader) -> Iterator[ReadableImages]:
    """Yield the images of a reader; those at a URL have copies in a temporary folder, of which there are never many."""
    if not isinstance(reader, UrlFolderReader):
        yield _Here(reader)
        return
    with tempfile.TemporaryDirectory(dir=own_folder()) as folder:
        yield _Copies(path_of(reader.root), path_of(folder), reader.shrinking)


@contextlib.contextmanager
def images_here(folder: Path, names: Sequence[str]) -> Iterator[Path]:
    """Yield a folder of this machine that holds all images: ``folder``, or a temporary one with copies.

    Args:
      folder: where the images are.
      names: of the images, relative to it.

    Raises:
      OSError: an image cannot be copied.
    """
    if not is_url(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory(dir=own_folder()) as temporary:
        log.info("Copying %s images from %s.", f"{len(names):,}", folder)
        copies = _Copies(folder, path_of(temporary), None)
        collections.deque(copies.fetched(cut_into_chunks("", "", ((name, 0, 0) for name in names))), maxlen=0)
        yield path_of(temporary)


@contextlib.contextmanager
def files_here(files: Sequence[str]) -> Iterator[list[str]]:
    """Yield the paths of files on this machine, in the same order: those that are here, and copies of those at URLs.

    A file at a URL that is not there keeps its URL, which opens as little.

    Args:
      files: paths and URLs.

    Raises:
      DataError: a file cannot be copied.
    """
    places = {url: number for number, url in enumerate(dict.fromkeys(filter(is_url, files)))}
    if not places:
        yield list(files)
        return
    with tempfile.TemporaryDirectory(dir=own_folder()) as folder:
        # By number: names of strangers could lead out of the folder.
        targets = [path_of(folder) / str(number) for number in places.values()]
        pool = ThreadPoolExecutor(_THREADS)
        try:
            copies = dict(zip(places, pool.map(_copied, places, targets), strict=True))
        finally:
            pool.shutdown(cancel_futures=True)
        yield [copies.get(file, file) for file in files]


def _copied(url: str, target: Path) -> str:
    try:
        copy_file(path_of(url), target)
    except FileNotFoundError:
        return url
    except OSError as error:
        raise DataError(f"Cannot copy {shown(url)}: {error.strerror}.") from error
    return str(target)


@dataclasses.dataclass
class _Here:
    reader: Reader

    def fetched(self, chunks: Iterable[Chunk]) -> Generator[Chunk, None, None]:
        yield from chunks

    def remove(self, chunk: Chunk) -> None:
        pass


class _Copies:
    def __init__(self, root: Path, folder: Path, shrinking: Shrinking | None) -> None:
        self._root, self._folder = root, folder
        self.reader: Reader = FolderReader(str(folder), shrinking)

    def fetched(self, chunks: Iterable[Chunk]) -> Generator[Chunk, None, None]:
        pending: collections.deque[tuple[Chunk, list[Future[None]]]] = collections.deque()
        pool = ThreadPoolExecutor(_THREADS)
        try:
            for chunk in chunks:
                pending.append((chunk, [pool.submit(self._fetch, name) for name in chunk.names]))
                if len(pending) > _CHUNKS_AHEAD:
                    yield from self._when_here(*pending.popleft())
            while pending:
                yield from self._when_here(*pending.popleft())
        finally:
            pool.shutdown(cancel_futures=True)

    def remove(self, chunk: Chunk) -> None:
        for name in chunk.names:
            (self._folder / name).unlink(missing_ok=True)

    def _fetch(self, name: str) -> None:
        target = self._folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_file(self._root / name, target)

    def _when_here(self, chunk: Chunk, copies: list[Future[None]]) -> Iterator[Chunk]:
        """Yield the images in chunks of bounded size, which is known only now."""
        for copy in copies:
            copy.result()
        images = zip(chunk.names, chunk.labels, strict=True)
        sized = ((name, label, self.reader.stamp(name).bytes_to_read) for name, label in images)
        return cut_into_chunks(chunk.split_name, chunk.file_name, sized)
