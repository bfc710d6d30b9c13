"""Downloads: resumed, checked, kept in a cache, with progress."""

from __future__ import annotations

import contextlib
import email.message
import hashlib
import http.client
import logging
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from datasets.errors import DataError
from datasets.files import cache_folder, old_cache_folder
from datasets.sources import OnProgress

log = logging.getLogger(__name__)

_TIMEOUT_SECS = 30.0
_BLOCK_BYTES = 1 << 18


@dataclass(frozen=True)
class Download:
    """A file at a public address.

    Attributes:
      url: where.
      num_bytes: its published size; None: the one that the server states.
      sha256: its published checksum, in hexadecimal; None: it has none.
      otherwise: what to do with the file when it comes by another way, for errors.
    """

    url: str
    num_bytes: int | None = None
    sha256: str | None = None
    otherwise: str = "give it as --pic_path"

    @property
    def file_name(self) -> str:
        """The last part of the address."""
        return self.url.rpartition("/")[2]


def fetch_to_cache(download: Download, on_progress: OnProgress) -> Path:
    """Return the file in the cache folder, downloaded if it is not there.

    Raises:
      DataError: as :func:`fetch`.
    """
    path, old = cache_folder() / download.file_name, old_cache_folder() / download.file_name
    if old.is_file() and not path.exists():
        with contextlib.suppress(OSError):  # then it is downloaded again
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(old)
    return fetch(download, path.parent, on_progress)


def fetch(download: Download, folder: Path, on_progress: OnProgress) -> Path:
    """The file, from ``folder`` if it is there, else downloaded to it. What a broken download left is gone on with.

    Raises:
      DataError: the address cannot be reached or its content is not the published one; the message names the address
        and ``download.otherwise``.
    """
    path, total = folder / download.file_name, download.num_bytes
    if path.exists() and total in (None, _size(path)):
        log.info("Using %s, downloaded before.", path)
        return path
    folder.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.part")
    if total is not None and _size(partial) > total:
        partial.unlink()
    while total is None or _size(partial) < total:
        done = _size(partial)
        try:
            total = _receive(download, partial, on_progress)
        except (OSError, http.client.HTTPException) as error:
            if _size(partial) <= done:  # not a byte more: to try again would not help
                raise _unreachable(download, error) from error
            log.warning("The download of %s broke off (%s); going on with it.", download.url, error)
    _check(download, partial)
    partial.replace(path)
    return path


def _receive(download: Download, partial: Path, on_progress: OnProgress) -> int | None:
    """Add to ``partial`` what it lacks. Returns the size of the file; None: try again."""
    done = _size(partial)
    headers = {"User-Agent": "slim-train", "Range": f"bytes={done}-"} if done else {"User-Agent": "slim-train"}
    request = urllib.request.Request(download.url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=_TIMEOUT_SECS)
    except urllib.error.HTTPError as error:
        if error.code != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or download.num_bytes is not None:
            raise
        if _whole_size(error.headers) == done:
            return done
        partial.unlink()  # of a file that has since been replaced by a shorter one
        return None
    with response:
        if response.status != http.client.PARTIAL_CONTENT:
            done = 0  # the server sends the whole file again
        total = download.num_bytes or _whole_size(response.headers, start=done)
        with partial.open("ab" if done else "wb") as file:
            while block := response.read(_BLOCK_BYTES):
                file.write(block)
                done += len(block)
                on_progress(f"downloading {download.file_name}", done, total, "bytes")
                if total is not None and done > total:
                    break  # not the published file: the check that follows says so
    if total is None:
        return done
    if done < total:
        raise ConnectionError(f"the connection ended after {done:,} of {total:,} bytes")
    return total


def _whole_size(headers: email.message.Message, start: int | None = None) -> int | None:
    """The size of the file that an answer, which begins at byte ``start`` of it, is a part of; None: not stated."""
    size = headers.get("Content-Range", "").rpartition("/")[2]
    if size.isdigit():
        return int(size)
    length = headers.get("Content-Length", "")
    return start + int(length) if start is not None and length.isdigit() else None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _check(download: Download, partial: Path) -> None:
    if download.sha256 is None:
        return
    digest = hashlib.sha256()
    with partial.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    if digest.hexdigest() != download.sha256:
        num_bytes = partial.stat().st_size
        partial.unlink()
        raise DataError(
            f"What {download.url} sent is not the published file: {num_bytes:,} bytes with SHA-256 "
            f"{digest.hexdigest()}, not {download.num_bytes or num_bytes:,} with {download.sha256}. Try again, or get "
            f"it elsewhere and {download.otherwise}."
        )


def _unreachable(download: Download, error: Exception) -> DataError:
    reason = getattr(error, "reason", None) or error
    return DataError(
        f"Cannot download {download.url}: {reason}. Without a connection, get the file elsewhere and "
        f"{download.otherwise}."
    )
