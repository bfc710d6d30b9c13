"""A small real data set: drawn shapes, converted once for all tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from datasets.convert import convert_dataset

CLASSES = ("cross", "disc", "square")


def draw_shape(class_name: str, random: np.random.RandomState) -> Image.Image:
    """A 28x28 grey picture of a white shape, at a random place and size, on a dark noisy ground."""
    image = Image.fromarray(random.randint(0, 60, (28, 28)).astype(np.uint8))
    draw = ImageDraw.Draw(image)
    x, y, radius = (*random.randint(11, 17, 2), random.randint(7, 10))
    box = [x - radius, y - radius, x + radius, y + radius]
    if class_name == "disc":
        draw.ellipse(box, fill=255)
    elif class_name == "square":
        draw.rectangle(box, outline=255, width=2)
    else:
        draw.line(box, fill=255, width=2)
        draw.line([box[0], box[3], box[2], box[1]], fill=255, width=2)
    return image


@pytest.fixture(scope="session")
def shapes_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TFRecords named shapes: 63 training and 27 test images of 3 classes."""
    pictures = tmp_path_factory.mktemp("pictures")
    random = np.random.RandomState(0)
    for class_name in CLASSES:
        (pictures / class_name).mkdir()
        for index in range(30):
            draw_shape(class_name, random).save(pictures / class_name / f"{class_name}_{index}.png")
    records = tmp_path_factory.mktemp("records")
    convert_dataset("image_folder", str(records), str(pictures), seed=1, num_workers=1)
    return records
