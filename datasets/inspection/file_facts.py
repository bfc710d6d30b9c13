"""What an inspection learns from image files in one reading. No TensorFlow."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from datasets.images import ImageRejected, check, header_of
from datasets.inspection.image_stats import ImageStats


@dataclass(frozen=True)
class FileChunk:
    """A few image files.

    Attributes:
      root: folder that the names are relative to.
      names: paths of the files.
      decode: whether to decode images in full.
    """

    root: str
    names: Sequence[str]
    decode: bool = False


@dataclass
class FileFacts:
    """What image files are.

    Attributes:
      stats: the images.
      bad: files that are no images: [name, reason].
    """

    stats: ImageStats = field(default_factory=ImageStats)
    bad: list[tuple[str, str]] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return all facts as values that JSON takes."""
        return {"stats": self.stats.as_json(), "bad": self.bad}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> FileFacts:
        """Return what :meth:`as_json` has given."""
        return cls(ImageStats.from_json(content["stats"]), [(name, reason) for name, reason in content["bad"]])


def chunks_of_files(root: str, names: Sequence[str], decode: bool, size: int = 500) -> Iterator[FileChunk]:
    """Cut a list of files into chunks."""
    for start in range(0, len(names), size):
        yield FileChunk(root, names[start : start + size], decode)


def read_files(chunk: FileChunk) -> FileFacts:
    """Read the headers of a chunk's files, or decode them."""
    facts = FileFacts()
    for name in chunk.names:
        try:
            with open(os.path.join(chunk.root, name), "rb") as file:  # noqa: PTH118, PTH123 -- called per image
                size = os.fstat(file.fileno()).st_size
                if not size:
                    raise ImageRejected("empty file")
                facts.stats.add(check(file.read()) if chunk.decode else header_of(file), size)
        except OSError as error:
            facts.bad.append((name, f"cannot be read ({error.strerror})"))
        except ImageRejected as error:
            facts.bad.append((name, str(error)))
    return facts
