"""Paths of this machine, and URLs."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from datasets import storage
from datasets.storage import fault_of, fault_of_list, is_url, local_list, path_of, scheme_of, shown
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


@pytest.mark.parametrize(
    ("scheme", "installs"), [("s3", "pip install 'slim-train[s3]'"), ("az", "adlfs"), ("hdfs", "pip install fsspec")]
)
def test_the_fault_of_a_scheme_that_nothing_serves_names_what_to_install(
    scheme: str, installs: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    fault = str(fault_of(f"{scheme}://bucket/run", takes_urls=True))
    assert f"{scheme}://" in fault
    assert installs in fault


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


def test_a_url_with_a_password_is_refused_and_shown_without_it() -> None:
    fault = str(fault_of("sftp://user:secret@host/run", takes_urls=True))
    assert "must not hold a user and password" in fault
    assert "secret" not in fault
    assert shown("--train_dir=sftp://user:secret@host/run") == "--train_dir=sftp://***@host/run"
    assert shown("s3://bucket/a@b") == "s3://bucket/a@b"


@pytest.mark.parametrize("url", ["abfs://container@account.dfs.core.windows.net/x", "hdfs://user@namenode:8020/x"])
def test_a_container_or_a_user_without_a_password_is_no_secret(url: str) -> None:
    assert "password" not in str(fault_of(url, takes_urls=True))
    assert shown(url) == url


def test_a_password_with_an_at_sign_and_a_signed_query_are_not_shown() -> None:
    assert "password" in str(fault_of("sftp://user:p@ss@host/x", takes_urls=True))
    assert shown("sftp://user:p@ss@host/x@y") == "sftp://***@host/x@y"
    assert shown("s3://:p@ss@host") == "s3://***@host"
    assert shown("--image=https://host/a.jpg?X-Amz-Signature=1a&X=2") == "--image=https://host/a.jpg?***"
    assert shown("s3://bucket/why?") == "s3://bucket/why?"


def test_each_path_of_a_list_may_be_a_file_url() -> None:
    assert local_list("file:///a,b,file:///c%20d") == "/a,b,/c d"
    assert fault_of_list("file:///a,/b,file:///c") is None
    assert "gs://" in str(fault_of_list("/a,gs://b"))


def test_a_url_becomes_its_path() -> None:
    path = path_of("gs://bucket/run")
    assert path == UrlPath("gs://bucket/run")
    assert path_of(path) is path
    assert is_url(path)


def test_a_folder_is_copied_to_a_url_with_the_file_that_makes_it_whole_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("saved_model.pb", "variables/variables.index", "labels.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    copied: list[str] = []
    monkeypatch.setattr(storage, "copy_file", lambda source, target: copied.append(str(target)))
    storage.copy_folder(tmp_path, path_of("ram://storage/model"), last="saved_model.pb")
    folder = "ram://storage/model"
    assert copied == [f"{folder}/variables/variables.index", f"{folder}/labels.txt", f"{folder}/saved_model.pb"]


def test_the_files_below_a_url_are_those_below_a_folder(tmp_path: Path) -> None:
    for name in ("b/c/d", "b/a", "a"):
        for folder in (tmp_path, path_of("ram://storage/below")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(name)
    assert [path.relative_to(tmp_path).as_posix() for path in storage.files_below(tmp_path)] == ["a", "b/a", "b/c/d"]
    assert [str(path) for path in storage.files_below(path_of("ram://storage/below"))] == [
        f"ram://storage/below/{name}" for name in ("a", "b/a", "b/c/d")
    ]
