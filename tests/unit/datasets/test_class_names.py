"""Files of class names."""

from __future__ import annotations

from pathlib import Path

import pytest

from datasets.class_names import read_class_names
from datasets.errors import DataError


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("0:angry\n1:happy\n", ("angry", "happy")),
        ("angry\r\nhappy\r\n", ("angry", "happy")),
        ("\ufeff0:angry\n\n1:happy\n \n", ("angry", "happy")),
        ("\ufeffangry \n\nhappy\n\n", ("angry", "", "happy")),
        ("10:04, a time\nnoon\n", ("10:04, a time", "noon")),
    ],
)
def test_numbered_and_plain_names_are_read(text: str, names: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_bytes(text.encode())
    assert read_class_names(tmp_path / "names.txt") == names


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "is empty"), (b"0:b\xe4r\n", "is not UTF-8 text"), (None, "Cannot read")]
)
def test_a_file_that_cannot_be_read_is_an_error_that_names_it(
    content: bytes | None, words: str, tmp_path: Path
) -> None:
    path = tmp_path / "names.txt"
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    with pytest.raises(DataError, match=words) as error:
        read_class_names(path)
    assert str(path) in str(error.value)
