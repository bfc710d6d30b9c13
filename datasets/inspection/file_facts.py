"""What an inspection learns from image files in one reading. No TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets.duplicates.fingerprints import Fingerprint
from datasets.fetching import files_here
from datasets.images import ImageRejected, header_of
from datasets.inspection.image_stats import ImageStats, look_at


@dataclass(frozen=True)
class FileChunk:
    """A few image files.

    Attributes:
      root: folder that the names are relative to.
      names: paths of the files.
      decode: whether to decode images in full.
      compare: by what images are compared: bytes, pixels or near; "" if they are not.
    """

    root: str
    names: Sequence[str]
    decode: bool = False
    compare: str = ""


@dataclass
class FileFacts:
    """What image files are.

    Attributes:
      stats: the images.
      bad: files that are no images: [name, reason].
      prints: name of an image -> its fingerprint, if images are compared.
      num_bytes: size of all files.
    """

    stats: ImageStats = field(default_factory=ImageStats)
    bad: list[tuple[str, str]] = field(default_factory=list)
    prints: dict[str, Fingerprint] = field(default_factory=dict)
    num_bytes: int = 0

    def as_json(self) -> dict[str, Any]:
        """Return all facts as values that JSON takes."""
        return {
            "stats": self.stats.as_json(),
            "bad": self.bad,
            "prints": self.prints,
            "num_bytes": self.num_bytes,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> FileFacts:
        """Return what :meth:`as_json` has given."""
        prints = {name: Fingerprint(*of) for name, of in content["prints"].items()}
        bad = [(name, reason) for name, reason in content["bad"]]
        return cls(ImageStats.from_json(content["stats"]), bad, prints, content["num_bytes"])


def chunks_of_files(
    root: str, names: Sequence[str], decode: bool, compare: str = "", size: int = 500
) -> Iterator[FileChunk]:
    """Cut a list of files into chunks."""
    for start in range(0, len(names), size):
        yield FileChunk(root, names[start : start + size], decode, compare)


def read_files(chunk: FileChunk) -> FileFacts:
    """Read the headers of a chunk's files, or decode and compare them.

    Raises:
      DataError: files at a URL cannot be copied.
    """
    facts = FileFacts()
    with files_here([f"{chunk.root}/{name}" for name in chunk.names]) as paths:
        for name, path in zip(chunk.names, paths, strict=True):
            try:
                _read_file(name, path, chunk, facts)
            except OSError as error:
                facts.bad.append((name, f"cannot be read ({error.strerror})"))
            except ImageRejected as error:
                facts.bad.append((name, str(error)))
    return facts


def _read_file(name: str, path: str, chunk: FileChunk, facts: FileFacts) -> None:
    with open(path, "rb") as file:  # noqa: PTH123 -- called per image
        size = os.fstat(file.fileno()).st_size
        facts.num_bytes += size
        if not size:
            raise ImageRejected("empty file")
        if chunk.decode or chunk.compare:
            header, found = look_at(file.read(), chunk.decode, chunk.compare)
        else:
            header, found = header_of(file), None
    facts.stats.add(header, size)
    if found:
        facts.prints[name] = found
