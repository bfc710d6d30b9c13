from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.cifar10 import read_binary_version
from datasets.errors import DataError
from datasets.images import ImageRejected

_FILES = [*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images a file: label i has pixels of value i in red, 100 in green, 200 in blue."""
    for index, file_name in enumerate(_FILES):
        labels = (index, 9)
        records = (bytes([label]) + bytes([label] * 1024 + [100] * 1024 + [200] * 1024) for label in labels)
        (tmp_path / file_name).write_bytes(b"".join(records))
    return tmp_path


def test_the_published_files_give_train_and_test(folder: Path) -> None:
    source = read_binary_version(folder, images_per_file=2)
    assert source.classes[:2] == ("airplane", "automobile")
    assert source.is_split
    assert source.splits["train"][3] == ["data_batch_4.bin:0"]
    assert source.splits["train"][9] == [f"data_batch_{number}.bin:1" for number in range(1, 6)]
    assert source.splits["test"][5] == ["test_batch.bin:0"]


def test_planes_of_colour_become_pixels(folder: Path) -> None:
    image = read_binary_version(folder, images_per_file=2).reader.load("data_batch_4.bin:0")
    pixels = np.asarray(Image.open(io.BytesIO(image.data)))
    assert (image.format, pixels.shape) == ("png", (32, 32, 3))
    assert pixels[0, 0].tolist() == [3, 100, 200]


def test_a_missing_file_is_named(folder: Path) -> None:
    (folder / "test_batch.bin").unlink()
    with pytest.raises(DataError, match=r"test_batch\.bin is missing.*cifar-10-binary\.tar\.gz"):
        read_binary_version(folder, images_per_file=2)


def test_a_file_of_another_size_is_refused(folder: Path) -> None:
    (folder / "data_batch_2.bin").write_bytes(b"\0" * 100)
    with pytest.raises(DataError, match=r"data_batch_2\.bin has 100 bytes, not the 6,146 of 2 images"):
        read_binary_version(folder, images_per_file=2)


def test_a_label_above_nine_is_refused(folder: Path) -> None:
    data = bytearray((folder / "data_batch_3.bin").read_bytes())
    data[3073] = 10
    (folder / "data_batch_3.bin").write_bytes(data)
    with pytest.raises(DataError, match=r"data_batch_3\.bin: image 1 has label 10, above 9"):
        read_binary_version(folder, images_per_file=2)


def test_an_image_that_is_cut_off_later_is_rejected(folder: Path) -> None:
    reader = read_binary_version(folder, images_per_file=2).reader
    (folder / "test_batch.bin").write_bytes(b"\0" * 4000)
    with pytest.raises(ImageRejected, match="truncated"):
        reader.load("test_batch.bin:1")
