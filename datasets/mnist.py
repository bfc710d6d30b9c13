"""MNIST (LeCun, Cortes and Burges), from its four idx files; the format is described at http://yann.lecun.com/exdb/mnist/."""

from __future__ import annotations

import gzip
import os
import shutil
import struct
import zlib
from pathlib import Path

from datasets.download import Download, fetch_to_cache
from datasets.errors import DataError
from datasets.packed import PackedReader
from datasets.sources import ImageSource, KnownDataset, Request
from datasets.storage import copied_here

_MIRROR = "https://storage.googleapis.com/cvdf-datasets/mnist/"
# Sizes and checksums as in TensorFlow Datasets' url_checksums/mnist.txt.
DOWNLOADS = tuple(
    Download(_MIRROR + file_name, num_bytes, sha256)
    for file_name, num_bytes, sha256 in (
        (
            "train-images-idx3-ubyte.gz",
            9_912_422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        ("train-labels-idx1-ubyte.gz", 28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
        ("t10k-images-idx3-ubyte.gz", 1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
        ("t10k-labels-idx1-ubyte.gz", 4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6"),
    )
)
_PREFIXES = {"train": "train", "test": "t10k"}
_IMAGES, _LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"
_CLASSES = tuple("0123456789")
# The magic numbers say: unsigned bytes, in 3 dimensions and in 1.
_IMAGES_HEADER = struct.Struct(">4sIII")
_LABELS_HEADER = struct.Struct(">4sI")
_IMAGES_MAGIC, _LABELS_MAGIC = b"\0\0\x08\x03", b"\0\0\x08\x01"


def _open(request: Request) -> ImageSource:
    folder = request.pic_path
    if folder is None:
        for download in DOWNLOADS:
            folder = fetch_to_cache(download, request.on_progress).parent
    assert folder
    names = [f"{prefix}-{kind}" for prefix in _PREFIXES.values() for kind in (_IMAGES, _LABELS)]
    names += [f"{name}.gz" for name in names]
    return read_idx_files(copied_here(folder, names, request.work_dir), request.work_dir)


def read_idx_files(folder: Path, work_dir: Path) -> ImageSource:
    """Return the images of train-images-idx3-ubyte and t10k-images-idx3-ubyte with their labels, gzipped or not.

    Raises:
      DataError: a file is missing or damaged, or images and labels do not fit together.
    """
    splits = {}
    for split_name, prefix in _PREFIXES.items():
        images_path = _plain(folder, f"{prefix}-{_IMAGES}", work_dir)
        labels_path = _plain(folder, f"{prefix}-{_LABELS}", work_dir)
        images: list[list[str]] = [[] for _ in _CLASSES]
        for index, label in enumerate(_labels(labels_path, _num_images(images_path))):
            images[label].append(f"{images_path.name}:{index}")
        splits[split_name] = images
    return ImageSource(_CLASSES, splits, is_split=True, reader=_reader(work_dir))


def _reader(folder: Path) -> PackedReader:
    return PackedReader(os.fspath(folder), _IMAGES_HEADER.size, label_bytes=0, height=28, width=28, bands=1)


def _plain(folder: Path, file_name: str, work_dir: Path) -> Path:
    """Return the file, unzipped into ``work_dir``: images are read from any place in it."""
    target = work_dir / file_name
    for source, opener in ((folder / f"{file_name}.gz", gzip.open), (folder / file_name, open)):
        if source.exists():
            try:
                with opener(source, "rb") as packed, target.open("wb") as plain:
                    shutil.copyfileobj(packed, plain)
            except (OSError, EOFError, zlib.error) as error:
                raise DataError(f"Cannot unpack {source}: {error}.") from error
            return target
    raise DataError(f"{folder / file_name}.gz is missing: --pic_path must hold MNIST's four idx files.")


def _num_images(path: Path) -> int:
    with path.open("rb") as file:
        header = file.read(_IMAGES_HEADER.size)
    magic, num_images, height, width = _unpack(_IMAGES_HEADER, header, path)
    if magic != _IMAGES_MAGIC or (height, width) != (28, 28):
        raise DataError(f"{path.name} is not an idx file of 28x28 images.")
    _reader(path.parent).check_size(path, num_images)
    return num_images


def _labels(path: Path, num_images: int) -> bytes:
    content = path.read_bytes()
    magic, num_labels = _unpack(_LABELS_HEADER, content[: _LABELS_HEADER.size], path)
    labels = content[_LABELS_HEADER.size :]
    if magic != _LABELS_MAGIC or not num_labels == num_images == len(labels):
        raise DataError(f"{path.name} holds {len(labels):,} labels and says {num_labels:,}, for {num_images:,} images.")
    if max(labels) >= len(_CLASSES):
        raise DataError(f"{path.name}: label {max(labels)} is above {len(_CLASSES) - 1}.")
    return labels


def _unpack(header: struct.Struct, content: bytes, path: Path) -> tuple:
    if len(content) < header.size:
        raise DataError(f"{path.name} is truncated.")
    return header.unpack(content)


DATASET = KnownDataset("mnist", "MNIST: 70,000 handwritten digits, 28x28 grey, 10 classes", _open)
