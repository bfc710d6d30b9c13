"""CIFAR-10 (Krizhevsky, 2009), from its binary version: https://www.cs.toronto.edu/~kriz/cifar.html.

The Python version is a pickle, which runs whatever code its author put there; it is not read.
"""

from __future__ import annotations

import os
from pathlib import Path

from datasets.archives import unpacked
from datasets.download import Download, fetch_to_cache
from datasets.errors import DataError
from datasets.packed import PackedReader
from datasets.sources import ImageSource, KnownDataset, Request
from datasets.storage import copied_here

# Size and checksum as in TensorFlow Datasets' url_checksums/cifar10.txt.
ARCHIVE = Download(
    "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
    170_052_171,
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
)
_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_FILES = {"train": [f"data_batch_{number}.bin" for number in range(1, 6)], "test": ["test_batch.bin"]}
_IMAGES_PER_FILE = 10_000


def _open(request: Request) -> ImageSource:
    path = request.pic_path or fetch_to_cache(ARCHIVE, request.on_progress)
    folder = unpacked(path, request.work_dir)
    names = [name for names in _FILES.values() for name in names]
    return read_binary_version(copied_here(folder, names, request.work_dir), _IMAGES_PER_FILE)


def read_binary_version(folder: Path, images_per_file: int) -> ImageSource:
    """Return the images of data_batch_1.bin to data_batch_5.bin (train) and test_batch.bin (test).

    Raises:
      DataError: a file is missing, has another size than its images need, or holds a label above 9.
    """
    reader = PackedReader(os.fspath(folder), header_bytes=0, label_bytes=1, height=32, width=32, bands=3)
    splits = {}
    for split_name, file_names in _FILES.items():
        images: list[list[str]] = [[] for _ in _CLASSES]
        for file_name in file_names:
            for index, label in enumerate(_labels(folder / file_name, reader, images_per_file)):
                images[label].append(f"{file_name}:{index}")
        splits[split_name] = images
    return ImageSource(_CLASSES, splits, is_split=True, reader=reader)


def _labels(path: Path, reader: PackedReader, num_images: int) -> bytes:
    if not path.exists():
        raise DataError(f"{path} is missing: --pic_path must hold the files of cifar-10-binary.tar.gz.")
    reader.check_size(path, num_images)
    labels = path.read_bytes()[:: reader.stride]
    if max(labels) >= len(_CLASSES):
        raise DataError(
            f"{path}: image {labels.index(max(labels))} has label {max(labels)}, above {len(_CLASSES) - 1}."
        )
    return labels


DATASET = KnownDataset("cifar10", "CIFAR-10: 60,000 color images, 32x32, 10 classes", _open)
