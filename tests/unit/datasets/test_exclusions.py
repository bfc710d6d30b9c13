"""Lists of images to leave out."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from datasets.class_folders import scan
from datasets.errors import DataError
from datasets.exclusions import Exclusion, read_exclusions, without_excluded, write_exclusions

Folders = Callable[[Mapping[str, int]], Path]


def test_what_is_written_is_read_whatever_the_names(tmp_path: Path) -> None:
    names = ['cat/a "b", c.jpg', "cat/line\nbreak.jpg", "cat/\udcff.jpg", "=1+1", "# no comment"]
    write_exclusions(tmp_path / "out.csv", [Exclusion(name, "equal bytes", "") for name in names])
    assert read_exclusions(tmp_path / "out.csv").names == frozenset(names)


def test_a_text_file_has_a_name_per_line(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_bytes("\ufeffcat/0.jpg\r\n\r\ncat/a b.jpg\n".encode())
    assert read_exclusions(tmp_path / "list.txt").names == {"cat/0.jpg", "cat/a b.jpg"}


def test_a_csv_file_saved_by_excel_is_read(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes("\ufefffile,reason\r\ncat/0.jpg,blurred\r\n".encode())
    assert read_exclusions(tmp_path / "list.csv").names == {"cat/0.jpg"}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("gone.csv", None, "Cannot read --exclude=.*gone.csv: No such file"),
        ("a.csv", "path,label\n1,2\n", "has no column file; its columns: path, label."),
        ("a.csv", "", "has no column file"),
        ("a.csv", "file,reason\n", "names no image."),
        ("a.txt", "\n\n", "names no image."),
    ],
)
def test_what_is_no_list_is_refused(tmp_path: Path, name: str, content: str | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=message):
        read_exclusions(tmp_path / name)


def test_listed_images_are_left_out_and_unknown_names_are_said(
    tmp_path: Path, class_folders: Folders, caplog: pytest.LogCaptureFixture
) -> None:
    source = scan(class_folders({"cat": 3, "dog": 2}))
    (tmp_path / "list.txt").write_text("cat/1.jpg\ncat/7.jpg\n")
    with caplog.at_level(logging.INFO):
        left = without_excluded(source, read_exclusions(tmp_path / "list.txt"))
    assert left.splits["train"] == [["cat/0.jpg", "cat/2.jpg"], ["dog/0.jpg", "dog/1.jpg"]]
    assert "1 of 2 names are no images, such as cat/7.jpg." in caplog.text
    assert "1 images are left out." in caplog.text


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            "0.jpg\n1.jpg",
            "none of its 2 names is an image. The first is '0.jpg'; .* such as 'cat/0.jpg'.",
        ),
        ("dog/0.jpg", "leaves no image of class 'dog'"),
    ],
)
def test_lists_that_leave_nothing_are_refused(tmp_path: Path, class_folders: Folders, names: str, message: str) -> None:
    source = scan(class_folders({"cat": 3, "dog": 1}))
    (tmp_path / "list.txt").write_text(names)
    with pytest.raises(DataError, match=message):
        without_excluded(source, read_exclusions(tmp_path / "list.txt"))


def test_the_settings_tell_lists_apart(tmp_path: Path) -> None:
    for name, content in (("a.txt", "x\ny\n"), ("b.txt", "y\nx\n"), ("c.txt", "x\nz\n")):
        (tmp_path / name).write_text(content)
    first, same, other = (read_exclusions(tmp_path / name).settings() for name in ("a.txt", "b.txt", "c.txt"))
    assert first == same != other
    assert first["excluded"] == 2
