"""Paths of this machine, and URLs."""

from __future__ import annotations

import pytest

from datasets.storage import fault_of, scheme_of


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
