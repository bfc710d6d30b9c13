"""What is known of a file at a URL. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FileStatus:
    """What is known of a file or a folder, under the names of ``os.stat_result``.

    Attributes:
      tag: changes with the content, such as an ETag; "" if the store has none.
    """

    st_size: int
    st_mtime_ns: int
    is_folder: bool
    tag: str = ""

    @property
    def st_mtime(self) -> float:
        """Seconds since 1970."""
        return self.st_mtime_ns / 1e9
