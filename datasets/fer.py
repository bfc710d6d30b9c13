"""FER2013 (Goodfellow et al., 2013): faces in seven emotions, from class folders or from the challenge's csv file."""

from __future__ import annotations

import csv
import logging
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datasets.class_folders import scan
from datasets.errors import DataError
from datasets.files import Stamp, stamp_of
from datasets.images import EncodedImage, ImageRejected, encode_planes
from datasets.sources import TRAIN, ImageSource, KnownDataset, Request
from datasets.storage import copied_here

log = logging.getLogger(__name__)

# The number in the column ``emotion`` is an index into these; a label, as in class folders, one into them sorted.
_EMOTIONS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")
_USAGES = {"Training": "train", "PublicTest": "validation", "PrivateTest": "test"}
_CSV_NAMES = ("fer2013.csv", "icml_face_data.csv")
_SIDE = 48
# A row of 2,304 numbers of up to three digits.
_ROW_BYTES = 4 * _SIDE * _SIDE


@dataclass(frozen=True)
class CsvReader:
    """Reads the pixels of a row, by the name ``fer2013.csv:<line number>``.

    Attributes:
      path: of the csv file.
      offsets: where each line begins, in bytes.
      column: which column holds the pixels.
    """

    path: str
    offsets: array[int]
    column: int

    def stamp(self, name: str) -> Stamp:
        """About how long a row is, in bytes; size and time of change of the csv file."""
        return Stamp(stamp_of(self.path).text, _ROW_BYTES)

    def load(self, name: str) -> EncodedImage:
        """Read one row and encode its image as PNG."""
        with Path(self.path).open("rb") as file:
            file.seek(self.offsets[int(name.rpartition(":")[2]) - 1])
            row = _cells(file.readline())
        try:
            pixels = bytes(map(int, row[self.column].split()))
        except (IndexError, ValueError) as error:
            raise ImageRejected("damaged", f"pixels must be numbers from 0 to 255: {error}") from None
        if len(pixels) != _SIDE * _SIDE:
            raise ImageRejected("damaged", f"{len(pixels)} pixels, not {_SIDE * _SIDE}")
        return encode_planes(pixels, _SIDE, _SIDE, bands=1)


def _open(request: Request) -> ImageSource:
    path = _given(request)
    csv_path = _csv(path)
    if csv_path is None:
        return scan(path, exclude=request.dataset_dir)
    if csv_path != path:
        log.info("Reading %s.", csv_path)
    return read_csv(copied_here(csv_path.parent, [csv_path.name], request.work_dir) / csv_path.name)


def _folders(request: Request) -> Path | None:
    path = _given(request)
    return None if _csv(path) else path


def _given(request: Request) -> Path:
    if request.pic_path is None:
        raise DataError(
            "FER2013 has no public address. Get it from https://www.kaggle.com/datasets/msambare/fer2013 (class "
            "folders), or as fer2013.csv from Kaggle's facial expression recognition challenge, and give its folder as "
            "--pic_path."
        )
    return request.pic_path


def _csv(path: Path) -> Path | None:
    """Return the csv file that ``path`` is or holds, or None."""
    files = [path, *(path / name for name in _CSV_NAMES)]
    return next((file for file in files if file.is_file()), None)


def read_csv(path: Path) -> ImageSource:
    """Return the faces of a csv file with the columns emotion, pixels and, if the splits are given, Usage.

    Raises:
      DataError: a column is missing, or a row has an emotion or usage that there is not.
    """
    columns: dict[str, int] = {}
    splits: dict[str, dict[str, list[str]]] = {}
    offsets = array("Q")
    for number, (offset, line) in enumerate(_lines(path), start=1):
        offsets.append(offset)
        if number == 1:
            columns = _columns(line, path)
        elif line.strip():
            split_name, emotion = _usage_and_emotion(line, columns, f"{path}, line {number}")
            images = splits.setdefault(split_name, {name: [] for name in _EMOTIONS})
            images[emotion].append(f"{path.name}:{number}")
    classes = tuple(sorted(name for name in _EMOTIONS if any(images[name] for images in splits.values())))
    if not classes:
        raise DataError(f"{path} holds no faces.")
    by_class = {split_name: [images[name] for name in classes] for split_name, images in splits.items()}
    reader = CsvReader(str(path), offsets, columns["pixels"])
    return ImageSource(classes, by_class, is_split="usage" in columns, reader=reader)


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    offset = 0
    try:
        with path.open("rb") as file:
            for line in file:
                yield offset, line
                offset += len(line)
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.") from error


def _columns(line: bytes, path: Path) -> dict[str, int]:
    columns = {name.strip().lower(): index for index, name in enumerate(_cells(line))}
    if "emotion" not in columns or "pixels" not in columns:
        raise DataError(f"{path} must begin with a line that names the columns emotion and pixels (and Usage).")
    return columns


def _usage_and_emotion(line: bytes, columns: dict[str, int], where: str) -> tuple[str, str]:
    row = _cells(line)
    if len(row) != len(columns):
        raise DataError(f"{where}: {len(row)} columns, not {len(columns)}.")
    emotion = row[columns["emotion"]].strip()
    if not emotion.isdecimal() or int(emotion) >= len(_EMOTIONS):
        raise DataError(f"{where}: emotion must be 0 to {len(_EMOTIONS) - 1}, got {emotion!r}.")
    split_name = TRAIN
    if "usage" in columns:
        usage = row[columns["usage"]].strip()
        if usage not in _USAGES:
            raise DataError(f"{where}: Usage must be one of {', '.join(_USAGES)}, got {usage!r}.")
        split_name = _USAGES[usage]
    return split_name, _EMOTIONS[int(emotion)]


def _cells(line: bytes) -> list[str]:
    return next(csv.reader([line.decode("utf-8-sig", "replace")]), [])


DATASET = KnownDataset("fer", "FER2013: 35,887 faces in seven emotions, 48x48 grey", _open, _folders)
