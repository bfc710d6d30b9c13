"""The preprocessing of inception with colors as PyTorch's models take them: standardized by those of ImageNet."""

from __future__ import annotations

import dataclasses
from typing import Any

from slim_train.preprocessing import inception
from slim_train.preprocessing.recipe import Recipe
from slim_train.tf_compat import tf

# Red, green and blue in 0..1, as torchvision and timm have them, and their luminance.
MEANS, DEVIATIONS = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
GREY_MEAN, GREY_DEVIATION = 0.459, 0.226


def recipe(bbox: Any = None) -> Recipe:
    """Return the recipe; ``bbox`` is that of :func:`slim_train.preprocessing.inception.recipe`."""
    base = inception.recipe(bbox)
    return dataclasses.replace(
        base,
        name="imagenet",
        train_batch=lambda images, seed: _standardize(base.train_batch(images, seed) * 0.5 + 0.5),
        eval_batch=lambda images: _standardize(images * (1.0 / 255.0)),
        float_range=255.0,
    )


def _standardize(images: Any) -> Any:
    """``images`` in 0..1."""
    is_color = images.shape[-1] == 3
    mean, deviation = (MEANS, DEVIATIONS) if is_color else (GREY_MEAN, GREY_DEVIATION)
    return (images - tf.constant(mean)) / tf.constant(deviation)
