"""What the stores of fsspec do differently, on its file system in memory."""

from __future__ import annotations

import pytest

from datasets import fsspec_files
from datasets.file_status import FileStatus


def test_a_scheme_that_is_unknown_is_served_by_nothing() -> None:
    pytest.importorskip("fsspec")
    assert fsspec_files.missing_package("nowhere") == ""
    assert fsspec_files.missing_package("memory") is None


def test_what_a_store_says_of_a_file_is_known() -> None:
    pytest.importorskip("fsspec")
    fsspec_files.write("memory://files/status", b"four")
    found = fsspec_files.status("memory://files/status")
    assert isinstance(found, FileStatus)
    assert (found.st_size, found.is_folder) == (4, False)
    assert found.st_mtime > 1.7e9


def test_an_upload_that_fails_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    files = pytest.importorskip("fsspec").filesystem("memory")

    def fails(*arguments: object) -> None:
        raise RuntimeError("no more\nspace.")

    fsspec_files.write("memory://files/failing/a", b"old")
    monkeypatch.setattr(type(files), "mv", fails)
    with pytest.raises(OSError, match="no more space") as error:
        fsspec_files.write("memory://files/failing/a", b"new")
    assert (error.value.filename, error.value.strerror) == ("memory://files/failing/a", "no more space")
    assert fsspec_files.entries("memory://files/failing") == [("a", False)]
    assert fsspec_files.read("memory://files/failing/a") == b"old"
