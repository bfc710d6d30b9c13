"""Images packed into one file, as cifar10 and mnist have them."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets.errors import DataError
from datasets.images import ImageRejected
from datasets.packed import PackedReader


def test_an_image_is_taken_from_its_place(tmp_path: Path) -> None:
    planes = np.arange(2 * 3 * 4 * 5, dtype=np.uint8).reshape(2, 3, 4, 5)
    (tmp_path / "batch").write_bytes(b"HEAD" + b"".join(b"L" + image.tobytes() for image in planes))
    reader = PackedReader(str(tmp_path), header_bytes=4, label_bytes=1, height=4, width=5, bands=3)
    reader.check_size(tmp_path / "batch", 2)
    image = Image.open(io.BytesIO(reader.load("batch:1").data))
    np.testing.assert_array_equal(np.asarray(image), planes[1].transpose(1, 2, 0))


def test_a_file_that_is_cut_short_is_named(tmp_path: Path) -> None:
    (tmp_path / "batch").write_bytes(bytes(19))
    reader = PackedReader(str(tmp_path), header_bytes=0, label_bytes=0, height=4, width=5, bands=1)
    with pytest.raises(ImageRejected, match="batch ends inside the image"):
        reader.load("batch:0")
    with pytest.raises(DataError, match="has 19 bytes, not the 20 of 1 images"):
        reader.check_size(tmp_path / "batch", 1)
