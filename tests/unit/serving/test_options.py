"""Flags of the server."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.storage import path_of
from slim_train.errors import UsageError
from slim_train.serving.options import ServeOptions, ServerOptions, named_paths, read_api_keys


def test_it_listens_on_loopback_unless_told_otherwise() -> None:
    assert ServeOptions().server.host == "127.0.0.1"


def test_no_picture_can_be_allowed_that_the_decoder_refuses() -> None:
    with pytest.raises(UsageError, match="max_megapixels=179.0 must be at most 178"):
        ServerOptions(max_megapixels=179.0)


def test_paths_may_have_names(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b=c").mkdir()
    value = f"{tmp_path}/a, pets={tmp_path}/a ,{tmp_path}/b=c,"
    assert named_paths("model_dir", value) == [
        (None, tmp_path / "a"),
        ("pets", tmp_path / "a"),
        (None, tmp_path / "b=c"),
    ]


def test_no_paths() -> None:
    assert named_paths("conf", None) == []


@pytest.mark.parametrize("value", ["no/such", "name=no/such"])
def test_a_path_that_is_not_there_is_named(value: str) -> None:
    with pytest.raises(UsageError, match="no/such does not exist"):
        named_paths("model_dir", value)


def test_a_name_must_not_be_empty(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no name in front of the ="):
        named_paths("model_dir", f"={tmp_path}")


def test_keys_are_lines_and_comments_are_none(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("# of the lab\n one \n\ntwo\n")
    assert read_api_keys(tmp_path / "keys") == ("one", "two")


@pytest.mark.parametrize("content", [None, "", "# nothing\n", b"\xff"])
def test_a_key_file_without_keys_does_not_leave_the_server_open(tmp_path: Path, content: str | bytes | None) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UsageError, match="--api_key_file="):
        read_api_keys(path)


def test_models_at_urls_have_names_and_must_be_there() -> None:
    (path_of("ram://served/export") / "saved_model.pb").write_bytes(b"")
    entries = named_paths("model_dir", "ram://served/export,fer=ram://served/export")
    assert entries == [(None, path_of("ram://served/export")), ("fer", path_of("ram://served/export"))]
    with pytest.raises(UsageError, match="ram://served/none does not exist"):
        named_paths("model_dir", "fer=ram://served/none")
    with pytest.raises(UsageError, match="--model_dir=fer=swift://a/b: swift://a/b is a URL"):
        named_paths("model_dir", "fer=swift://a/b")
