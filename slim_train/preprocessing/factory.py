"""The recipes by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from slim_train.errors import unknown
from slim_train.preprocessing import cifarnet, inception, lenet, vgg
from slim_train.preprocessing.recipe import Recipe

_RECIPES: dict[str, Callable[..., Recipe]] = {
    "cifarnet": cifarnet.recipe,
    "inception": inception.recipe,
    "lenet": lenet.recipe,
    "vgg": vgg.recipe,
}


def recipe_names() -> tuple[str, ...]:
    """Return the valid names, sorted."""
    return tuple(sorted(_RECIPES))


def get_recipe(name: str, **options: Any) -> Recipe:
    """Return the recipe called ``name``.

    Args:
      name: one of :func:`recipe_names`.
      **options: of ``recipe()`` in the recipe's module.

    Raises:
      UsageError: there is no such recipe.
    """
    if name not in _RECIPES:
        raise unknown("preprocessing", name, _RECIPES)
    return _RECIPES[name](**options)


def as_recipe(recipe: str | Recipe) -> Recipe:
    """Return a recipe that is given by itself or by its name; see :func:`get_recipe`."""
    return recipe if isinstance(recipe, Recipe) else get_recipe(recipe)


def get_preprocessing(
    name: str, is_training: bool = False, recipe_of_net: Mapping[str, str] | None = None
) -> Callable[..., Any]:
    """Return a function that preprocesses one decoded image, as research/slim's preprocessing_factory gives.

    Args:
      name: a recipe, or a net listed in ``recipe_of_net``.
      is_training: whether the image is distorted at random. Random numbers follow tf.set_random_seed.
      recipe_of_net: recipes by the names of nets.

    Returns:
      A function of (image, output_height, output_width, **options) that gives float32 [output_height, output_width,
      channels]. The image is [any height, any width, 1 or 3], uint8, or float32 as in research/slim: in 0..1 for
      inception, in 0..255 for the others. The options are those of ``recipe()`` in the recipe's module.

    Raises:
      UsageError: there is no such recipe or net.
    """
    recipe_name = (recipe_of_net or {}).get(name, name)
    if recipe_name not in _RECIPES:
        raise unknown("preprocessing", name, [*_RECIPES, *(recipe_of_net or {})])

    def preprocess(image: Any, output_height: int, output_width: int, **options: Any) -> Any:
        recipe = get_recipe(recipe_name, **options)
        return recipe.preprocess(image, output_height, output_width, is_training=is_training)

    return preprocess
