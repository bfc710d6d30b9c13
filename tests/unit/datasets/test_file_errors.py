"""Asking a store again."""

from __future__ import annotations

import errno

import pytest

from datasets import file_errors
from datasets.file_errors import ExpiredToken, asking_again


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_errors, "_WAITS_SECS", (0.0, 0.0))


@pytest.mark.parametrize(("failures", "calls"), [(0, 1), (2, 3), (3, 3)])
def test_a_function_is_called_again_if_the_token_has_expired(failures: int, calls: int) -> None:
    renewed: list[int] = []
    called: list[str] = []

    @asking_again(lambda: renewed.append(1))
    def read(url: str) -> str:
        called.append(url)
        if len(called) <= failures:
            raise ExpiredToken(errno.EACCES, "expired", url)
        return "content"

    if failures == 3:
        with pytest.raises(ExpiredToken):
            read("s3://a")
    else:
        assert read("s3://a") == "content"
    assert len(called) == calls
    assert len(renewed) == calls - 1


def test_what_is_forbidden_is_not_asked_for_again() -> None:
    called: list[str] = []

    @asking_again()
    def read(url: str) -> None:
        called.append(url)
        raise PermissionError(errno.EACCES, "forbidden", url)

    with pytest.raises(PermissionError):
        read("s3://a")
    assert called == ["s3://a"]
