"""URLs in messages: without what is secret in them. No TensorFlow."""

from __future__ import annotations

import re

SCHEME = "[A-Za-z][A-Za-z0-9+.-]*"
# Not a user or container alone, which is no secret.
_CREDENTIALS = re.compile(rf"({SCHEME}://)[^/@:]*:[^/]*@")
_QUERY = re.compile(rf"({SCHEME}://[^?\s]*\?)\S*=\S*")


def shown(text: str) -> str:
    """Return text for messages: URLs without user and password, and without the query, which may sign."""
    return _QUERY.sub(r"\1***", _CREDENTIALS.sub(r"\1***@", text))


def has_credentials(url: str) -> bool:
    """Return whether a URL holds a user and a password."""
    return bool(_CREDENTIALS.match(url))
