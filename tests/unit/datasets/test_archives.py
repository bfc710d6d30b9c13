from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from datasets.archives import unpacked
from datasets.errors import DataError
from datasets.flowers import DATASET
from datasets.sources import Request


def _tar(path: Path, *members: tarfile.TarInfo) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for member in members:
            member.size = 4 if member.isfile() else 0
            archive.addfile(member, io.BytesIO(b"data") if member.isfile() else None)
    return path


def _link(name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = tarfile.SYMTYPE, target
    return member


def _files(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def test_a_folder_is_taken_as_it_is(tmp_path: Path, work_dir: Path) -> None:
    assert unpacked(tmp_path, work_dir) == tmp_path


def test_the_one_folder_of_an_archive_is_found(tmp_path: Path, work_dir: Path) -> None:
    archive = _tar(tmp_path / "a.tgz", tarfile.TarInfo("photos/rose/1.jpg"), tarfile.TarInfo("photos/LICENSE.txt"))
    assert _files(unpacked(archive, work_dir)) == ["LICENSE.txt", "rose/1.jpg"]


def test_an_archive_of_several_folders_is_unpacked_as_it_is(tmp_path: Path, work_dir: Path) -> None:
    archive = _tar(tmp_path / "a.tgz", tarfile.TarInfo("rose/1.jpg"), tarfile.TarInfo("tulip/1.jpg"))
    assert _files(unpacked(archive, work_dir)) == ["rose/1.jpg", "tulip/1.jpg"]


def test_nothing_is_written_outside_the_folder(tmp_path: Path, work_dir: Path) -> None:
    archive = _tar(
        tmp_path / "a.tgz",
        tarfile.TarInfo("../evil"),
        tarfile.TarInfo("a/../../../evil"),
        _link("way_out", str(tmp_path)),
        tarfile.TarInfo(str(tmp_path / "absolute")),
        tarfile.TarInfo("rose/1.jpg"),
        tarfile.TarInfo("tulip/1.jpg"),
    )
    folder = unpacked(archive, work_dir)
    assert not list(tmp_path.glob("**/evil"))
    assert not (tmp_path / "absolute").exists()
    assert not (folder / "way_out").exists()


def test_an_archive_without_end_of_data_is_refused(
    tmp_path: Path, work_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("datasets.archives._MAX_BYTES", 7)
    archive = _tar(tmp_path / "a.tgz", tarfile.TarInfo("rose/1.jpg"), tarfile.TarInfo("tulip/1.jpg"))
    with pytest.raises(DataError, match="it holds more than"):
        unpacked(archive, work_dir)


def test_a_truncated_archive_is_named(tmp_path: Path, work_dir: Path) -> None:
    archive = _tar(tmp_path / "a.tgz", *(tarfile.TarInfo(f"rose/{number}.jpg") for number in range(100)))
    archive.write_bytes(archive.read_bytes()[:200])
    with pytest.raises(DataError, match=r"Cannot unpack .*a\.tgz"):
        unpacked(archive, work_dir)


def test_a_changed_byte_is_found_by_the_checksum_of_the_compression(tmp_path: Path, work_dir: Path) -> None:
    archive = _tar(tmp_path / "a.tgz", tarfile.TarInfo("rose/1.jpg"))
    checksum = len(archive.read_bytes()) - 8
    archive.write_bytes(archive.read_bytes()[:checksum] + bytes(4) + archive.read_bytes()[checksum + 4 :])
    with pytest.raises(DataError, match=r"Cannot unpack .*a\.tgz: CRC check failed"):
        unpacked(archive, work_dir)


def test_a_file_that_is_no_archive_is_named(tmp_path: Path, work_dir: Path) -> None:
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(DataError, match=r"a\.txt is neither a folder nor a whole tar archive"):
        unpacked(tmp_path / "a.txt", work_dir)


def test_a_missing_path_is_named(tmp_path: Path, work_dir: Path) -> None:
    with pytest.raises(DataError, match="gone does not exist"):
        unpacked(tmp_path / "gone", work_dir)


def test_flowers_may_be_given_as_the_published_archive(
    class_folders: Callable[..., Path], tmp_path: Path, work_dir: Path
) -> None:
    with tarfile.open(tmp_path / "flower_photos.tgz", "w:gz") as archive:
        archive.add(class_folders({"roses": 1, "tulips": 2}), "flower_photos")
    request = Request(tmp_path / "flower_photos.tgz", tmp_path / "out", work_dir, lambda *_: None)
    source = DATASET.open(request)
    assert source.splits["train"] == [["roses/0.jpg"], ["tulips/0.jpg", "tulips/1.jpg"]]
    assert source.reader.load("tulips/1.jpg").width == 12
