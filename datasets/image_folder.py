"""The user's own images in class folders."""

from __future__ import annotations

from pathlib import Path

from datasets.class_folders import scan
from datasets.errors import DataError
from datasets.sources import ImageSource, KnownDataset, Request


def _folders(request: Request) -> Path:
    if request.pic_path is None:
        raise DataError("--pic_path is missing: the folder whose subfolders are the classes.")
    return request.pic_path


def _open(request: Request) -> ImageSource:
    return scan(_folders(request), exclude=request.dataset_dir)


DATASET = KnownDataset("image_folder", "your own images, one folder per class", _open, _folders)
