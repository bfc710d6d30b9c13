"""The recipes by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from slim_train.errors import UsageError
from slim_train.function_digest import function_digest
from slim_train.preprocessing import cifarnet, imagenet, inception, lenet, vgg
from slim_train.preprocessing.recipe import Recipe
from slim_train.preprocessing.user_recipe import recipe_of_function
from slim_train.registry import Registry


def _check(name: str, value: Any) -> None:
    if not isinstance(value, Recipe) and not callable(value):
        raise UsageError(f"The preprocessing {name!r} must be a function or a Recipe, not {type(value).__name__}.")


# Ours are functions that return a recipe. Those of others are recipes, or functions in research/slim's convention.
_OURS: dict[str, Callable[..., Recipe]] = {
    "cifarnet": cifarnet.recipe,
    "imagenet": imagenet.recipe,
    "inception": inception.recipe,
    "lenet": lenet.recipe,
    "vgg": vgg.recipe,
}
_RECIPES: Registry[Any] = Registry("preprocessing", "slim_train.preprocessing", _OURS, _check)


def register_preprocessing(name: str, preprocessing: Any = None) -> Any:
    """Make a preprocessing known by a name in this process, for ``--preprocessing_name``. Usable as a decorator.

    Args:
      name: the name.
      preprocessing: function in research/slim's convention, see
        :func:`slim_train.preprocessing.user_recipe.recipe_of_function`, or a :class:`Recipe`.

    Returns:
      ``preprocessing``; without one, a decorator.

    Raises:
      UsageError: the name is one of slim-train's, or ``preprocessing`` is neither.
    """
    steps = preprocessing.eval_image if isinstance(preprocessing, Recipe) else None
    return _RECIPES.add("register_preprocessing", name, preprocessing, steps)


def recipe_names() -> tuple[str, ...]:
    """Return the valid names, sorted."""
    return _RECIPES.names()


def unknown_recipe(name: str, net_names: Iterable[str] = ()) -> UsageError:
    """Return the error for a preprocessing that does not exist; nets stand for theirs and are valid names, too."""
    return _RECIPES.unknown(name, net_names)


def get_recipe(name: str, **options: Any) -> Recipe:
    """Return the recipe called ``name``.

    Args:
      name: one of :func:`recipe_names`.
      **options: of ``recipe()`` in the recipe's module.

    Raises:
      UsageError: there is no such recipe.
    """
    found = _RECIPES.get(name)
    if name in _OURS:
        return found(**options)
    recipe = found if isinstance(found, Recipe) else recipe_of_function(found, name)
    return recipe if recipe.digest else dataclasses.replace(recipe, digest=function_digest(recipe.eval_image))


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
    if recipe_name not in recipe_names():
        raise unknown_recipe(name, recipe_of_net or ())

    def preprocess(image: Any, output_height: int, output_width: int, **options: Any) -> Any:
        recipe = get_recipe(recipe_name, **options)
        return recipe.preprocess(image, output_height, output_width, is_training=is_training)

    return preprocess
