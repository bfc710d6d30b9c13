"""A recipe of a function in research/slim's convention: ``preprocess_image`` for one image, all of it at once."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

from slim_train.errors import UsageError
from slim_train.function_digest import function_digest
from slim_train.preprocessing.recipe import Recipe
from slim_train.preprocessing.source_image import SourceImage
from slim_train.tf_compat import tf
from slim_train.user_functions import explain, origin_of


def recipe_of_function(preprocess_image: Callable[..., Any], name: str) -> Recipe:
    """Return the recipe of a user's function.

    What it returns is what the net takes. There are no pixels in 0..255 between its steps, so augmentations that change
    such pixels cannot be combined with it.

    Args:
      preprocess_image: (image uint8 [any height, any width, channels], output_height, output_width, is_training) ->
        [output_height, output_width, channels] as the net takes it. ``is_training`` is given by keyword, if there is an
        argument of that name.
      name: of the recipe.
    """

    def preprocess(source: SourceImage, height: int, width: int, is_training: bool) -> Any:
        image = tf.cast(source.whole(), tf.uint8)
        result = _call(preprocess_image, image, height, width, is_training)
        return _checked(result, name, [height, width, image.shape[-1]])

    return Recipe(
        name=name,
        channels=3,
        train_image=lambda source, height, width, seed: preprocess(source, height, width, True),
        train_batch=lambda images, seed: images,
        eval_image=lambda source, height, width: preprocess(source, height, width, False),
        eval_batch=lambda images: images,
        gives_pixels=False,
        digest=function_digest(preprocess_image),
    )


def _call(function: Callable[..., Any], image: Any, height: int, width: int, is_training: bool) -> Any:
    parameters = inspect.signature(function).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    modes = {"is_training": is_training} if "is_training" in parameters or takes_any else {}
    try:
        return function(image, height, width, **modes)
    except (Exception, SystemExit) as error:
        folder = Path(origin_of(function)).parent
        raise UsageError(f"preprocess_image fails. {explain(error, folder)}") from error


def _checked(image: Any, name: str, shape: list[int]) -> Any:
    if not isinstance(image, tf.Tensor):
        raise UsageError(f"preprocess_image of {name} must return an image, not {type(image).__name__}.")
    if not image.shape.is_compatible_with(shape):
        raise UsageError(f"preprocess_image of {name} must return an image {shape}. It returned {image.shape}.")
    return tf.cast(image, tf.float32)
