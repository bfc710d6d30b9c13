"""tf_flowers: 3,670 photos of five kinds of flowers, in class folders (https://www.tensorflow.org/datasets/catalog/tf_flowers)."""

from __future__ import annotations

from pathlib import Path

from datasets.archives import unpacked
from datasets.class_folders import scan
from datasets.download import Download, fetch_to_cache
from datasets.sources import ImageSource, KnownDataset, Request

# Size and checksum as in TensorFlow Datasets' url_checksums/tf_flowers.txt.
ARCHIVE = Download(
    "https://storage.googleapis.com/download.tensorflow.org/example_images/flower_photos.tgz",
    228_813_984,
    "4c54ace7911aaffe13a365c34f650e71dd5bf1be0a58b464e5a7183e3e595d9c",
)


def _folders(request: Request) -> Path:
    path = request.pic_path or fetch_to_cache(ARCHIVE, request.on_progress)
    return unpacked(path, request.work_dir)


def _open(request: Request) -> ImageSource:
    return scan(_folders(request), exclude=request.dataset_dir)


DATASET = KnownDataset("flowers", "tf_flowers: 3,670 photos of five kinds of flowers", _open, _folders)
