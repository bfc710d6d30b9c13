"""Small real images and folders of them."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image


def _picture(mode: str = "RGB", size: tuple[int, int] = (12, 8), shift: int = 0) -> Image.Image:
    """A gradient, so that an image turned, mirrored or shifted is not the same image."""
    bands = [
        Image.linear_gradient("L").resize(size),
        Image.linear_gradient("L").rotate(90).resize(size),
        Image.new("L", size, shift % 256),
    ]
    return Image.merge("RGB", bands).convert(mode)


def _encoded(image_format: str = "JPEG", mode: str = "RGB", shift: int = 0, **options: Any) -> bytes:
    buffer = io.BytesIO()
    _picture(mode, shift=shift).save(buffer, image_format, **options)
    return buffer.getvalue()


@pytest.fixture
def picture() -> Callable[..., Image.Image]:
    """``picture(mode, size, shift)``: a Pillow image, 12 wide and 8 high unless told."""
    return _picture


@pytest.fixture
def encoded() -> Callable[..., bytes]:
    """``encoded(format, mode, shift, **options of Pillow's save)``: the bytes of an image file."""
    return _encoded


@pytest.fixture
def class_folders(tmp_path: Path) -> Callable[[Mapping[str, int]], Path]:
    """``class_folders({"cat": 3, "train/dog": 2})``: a folder with so many JPEG files 0.jpg, 1.jpg, ... in each."""

    def make(counts: Mapping[str, int]) -> Path:
        root = tmp_path / "pictures"
        for folder, count in counts.items():
            (root / folder).mkdir(parents=True)
            for number in range(count):
                (root / folder / f"{number}.jpg").write_bytes(_encoded(shift=number))
        return root

    return make
