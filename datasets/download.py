"""Downloads: resumed, checked, kept in a cache, with progress."""

from __future__ import annotations

import hashlib
import http.client
import logging
import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from datasets.errors import DataError
from datasets.sources import OnProgress

log = logging.getLogger(__name__)

_TIMEOUT_SECS = 30.0
_BLOCK_BYTES = 1 << 18


@dataclass(frozen=True)
class Download:
    """A file at a public address.

    Attributes:
      url: where.
      num_bytes: its published size.
      sha256: its published checksum, in hexadecimal.
    """

    url: str
    num_bytes: int
    sha256: str

    @property
    def file_name(self) -> str:
        """The last part of the address."""
        return self.url.rpartition("/")[2]


def cache_folder() -> Path:
    """Where downloads are kept: $SLIM_TRAIN_CACHE, else slim_train in the user's cache folder."""
    if chosen := os.environ.get("SLIM_TRAIN_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "slim_train"


def fetch(download: Download, folder: Path, on_progress: OnProgress) -> Path:
    """The file, from ``folder`` if it is there, else downloaded to it. What a broken download left is gone on with.

    Raises:
      DataError: the address cannot be reached or its content is not the published one; the message names the address
        and --pic_path.
    """
    path = folder / download.file_name
    if _size(path) == download.num_bytes:
        log.info("Using %s, downloaded before.", path)
        return path
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    if _size(partial) > download.num_bytes:
        partial.unlink()
    while (done := _size(partial)) < download.num_bytes:
        try:
            _receive(download, partial, on_progress)
        except (OSError, http.client.HTTPException) as error:
            if _size(partial) <= done:  # not a byte more: to try again would not help
                raise _unreachable(download, error) from error
            log.warning("The download of %s broke off (%s); going on with it.", download.url, error)
    _check(download, partial)
    partial.replace(path)
    return path


def _receive(download: Download, partial: Path, on_progress: OnProgress) -> None:
    """Add to ``partial`` what it lacks."""
    done = _size(partial)
    headers = {"User-Agent": "slim-train", "Range": f"bytes={done}-"} if done else {"User-Agent": "slim-train"}
    request = urllib.request.Request(download.url, headers=headers)
    with urllib.request.urlopen(request, timeout=_TIMEOUT_SECS) as response:
        if response.status != http.client.PARTIAL_CONTENT:
            done = 0  # the server sends the whole file again
        with partial.open("ab" if done else "wb") as file:
            while block := response.read(_BLOCK_BYTES):
                file.write(block)
                done += len(block)
                on_progress(f"downloading {download.file_name}", done, download.num_bytes, "bytes")
                if done > download.num_bytes:
                    break  # not the published file: the check that follows says so
    if done < download.num_bytes:
        raise ConnectionError(f"the connection ended after {done:,} of {download.num_bytes:,} bytes")


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _check(download: Download, partial: Path) -> None:
    digest = hashlib.sha256()
    with partial.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    if digest.hexdigest() != download.sha256:
        num_bytes = partial.stat().st_size
        partial.unlink()
        raise DataError(
            f"What {download.url} sent is not the published file: {num_bytes:,} bytes with SHA-256 "
            f"{digest.hexdigest()}, not {download.num_bytes:,} with {download.sha256}. Try again, or get it elsewhere "
            "and give it as --pic_path."
        )


def _unreachable(download: Download, error: Exception) -> DataError:
    reason = getattr(error, "reason", None) or error
    return DataError(
        f"Cannot download {download.url}: {reason}. Without a connection, get the file elsewhere and give it as "
        "--pic_path."
    )
