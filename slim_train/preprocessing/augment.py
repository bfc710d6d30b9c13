"""Augmentations by name: what a recipe becomes when training distorts images in another way than its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from slim_train.errors import UsageError
from slim_train.extensions import augmentation_registry
from slim_train.preprocessing import distort
from slim_train.preprocessing.faces import distort_faces
from slim_train.preprocessing.randaugment import RandAugment
from slim_train.preprocessing.recipe import Recipe
from slim_train.tf_compat import tf
from slim_train.training_options import RANDAUGMENT_PREFIX


def augmented(recipe: Recipe, name: str) -> Recipe:
    """``recipe`` with the distortions called ``name`` in training; evaluation stays as it is.

    Args:
      name: ``recipe`` for its own distortions, ``none`` for images as evaluation sees them, ``faces`` for those with
        the distortions of :mod:`slim_train.preprocessing.faces`, ``randaugment`` for RandAugment on top of the recipe's
        own; its settings as timm writes them, such as ``rand-m7-n2-mstd0.5``; or one that is registered, on top of the
        recipe's own, too.

    Raises:
      UsageError: there is no such augmentation.
    """
    if not recipe.gives_pixels and name not in ("recipe", "none"):
        raise UsageError(
            f"--augmentation={name} changes pixels in 0..255, and --preprocessing_file gives none: distort images in "
            "its preprocess_image if is_training."
        )
    if name.startswith(RANDAUGMENT_PREFIX):
        return _on_top(recipe, RandAugment.of_name(name).distort)
    if name in _AUGMENTATIONS:
        return _AUGMENTATIONS[name](recipe)
    return _on_top(recipe, _checked(name, augmentation_registry.get(name)))


def _undistorted(recipe: Recipe) -> Recipe:
    return dataclasses.replace(
        recipe,
        train_image=lambda source, height, width, seed: recipe.eval_image(source, height, width),
        train_batch=lambda images, seed: recipe.eval_batch(images),
    )


def _faces(recipe: Recipe) -> Recipe:
    return dataclasses.replace(
        _undistorted(recipe), train_batch=lambda images, seed: recipe.eval_batch(distort_faces(images, seed))
    )


def _on_top(recipe: Recipe, transform: Callable[[Any, Any], Any]) -> Recipe:
    def train_batch(images: Any, seed: Any) -> Any:
        return recipe.train_batch(transform(images, distort.another_seed(seed, 0)), seed)

    return dataclasses.replace(recipe, train_batch=train_batch)


def _checked(name: str, function: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Return a registered augmentation that raises UsageError for what it returns beside images."""

    def transform(images: Any, seed: Any) -> Any:
        with augmentation_registry.calling(name):
            result = tf.convert_to_tensor(function(images, seed))
        if result.dtype != tf.float32 or not result.shape.is_compatible_with(images.shape):
            raise UsageError(
                f"The augmentation {name!r} ({augmentation_registry.origin(name)}) must return float32 images of the "
                f"shape it gets, {images.shape}, not {result.dtype.name} of the shape {result.shape}."
            )
        return tf.ensure_shape(result, images.shape)

    return transform


_AUGMENTATIONS: dict[str, Callable[[Recipe], Recipe]] = {
    "recipe": lambda recipe: recipe,
    "none": _undistorted,
    "faces": _faces,
    "randaugment": lambda recipe: _on_top(recipe, RandAugment().distort),
}
