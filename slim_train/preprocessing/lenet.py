"""The preprocessing of LeNet: resized, centred on grey. Matches research/slim's lenet preprocessing.

One difference: a picture of another size than the net's is resized, where research/slim crops or pads it.
"""

from __future__ import annotations

from typing import Any

from slim_train.preprocessing import geometry
from slim_train.preprocessing.picture import Picture
from slim_train.preprocessing.recipe import Recipe


def recipe() -> Recipe:
    return Recipe(
        name="lenet",
        channels=1,
        train_geometry=lambda picture, height, width, seed: _geometry(picture, height, width),
        train_colours=lambda images, seed: _scale(images),
        eval_geometry=_geometry,
        eval_colours=_scale,
    )


def _geometry(picture: Picture, height: int, width: int) -> Any:
    return geometry.resize(picture.whole(), height, width)


def _scale(images: Any) -> Any:
    return images / 128.0 - 1.0
