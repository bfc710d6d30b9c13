"""What the protocols have in common: base64 in all forms that clients send."""

from __future__ import annotations

import base64

import pytest

from slim_train.serving.answers import decode_base64
from slim_train.serving.errors import RequestError

DATA = bytes(range(256)) + b"\xff\xfe"


@pytest.mark.parametrize(
    "text",
    [
        base64.b64encode(DATA).decode(),
        base64.encodebytes(DATA).decode(),
        base64.b64encode(DATA).decode().replace("\n", "\r\n") + "\r\n",
        base64.urlsafe_b64encode(DATA).decode(),
        base64.urlsafe_b64encode(DATA[:-1]).decode().rstrip("="),
        f"data:image/jpeg;base64,{base64.b64encode(DATA).decode()}",
    ],
    ids=["plain", "lines", "windows", "url-safe", "unpadded", "data url"],
)
def test_every_form_of_base64_is_read(text: str) -> None:
    assert decode_base64(text, "instances[0]") in (DATA, DATA[:-1])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("?", r"instances\[0\] is not base64"),
        ("Y", r"instances\[0\] is not base64"),
        (3, "must be base64 text, not a number"),
        ("data:image/jpeg,abc", "a data URL without base64"),
    ],
)
def test_what_is_no_base64_is_refused(text: object, message: str) -> None:
    with pytest.raises(RequestError, match=message):
        decode_base64(text, "instances[0]")
