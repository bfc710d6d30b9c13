"""scikit-learn's handwritten digits, written out as class folders.

They are the test part of the UCI "Optical Recognition of Handwritten Digits" data: 1,797 images, 8x8 grey.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from datasets.class_folders import scan
from datasets.errors import DataError
from datasets.sources import ImageSource, KnownDataset, Request
from datasets.storage import is_url

_FOLDER = "images"


def _open(request: Request) -> ImageSource:
    if request.pic_path is not None:
        return scan(request.pic_path, exclude=request.dataset_dir)
    folder, written = request.dataset_dir / _FOLDER, request.work_dir / _FOLDER
    if is_url(folder):
        write_class_folders(written)
        return scan(written)
    if not folder.exists():
        write_class_folders(written)
        written.rename(folder)
    return scan(folder)


def write_class_folders(folder: Path) -> None:
    """Write ``<folder>/<digit>/digit_<number>.png``.

    Raises:
      DataError: scikit-learn is not installed.
    """
    try:
        from sklearn.datasets import load_digits
    except ImportError:
        raise DataError("The digits come with scikit-learn: pip install scikit-learn (or slim-train[demo]).") from None
    digits = load_digits()
    greatest = digits.images.max()
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        class_folder = folder / str(label)
        class_folder.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray((pixels * (255 / greatest)).round().astype("uint8"))
        image.save(class_folder / f"digit_{number:04d}.png")


DATASET = KnownDataset("digits", "scikit-learn's 1,797 handwritten digits, 8x8 grey, 10 classes", _open)
