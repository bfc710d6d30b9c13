"""Upload of what has changed in a folder, on the file system in memory of fsspec."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets import changed_files
from datasets.changed_files import ChangedFiles
from datasets.storage import copy_file, path_of

pytest.importorskip("fsspec")


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Names of files that the store refuses, and how often it did."""
    names: dict[str, int] = {}

    def copy(source: Path, target: Path) -> None:
        if source.name in names:
            names[source.name] += 1
            raise PermissionError(13, f"no {source.name}", str(target))
        copy_file(source, target)

    monkeypatch.setattr(changed_files, "copy_file", copy)
    return names


def test_only_what_is_new_changed_or_gone_is_so_at_the_url(tmp_path: Path) -> None:
    target = path_of("memory://changed/out")
    for name in ("kept", "changed", "gone"):
        (tmp_path / name).write_text("old")
    copy_file(tmp_path / "gone", target / "gone")
    files = ChangedFiles(tmp_path, target)
    (tmp_path / "changed").write_text("changed")
    (tmp_path / "part").mkdir()
    (tmp_path / "part" / "new").write_text("new")
    (tmp_path / "gone").unlink()
    files.upload()
    files.remove_missing()
    assert [path.name for path in target.iterdir()] == ["changed", "part"]
    assert (target / "part" / "new").read_text() == "new"


def test_a_file_that_is_refused_does_not_stop_the_others_and_is_tried_again(
    tmp_path: Path, refused: dict[str, int]
) -> None:
    target = path_of("memory://changed/refused")
    files = ChangedFiles(tmp_path, target)
    for name in ("a", "b", "c"):
        (tmp_path / name).write_text(name)
    refused["a"] = 0
    with pytest.raises(PermissionError, match="no a"):
        files.upload()
    assert [path.name for path in target.iterdir()] == ["b", "c"]
    del refused["a"]
    files.upload()
    assert (target / "a").read_text() == "a"


def test_a_store_that_refuses_three_files_is_not_asked_for_the_rest(tmp_path: Path, refused: dict[str, int]) -> None:
    files = ChangedFiles(tmp_path, path_of("memory://changed/away"))
    for number in range(9):
        (tmp_path / str(number)).write_text("x")
        refused[str(number)] = 0
    with pytest.raises(PermissionError, match="no 0"):
        files.upload()
    assert sum(refused.values()) == 3
