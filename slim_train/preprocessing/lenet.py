"""The preprocessing of LeNet: resized, [-1, 1), nothing random.

Matches research/slim's lenet preprocessing but for one thing: an image of another size than the net's is resized,
where research/slim cuts out a part or pads it.
"""

from __future__ import annotations

from typing import Any

from slim_train.preprocessing import distort
from slim_train.preprocessing.picture import Picture
from slim_train.preprocessing.recipe import Recipe


def recipe() -> Recipe:
    """Return the recipe."""
    return Recipe(
        name="lenet",
        channels=1,
        train_picture=lambda picture, height, width, seed: _resize(picture, height, width),
        train_batch=lambda images, seed: _scale(images),
        eval_picture=_resize,
        eval_batch=_scale,
    )


def _resize(picture: Picture, height: int, width: int) -> Any:
    return distort.resize(picture.whole((height, width)), height, width)


def _scale(images: Any) -> Any:
    return (images - 128.0) / 128.0
