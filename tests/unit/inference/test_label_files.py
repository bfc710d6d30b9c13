from __future__ import annotations

from pathlib import Path

import pytest

from slim_train.errors import UsageError
from slim_train.inference.label_files import read_class_names, write_class_names


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0:angry\n1:happy\n", ("angry", "happy")),
        ("1:happy\r\n0:angry\r\n", ("angry", "happy")),
        ("angry\nhappy\n", ("angry", "happy")),
        ("tench, Tinca tinca\n10:04, a time\n", ("tench, Tinca tinca", "10:04, a time")),
        ("angry\n\nhappy", ("angry", "", "happy")),
    ],
)
def test_both_forms_are_read(text: str, names: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(text.encode())
    assert read_class_names(tmp_path / "labels.txt") == names


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe"])
def test_a_file_without_names_is_an_error_that_names_it(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_bytes(content)
    with pytest.raises(UsageError, match=r"labels\.txt"):
        read_class_names(tmp_path / "labels.txt")


def test_names_that_are_written_are_read_back(tmp_path):
    write_class_names(tmp_path / "labels.txt", ["cat", "Bär: groß"])
    assert (tmp_path / "labels.txt").read_bytes() == "cat\nBär: groß\n".encode()
    assert read_class_names(tmp_path / "labels.txt") == ("cat", "Bär: groß")
