"""URLs with the interface of pathlib, on the file systems in memory of TensorFlow and of fsspec."""

from __future__ import annotations

import io
import os
from pathlib import Path, PurePosixPath

import pytest

from datasets.files import replacing
from datasets.storage import copy_file, copy_folder, path_of, remove_folder
from datasets.url_path import UrlPath


@pytest.fixture(params=["ram", "memory"])
def folder(request: pytest.FixtureRequest) -> UrlPath:
    """A folder of its own for each test."""
    if request.param == "memory":
        pytest.importorskip("fsspec")
    return UrlPath(f"{request.param}://bucket/{abs(hash(request.node.nodeid))}")


def test_names_are_those_of_pathlib() -> None:
    path = UrlPath("gs://bucket/run//model.ckpt-5.index/")
    assert str(path) == "gs://bucket/run/model.ckpt-5.index"
    assert (path.name, path.stem, path.suffix) == ("model.ckpt-5.index", "model.ckpt-5", ".index")
    assert path.parent == UrlPath("gs://bucket/run")
    assert path.parent / "best" / "best.json" == path.parent.joinpath("best", "best.json")
    assert path.parents == (UrlPath("gs://bucket/run"), UrlPath("gs://bucket"))
    assert path.with_name("checkpoint") == UrlPath("gs://bucket/run/checkpoint")
    assert path.with_suffix("") == UrlPath("gs://bucket/run/model.ckpt-5")
    assert path.relative_to(UrlPath("gs://bucket")) == PurePosixPath("run/model.ckpt-5.index")
    assert (path.absolute(), path.resolve(), path.is_absolute()) == (path, path, True)
    assert sorted([path, path.parent]) == [path.parent, path]


def test_a_bucket_is_its_own_parent() -> None:
    assert UrlPath("gs://bucket").parent == UrlPath("gs://bucket")
    assert str(UrlPath("gs://bucket/")) == "gs://bucket"


def test_it_is_no_path_of_this_machine() -> None:
    with pytest.raises(TypeError):
        os.fspath(UrlPath("gs://bucket/run"))  # type: ignore[call-overload]


def test_a_key_that_would_lead_out_of_its_folder_is_not_listed(tmp_path: Path) -> None:
    files = pytest.importorskip("fsspec").filesystem("memory")
    url = path_of("memory://bucket/leading_out")
    (url / "a").write_text("a")
    files.store["/bucket/leading_out/../b"] = files.store["/bucket/leading_out/a"]
    assert [name for name in files.ls("/bucket/leading_out", detail=False) if name.endswith("..")]
    copy_folder(url, tmp_path / "folder")
    assert [path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file()] == [Path("folder/a")]
    assert list(url.iterdir()) == list(url.glob("*")) == [url / "a"]


def test_what_was_written_is_read(folder: UrlPath) -> None:
    (folder / "a.txt").write_text("grün\nrot\n")
    assert (folder / "a.txt").read_text(encoding="utf-8") == "grün\nrot\n"
    assert (folder / "a.txt").read_bytes() == "grün\nrot\n".encode()
    assert (folder / "a.txt").stat().st_size == 10
    with (folder / "a.txt").open(encoding="utf-8") as file:
        assert list(file) == ["grün\n", "rot\n"]


def test_a_file_is_read_from_any_place(folder: UrlPath) -> None:
    (folder / "a").write_bytes(bytes(range(100)))
    with (folder / "a").open("rb") as file:
        assert file.read(3) == bytes([0, 1, 2])
        file.seek(50)
        assert file.read(1) == bytes([50])
        assert file.seek(-1, os.SEEK_END) == 99
        assert file.read() == bytes([99])


def test_an_empty_file_is_read(folder: UrlPath) -> None:
    (folder / "empty").write_bytes(b"")
    assert (folder / "empty").read_bytes() == b""
    assert (folder / "empty").is_file()


def test_what_is_not_there_is_not_found(folder: UrlPath) -> None:
    missing = folder / "missing"
    assert not missing.exists()
    assert not missing.is_file()
    assert not missing.is_dir()
    assert list(missing.glob("*")) == []
    with pytest.raises(FileNotFoundError) as error:
        missing.read_text()
    assert (error.value.filename, error.value.strerror) == (str(missing), "No such file or directory")
    with pytest.raises(FileNotFoundError):
        missing.unlink()
    missing.unlink(missing_ok=True)


def test_a_folder_lists_its_files(folder: UrlPath) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "best").mkdir()
    for name in ("b.index", "a.index", "a.data", "best/c.index"):
        (folder / name).write_text(name)
    assert [path.name for path in folder.iterdir()] == ["a.data", "a.index", "b.index", "best"]
    assert [path.name for path in folder.glob("*.index")] == ["a.index", "b.index"]
    assert [path.name for path in folder.glob("b*/*.index")] == ["c.index"]
    assert list(folder.glob("a.data")) == [folder / "a.data"]
    assert folder.is_dir()
    assert not folder.is_file()
    assert (folder / "best").is_dir()


def test_a_folder_that_is_there_is_not_made_again(folder: UrlPath) -> None:
    folder.mkdir()
    folder.mkdir(exist_ok=True)
    with pytest.raises(FileExistsError):
        folder.mkdir()


def test_files_cannot_be_appended_to(folder: UrlPath) -> None:
    with pytest.raises(io.UnsupportedOperation):
        (folder / "a").open("a")


def test_a_file_at_a_url_is_replaced_as_a_whole(folder: UrlPath) -> None:
    path = path_of(str(folder / "out.png"))
    with replacing(path) as temporary:
        temporary.write_text("whole")
        assert isinstance(temporary, Path)
        assert temporary.suffix == ".png"
        assert not path.exists()
    assert path.read_text() == "whole"
    assert not temporary.parent.exists()
    with pytest.raises(RuntimeError), replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError
    assert path.read_text() == "whole"


def test_files_are_copied_to_a_store_and_back(folder: UrlPath, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("text")
    there, again = path_of(str(folder / "a")), path_of(str(folder / "b"))
    copy_file(tmp_path / "a", there)
    copy_file(there, again)
    copy_file(again, tmp_path / "c")
    assert (tmp_path / "c").read_text() == "text"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "c"]


def test_a_file_is_copied_to_another_store(folder: UrlPath) -> None:
    pytest.importorskip("fsspec")
    (folder / "a").write_text("text")
    for other in ("ram://other/a", "memory://other/a"):
        copy_file(path_of(str(folder / "a")), path_of(other))
        assert path_of(other).read_text() == "text"


def test_a_folder_is_renamed_and_removed(folder: UrlPath) -> None:
    (folder / "old").mkdir()
    (folder / "old" / "a").write_text("text")
    (folder / "old").rename(folder / "new")
    assert (folder / "new" / "a").read_text() == "text"
    assert not (folder / "old").exists()
    remove_folder(path_of(str(folder / "new")))
    assert not (folder / "new").exists()
