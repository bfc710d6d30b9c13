"""Paths of this machine, and URLs."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.storage import fault_of, fault_of_list, is_url, local_list, path_of, scheme_of
from datasets.url_path import UrlPath


@pytest.mark.parametrize(
    ("path", "scheme"),
    [
        ("gs://bucket/run", "gs"),
        ("S3://bucket", "s3"),
        ("abfs+x.y-z://a", "abfs+x.y-z"),
        ("/data/run", ""),
        ("run", ""),
        ("C:/run", ""),
        ("gs:/bucket/run", ""),
        ("run/gs://bucket", ""),
        ("", ""),
    ],
)
def test_the_scheme_of_a_url_is_told_from_a_path(path: str, scheme: str) -> None:
    assert scheme_of(path) == scheme


def test_a_path_of_this_machine_has_no_fault() -> None:
    assert fault_of("/data/run") is None
    assert fault_of("file:///data/run") is None


@pytest.mark.parametrize(
    ("url", "advice"),
    [("gs://bucket/run", "gcsfuse"), ("s3://bucket", "mount-s3"), ("az://x/y", "blobfuse2"), ("swift://x", "rclone")],
)
def test_the_fault_of_a_url_names_its_scheme_and_what_to_install(url: str, advice: str) -> None:
    fault = str(fault_of(url))
    assert url.partition("//")[0] in fault
    assert advice in fault


def test_urls_that_tensorflow_serves_are_for_flags_that_take_them() -> None:
    assert fault_of("gs://bucket/run", takes_urls=True) is None
    assert "s3://" in str(fault_of("s3://bucket/run", takes_urls=True))


def test_a_path_of_this_machine_stays_one(tmp_path: Path) -> None:
    assert type(path_of(tmp_path)) is type(tmp_path)
    assert path_of("file:///data/my%20run") == Path("/data/my run")
    assert not is_url("/data/gs://run")


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("file:///a#b/c?d", "/a#b/c?d"),
        ("file://localhost/data", "/data"),
        ("FILE:///data", "/data"),
        ("file:///localhost/data", "/localhost/data"),
    ],
)
def test_a_file_url_names_a_path(url: str, path: str) -> None:
    assert fault_of(url) is None
    assert path_of(url) == Path(path)


@pytest.mark.parametrize("url", ["file://models/fer", "file://", "file://localhosts/fer"])
def test_a_file_url_of_another_machine_is_refused(url: str) -> None:
    assert fault_of(url) == "must be file:///absolute/path."


def test_each_path_of_a_list_may_be_a_file_url() -> None:
    assert local_list("file:///a,b,file:///c%20d") == "/a,b,/c d"
    assert fault_of_list("file:///a,/b,file:///c") is None
    assert "gs://" in str(fault_of_list("/a,gs://b"))


def test_a_url_becomes_its_path() -> None:
    path = path_of("gs://bucket/run")
    assert path == UrlPath("gs://bucket/run")
    assert path_of(path) is path
    assert is_url(path)
