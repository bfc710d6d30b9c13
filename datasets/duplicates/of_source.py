"""The duplicates among the images of a source, before they are divided. No TensorFlow."""

from __future__ import annotations

import contextlib
import logging
import warnings
from dataclasses import dataclass

from datasets.duplicates.fingerprints import NEAR, Fingerprint, fingerprint
from datasets.duplicates.groups import group_numbers, groups_of
from datasets.images import ImageRejected
from datasets.sources import ImageSource, OnProgress, Reader
from datasets.workers import Chunk, convert_chunks, cut_into_chunks

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Fingerprinter:
    """Reads and compares the images of a chunk; None stands for a bad image."""

    reader: Reader

    def __call__(self, chunk: Chunk) -> list[Fingerprint | None]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow's, about odd metadata
            return [self._of(name) for name in chunk.names]

    def _of(self, name: str) -> Fingerprint | None:
        try:
            return fingerprint(self.reader.load(name).data, NEAR)
        except ImageRejected:
            return None


def duplicates_of(source: ImageSource, num_workers: int, on_progress: OnProgress) -> dict[str, str]:
    """Return the group of each image that has duplicates or near-duplicates: the first name of the group.

    Args:
      source: the images; each is decoded.
      num_workers: processes; 1: this one.
      on_progress: told how many images are done.

    Raises:
      DataError: a worker process died.
    """
    names = sorted(name for by_class in source.splits.values() for of in by_class for name in of)
    sized = ((name, 0, source.reader.stamp(name).bytes_to_read) for name in names)
    chunks = cut_into_chunks("", "", sized)
    good: list[str] = []
    prints: list[Fingerprint] = []
    done = 0
    with contextlib.closing(convert_chunks(_Fingerprinter(source.reader), chunks, num_workers)) as results:
        for chunk, found in results:
            for name, of in zip(chunk.names, found, strict=True):
                if of is not None:
                    good.append(name)
                    prints.append(of)
            done += len(chunk.names)
            on_progress("comparing images", done, len(names), "images")
    if len(good) < len(names):
        log.warning("%d images cannot be read or decoded: their duplicates are not known.", len(names) - len(good))
    groups = groups_of(group_numbers(prints, NEAR))
    return {good[index]: good[group[0]] for group in groups for index in group}
