from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.convert import convert_dataset
from datasets.errors import DataError
from datasets.fer import DATASET, read_csv
from datasets.images import ImageRejected
from datasets.shrinking import Shrinking
from datasets.sources import Request

_FACE = " ".join(str(pixel % 256) for pixel in range(48 * 48))


def _csv(path: Path, *rows: str, header: str = "emotion,pixels,Usage") -> Path:
    path.write_text("\n".join([header, *rows]) + "\n")
    return path


def test_usages_become_splits_and_emotions_sorted_classes(tmp_path: Path) -> None:
    rows = [f"6,{_FACE},Training", f"0,{_FACE},Training", f"6,{_FACE},PublicTest", f"3,{_FACE},PrivateTest"]
    source = read_csv(_csv(tmp_path / "fer2013.csv", *rows))
    assert source.classes == ("angry", "happy", "neutral")
    assert source.is_split
    assert source.splits == {
        "train": [["fer2013.csv:3"], [], ["fer2013.csv:2"]],
        "validation": [[], [], ["fer2013.csv:4"]],
        "test": [[], ["fer2013.csv:5"], []],
    }


def test_pixels_are_stored_without_loss(tmp_path: Path) -> None:
    source = read_csv(_csv(tmp_path / "fer2013.csv", f"0,{_FACE},Training", f"1,{_FACE},Training"))
    image = source.reader.load("fer2013.csv:3")
    expected = (np.arange(48 * 48) % 256).reshape(48, 48)
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(image.data))), expected)


def test_quoted_pixels_other_column_orders_and_blank_lines_are_read(tmp_path: Path) -> None:
    path = _csv(
        tmp_path / "a.csv", f'0,Training,"{_FACE}"', "", f"4,PublicTest,{_FACE}", header="emotion, Usage, pixels"
    )
    source = read_csv(path)
    assert source.splits["validation"] == [[], ["a.csv:4"]]
    assert source.reader.load("a.csv:4").height == 48


def test_without_usages_the_faces_are_not_split(tmp_path: Path) -> None:
    source = read_csv(_csv(tmp_path / "train.csv", f"0,{_FACE}", header="emotion,pixels"))
    assert not source.is_split
    assert source.splits == {"train": [["train.csv:2"]]}


@pytest.mark.parametrize("pixels", ["1 2 3", _FACE + " 7", _FACE[:-3] + "256", _FACE[:-3] + "-1", "one two", ""])
def test_a_row_with_wrong_pixels_is_a_rejected_image(tmp_path: Path, pixels: str) -> None:
    source = read_csv(_csv(tmp_path / "fer2013.csv", f"0,{pixels},Training"))
    with pytest.raises(ImageRejected) as rejected:
        source.reader.load("fer2013.csv:2")
    assert rejected.value.reason == "damaged"


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (f"7,{_FACE},Training", "line 3: emotion must be 0 to 6, got '7'"),
        (f"happy,{_FACE},Training", "line 3: emotion must be 0 to 6, got 'happy'"),
        (f"0,{_FACE},Holiday", "line 3: Usage must be one of Training, PublicTest, PrivateTest, got 'Holiday'"),
        ("0", "line 3: 1 columns, not 3"),
    ],
)
def test_a_row_that_cannot_be_labelled_is_named_by_its_line(tmp_path: Path, row: str, complaint: str) -> None:
    path = _csv(tmp_path / "fer2013.csv", f"0,{_FACE},Training", row)
    with pytest.raises(DataError, match=complaint):
        read_csv(path)


def test_a_csv_file_of_something_else_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="names the columns emotion and pixels"):
        read_csv(_csv(tmp_path / "iris.csv", "1,2", header="petal,sepal"))


def test_a_csv_file_without_faces_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no faces"):
        read_csv(_csv(tmp_path / "fer2013.csv"))


def _request(pic_path: Path | None, tmp_path: Path) -> Request:
    return Request(pic_path, tmp_path / "out", tmp_path / "work", lambda *_: None)


def test_a_folder_that_holds_the_csv_file_is_read_by_it(tmp_path: Path) -> None:
    _csv(tmp_path / "fer2013.csv", f"0,{_FACE},Training")
    assert DATASET.open(_request(tmp_path, tmp_path)).splits["train"] == [["fer2013.csv:2"]]


def test_rows_of_a_csv_file_cannot_be_made_smaller(tmp_path: Path) -> None:
    _csv(tmp_path / "fer2013.csv", f"0,{_FACE},Training")
    with pytest.raises(DataError, match=r"^--max_image_side requires image files.*remove the flag\.$"):
        convert_dataset("fer", tmp_path / "out", tmp_path, shrinking=Shrinking(24))
    assert not (tmp_path / "out").exists()


def test_without_pic_path_one_learns_where_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"kaggle\.com.*--pic_path"):
        DATASET.open(_request(None, tmp_path))
