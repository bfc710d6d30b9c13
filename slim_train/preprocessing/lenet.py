"""The preprocessing of LeNet: resized, [-1, 1), nothing random.

Matches research/slim's lenet preprocessing but for one thing: an image of another size than the net's is resized,
where research/slim cuts out a part or pads it.
"""

from __future__ import annotations

from typing import Any

from slim_train.preprocessing import distort
from slim_train.preprocessing.recipe import Recipe
from slim_train.preprocessing.source_image import SourceImage


def recipe() -> Recipe:
    """Return the recipe."""
    return Recipe(
        name="lenet",
        channels=1,
        train_image=lambda source, height, width, seed: _resize(source, height, width),
        train_batch=lambda images, seed: _scale(images),
        eval_image=_resize,
        eval_batch=_scale,
    )


def _resize(source: SourceImage, height: int, width: int) -> Any:
    return distort.resize(source.whole((height, width)), height, width)


def _scale(images: Any) -> Any:
    return (images - 128.0) / 128.0
