from __future__ import annotations

import gzip
import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.errors import DataError
from datasets.mnist import read_idx_files


def _write(folder: Path, prefix: str, labels: bytes, zipped: bool = True) -> None:
    images = b"".join(bytes([10 * label]) * 784 for label in labels)
    files = {
        f"{prefix}-images-idx3-ubyte": struct.pack(">IIII", 0x803, len(labels), 28, 28) + images,
        f"{prefix}-labels-idx1-ubyte": struct.pack(">II", 0x801, len(labels)) + labels,
    }
    for name, content in files.items():
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three training images and two test images; each pixel is ten times the digit."""
    folder = tmp_path / "mnist"
    folder.mkdir()
    _write(folder, "train", bytes([7, 0, 7]))
    _write(folder, "t10k", bytes([1, 2]))
    return folder


@pytest.fixture
def work_dir(tmp_path: Path) -> Path:
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def test_the_idx_files_give_train_and_test(folder: Path, work_dir: Path) -> None:
    source = read_idx_files(folder, work_dir)
    assert source.classes == tuple("0123456789")
    assert source.splits["train"][7] == ["train-images-idx3-ubyte:0", "train-images-idx3-ubyte:2"]
    assert source.splits["test"][2] == ["t10k-images-idx3-ubyte:1"]
    image = source.reader.load("t10k-images-idx3-ubyte:1")
    np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(image.data))), np.full((28, 28), 20))


def test_files_may_be_unzipped(folder: Path, work_dir: Path) -> None:
    for path in folder.iterdir():
        path.unlink()
    _write(folder, "train", bytes([3]), zipped=False)
    _write(folder, "t10k", bytes([4]), zipped=False)
    assert read_idx_files(folder, work_dir).reader.load("train-images-idx3-ubyte:0").width == 28


def test_a_missing_file_is_named(folder: Path, work_dir: Path) -> None:
    (folder / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte\.gz is missing"):
        read_idx_files(folder, work_dir)


def test_a_file_that_is_no_gzip_is_named(folder: Path, work_dir: Path) -> None:
    (folder / "train-images-idx3-ubyte.gz").write_bytes(b"<html>not found</html>")
    with pytest.raises(DataError, match=r"Cannot unpack .*train-images-idx3-ubyte\.gz"):
        read_idx_files(folder, work_dir)


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("train-images-idx3-ubyte", struct.pack(">IIII", 0x803, 9, 28, 28), "has 16 bytes, not the 7,072 of 9 images"),
        ("train-images-idx3-ubyte", struct.pack(">IIII", 0x803, 0, 32, 32), "not an idx file of 28x28 images"),
        ("train-images-idx3-ubyte", b"abc", "truncated"),
        ("train-labels-idx1-ubyte", struct.pack(">II", 0x801, 2) + b"\1\2", "2 labels and says 2, for 3 images"),
        ("train-labels-idx1-ubyte", struct.pack(">II", 0x803, 3) + b"\1\2\3", "for 3 images"),
        ("train-labels-idx1-ubyte", struct.pack(">II", 0x801, 3) + b"\1\2\xff", "label 255 is above 9"),
    ],
)
def test_a_damaged_idx_file_is_named(folder: Path, work_dir: Path, name: str, content: bytes, complaint: str) -> None:
    (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    with pytest.raises(DataError, match=f"{name}.*{complaint}"):
        read_idx_files(folder, work_dir)
