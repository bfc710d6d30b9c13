"""Where files are: paths of this machine, or URLs of object stores and other file systems. No TensorFlow."""

from __future__ import annotations

import re
from urllib.parse import unquote, urlsplit

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://")
LOCAL = "file"

# What mounts a store as a folder of this machine, by scheme.
_MOUNTS = {
    "gs": "gcsfuse",
    "gcs": "gcsfuse",
    "s3": "mount-s3",
    "s3a": "mount-s3",
    "az": "blobfuse2",
    "abfs": "blobfuse2",
    "hdfs": "hadoop-hdfs-fuse",
}
_ANY_MOUNT = "rclone"


def scheme_of(path: str) -> str:
    """Return the scheme of a URL, in lower case; "" for a path of this machine."""
    match = _URL.match(path)
    return match["scheme"].lower() if match else ""


def local_path(path: str) -> str:
    """Return the path that a ``file://`` URL names; anything else as it is."""
    return unquote(urlsplit(path).path) if scheme_of(path) == LOCAL else path


def fault_of(path: str) -> str | None:
    """Return why files at ``path`` cannot be reached, as the end of a sentence; None for a path of this machine."""
    scheme = scheme_of(path)
    if scheme in ("", LOCAL):
        return None
    mount = _MOUNTS.get(scheme, _ANY_MOUNT)
    return (
        f"is a URL, and nothing here serves {scheme}://. Install {mount} and give the folder that it mounts, or copy "
        "the files."
    )
