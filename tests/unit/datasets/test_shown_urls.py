"""URLs in messages."""

from __future__ import annotations

import pytest

from datasets.fsspec_files import _os_error
from datasets.shown_urls import has_credentials, shown


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://host/a?sig=secret&x=1 is gone", "https://host/a?*** is gone"),
        ("sftp://user:word@host/a", "sftp://***@host/a"),
        ("s3://bucket/a", "s3://bucket/a"),
    ],
)
def test_signatures_and_passwords_are_hidden(url: str, text: str) -> None:
    assert shown(url) == text


def test_a_container_is_no_password() -> None:
    assert has_credentials("sftp://user:word@host/a")
    assert not has_credentials("abfs://container@account/a")


@pytest.mark.parametrize("error", [FileNotFoundError("https://host/a?sig=secret"), RuntimeError("x"), OSError("x")])
def test_errors_of_clients_hide_the_signature_of_a_url(error: Exception) -> None:
    raised = _os_error(error, "https://host/a?sig=secret")
    assert "secret" not in str(raised)
    assert raised.filename == "https://host/a?***"
