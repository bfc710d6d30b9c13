"""Augmentations by name: what a recipe becomes when training distorts images in another way than its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from slim_train.errors import UsageError, unknown
from slim_train.preprocessing import distort
from slim_train.preprocessing.faces import distort_faces
from slim_train.preprocessing.randaugment import RandAugment
from slim_train.preprocessing.recipe import Recipe


def augmentation_names() -> tuple[str, ...]:
    """Return the valid names, sorted."""
    return tuple(sorted(_AUGMENTATIONS))


def augmented(recipe: Recipe, name: str) -> Recipe:
    """``recipe`` with the distortions called ``name`` in training; evaluation stays as it is.

    Args:
      name: ``recipe`` for its own distortions, ``none`` for images as evaluation sees them, ``faces`` for those with
        the distortions of :mod:`slim_train.preprocessing.faces`, ``randaugment`` for RandAugment on top of the recipe's
        own; its settings as timm writes them, such as ``rand-m7-n2-mstd0.5``.

    Raises:
      UsageError: there is no such augmentation.
    """
    if not recipe.gives_pixels and name not in ("recipe", "none"):
        raise UsageError(
            f"--augmentation={name} changes pixels in 0..255, and --preprocessing_file gives none: distort images in "
            "its preprocess_image if is_training."
        )
    if name.startswith("rand-"):
        return _randaugment(recipe, RandAugment.of_name(name))
    if name not in _AUGMENTATIONS:
        raise unknown("augmentation", name, _AUGMENTATIONS)
    return _AUGMENTATIONS[name](recipe)


def _undistorted(recipe: Recipe) -> Recipe:
    return dataclasses.replace(
        recipe,
        train_picture=lambda picture, height, width, seed: recipe.eval_picture(picture, height, width),
        train_batch=lambda images, seed: recipe.eval_batch(images),
    )


def _faces(recipe: Recipe) -> Recipe:
    return dataclasses.replace(
        _undistorted(recipe), train_batch=lambda images, seed: recipe.eval_batch(distort_faces(images, seed))
    )


def _randaugment(recipe: Recipe, policy: RandAugment) -> Recipe:
    def train_batch(images: Any, seed: Any) -> Any:
        return recipe.train_batch(policy.distort(images, distort.another_seed(seed, 0)), seed)

    return dataclasses.replace(recipe, train_batch=train_batch)


_AUGMENTATIONS: dict[str, Callable[[Recipe], Recipe]] = {
    "recipe": lambda recipe: recipe,
    "none": _undistorted,
    "faces": _faces,
    "randaugment": lambda recipe: _randaugment(recipe, RandAugment()),
}
