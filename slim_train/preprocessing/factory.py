"""The recipes by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from slim_train.errors import unknown
from slim_train.preprocessing import inception, lenet
from slim_train.preprocessing.recipe import Recipe

_RECIPES: dict[str, Callable[..., Recipe]] = {
    "inception": inception.recipe,
    "lenet": lenet.recipe,
}


def recipe_names() -> tuple[str, ...]:
    """The valid names, sorted."""
    return tuple(sorted(_RECIPES))


def get_recipe(name: str, **options: Any) -> Recipe:
    """The recipe called ``name``.

    Args:
      name: one of :func:`recipe_names`.
      **options: what the recipe's module allows to change.

    Raises:
      UsageError: there is no such recipe.
    """
    if name not in _RECIPES:
        raise unknown("preprocessing", name, _RECIPES)
    return _RECIPES[name](**options)
