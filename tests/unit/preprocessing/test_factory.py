"""Recipes by name."""

import dataclasses

import pytest

from slim_train.errors import UsageError
from slim_train.preprocessing import factory
from slim_train.preprocessing.factory import (
    get_preprocessing,
    get_recipe,
    recipe_names,
    register_preprocessing,
    unknown_recipe,
)


def test_every_name_gives_the_recipe_of_that_name():
    assert [get_recipe(name).name for name in recipe_names()] == list(recipe_names())


def test_a_net_stands_for_its_recipe_when_the_nets_are_given():
    assert callable(get_preprocessing("mobilenet_v1", recipe_of_net={"mobilenet_v1": "inception"}))
    with pytest.raises(UsageError, match="Did you mean mobilenet_v1"):
        get_preprocessing("mobilenet_v11", recipe_of_net={"mobilenet_v1": "inception"})


@pytest.fixture
def mine(monkeypatch):
    """A registry whose additions end with the test."""
    monkeypatch.setattr(factory._RECIPES, "_registered", {})


def test_a_registered_function_is_a_recipe_with_the_digest_of_its_file(mine):
    @register_preprocessing("mine")
    def preprocess_image(image, output_height, output_width, is_training):
        return image

    recipe = get_recipe("mine")
    assert (recipe.name, recipe.gives_pixels, len(recipe.digest)) == ("mine", False, 32)
    assert "mine" in recipe_names()


def test_a_registered_recipe_is_taken_as_it_is(mine):
    own = dataclasses.replace(get_recipe("lenet"), name="mine", digest="1")
    register_preprocessing("mine", own)
    assert get_recipe("mine") is own


def test_what_is_no_recipe_is_not_registered(mine):
    with pytest.raises(UsageError, match="'mine' must be a function or a Recipe, not int"):
        register_preprocessing("mine", 3)


def test_an_unknown_recipe_lists_nets_and_the_origin_of_others(mine):
    register_preprocessing("mine", lambda image, output_height, output_width: image)
    error = str(unknown_recipe("vggg", ["vgg_16"]))
    assert "Did you mean vgg?" in error
    assert "vgg_16" in error
    assert f"mine ({__file__})" in error
