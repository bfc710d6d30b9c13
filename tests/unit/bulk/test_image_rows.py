"""Where images of a bulk job are, and what happens if a store fails."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from datasets.errors import DataError
from datasets.storage import path_of
from slim_train.bulk.image_rows import ImageOpener


@pytest.mark.parametrize(
    ("root", "path", "whole"),
    [
        ("/data", "cat/0.jpg", "/data/cat/0.jpg"),
        ("/data", "/other/0.jpg", "/other/0.jpg"),
        ("", "cat/0.jpg", "cat/0.jpg"),
        ("gs://bucket/data", "cat/0.jpg", "gs://bucket/data/cat/0.jpg"),
        ("gs://bucket/data", "/other/0.jpg", "/other/0.jpg"),
        ("/data", "gs://bucket/0.jpg", "gs://bucket/0.jpg"),
        ("/data", "file:///other/a%20b.jpg", "/other/a b.jpg"),
    ],
)
def test_a_path_is_relative_to_the_root_unless_it_says_where_it_is(root: str, path: str, whole: str) -> None:
    assert ImageOpener(root).whole_path(path) == whole


def test_an_image_that_a_store_does_not_give_ends_the_job_and_is_not_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    path_of("memory://broken/a.jpg").write_bytes(b"1")

    def fails(*arguments: object, **options: object) -> None:
        raise OSError(5, "Input/output error", "a.jpg")

    monkeypatch.setattr(MemoryFileSystem, "get_file", fails)
    with (
        pytest.raises(DataError, match=r"Cannot copy memory://broken/a\.jpg: Input/output error"),
        ImageOpener("memory://broken").opened(["a.jpg"]),
    ):
        pass


def test_copies_are_removed_when_they_were_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    url = path_of("memory://image_rows/copies")
    (url / "a.jpg").write_bytes(b"1")
    with ImageOpener(str(url)).opened(["a.jpg", "../../none.jpg"]) as read:
        assert read("a.jpg") == b"1"
        assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
