"""How a data set is read for its inspection: in chunks, by several processes if it is large. No TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datasets.duplicates.fingerprints import BYTES
from datasets.duplicates.groups import DISTANCE
from datasets.inspection.processes import Chunk, read_all
from datasets.sources import OnProgress


@dataclass(frozen=True)
class Request:
    """How to read.

    Attributes:
      decode: whether to decode every image in full; otherwise headers are read.
      per_class: how many of the first images of each class to return.
      num_workers: processes that read.
      on_progress: called as ``on_progress(what, done, total, unit)``.
      compare: by what duplicates are looked for: bytes, pixels or near; "" if they are not.
      distance: bits of 64 in which perceptual hashes of near-duplicates may differ.
    """

    decode: bool = False
    per_class: int = 5
    num_workers: int = 1
    on_progress: OnProgress | None = None
    compare: str = ""
    distance: int = DISTANCE

    @property
    def decodes(self) -> bool:
        """Whether every image is decoded in full."""
        return self.decode or self.compare not in ("", BYTES)


def read_chunks(
    chunks: Sequence[Chunk], amounts: Sequence[int], what: str, unit: str, request: Request, worth_processes: int
) -> list[Any]:
    """Return the facts of each chunk.

    Args:
      chunks: what to read.
      amounts: size of each chunk.
      what: the work, for the progress.
      unit: of the amounts.
      request: how to read.
      worth_processes: amount from which other processes are started, which takes half a second.
    """
    total, done = sum(amounts), 0
    facts: list[Any] = [None] * len(chunks)
    for index, found in read_all(chunks, request.num_workers if total >= worth_processes else 1):
        facts[index] = found
        done += amounts[index]
        if request.on_progress:
            request.on_progress("decoding images" if request.decodes else what, done, total, unit)
    return facts
