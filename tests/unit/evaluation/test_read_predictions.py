from __future__ import annotations

from pathlib import Path

import pytest

from slim_train.errors import UsageError
from slim_train.evaluation import read_predictions as reading
from slim_train.evaluation.read_predictions import read_predictions, rows_of

HEAD = "file,label,prediction,probability,correct\n"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "its columns must be file, label"),
        (b"a,b\n1,2\n", "its columns must be file, label"),
        (HEAD.encode(), "holds no image"),
        (HEAD.encode() + b"a.jpg,cat\n", "line 2: a value is missing"),
        (HEAD.encode() + b"\xff\xfe,cat,cat,1,true\n", "is no predictions file"),
    ],
)
def test_a_file_that_is_none_of_an_evaluation_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "p.csv").write_bytes(content)
    with pytest.raises(UsageError, match=message):
        read_predictions(tmp_path / "p.csv")


def test_there_is_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_MOST_IMAGES", 1)
    (tmp_path / "p.csv").write_text(HEAD + "a,cat,cat,1,true\nb,cat,cat,1,true\n")
    with pytest.raises(UsageError, match="more than 1 images"):
        read_predictions(tmp_path / "p.csv")


def test_rows_are_found_again_by_their_number(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(HEAD + 'a,cat,dog,1,false\n"b\nb",cat,cat,1,true\n')
    read = read_predictions(tmp_path / "p.csv")
    assert read.hits == 1
    assert sorted(read.rows) == [0, 1]
    assert rows_of(tmp_path / "p.csv", [1]) == {1: ("b\nb", "cat", "cat")}
