"""Recipes by name."""

import pytest

from slim_train.errors import UsageError
from slim_train.preprocessing.factory import get_preprocessing, get_recipe, recipe_names


def test_every_name_gives_the_recipe_of_that_name():
    assert [get_recipe(name).name for name in recipe_names()] == list(recipe_names())


def test_a_net_stands_for_its_recipe_when_the_nets_are_given():
    assert callable(get_preprocessing("mobilenet_v1", recipe_of_net={"mobilenet_v1": "inception"}))
    with pytest.raises(UsageError, match="Did you mean mobilenet_v1"):
        get_preprocessing("mobilenet_v11", recipe_of_net={"mobilenet_v1": "inception"})
