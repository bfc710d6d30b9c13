"""The classifier that options and a data set add up to."""

from __future__ import annotations

import pytest

from datasets.spec import DatasetSpec
from slim_train.errors import UsageError
from slim_train.model.spec import class_names, resolve_model
from slim_train.preprocessing.factory import get_recipe

PETS = DatasetSpec("pets", "train", "data/pets", (), 3, 30, ("cat", "dog", "owl"))


def test_the_net_fills_in_what_is_not_asked_for():
    model = resolve_model("mobilenet_v1_025", PETS)
    assert (model.num_classes, model.image_size, model.channels, model.preprocessing) == (3, 224, 3, "inception")
    asked = resolve_model("mobilenet_v1_025", PETS, num_classes=9, image_size=96, channels=1, preprocessing="vgg")
    assert (asked.num_classes, asked.image_size, asked.channels, asked.preprocessing) == (9, 96, 1, "vgg")


def test_the_name_of_a_net_stands_for_its_recipe():
    assert resolve_model("lenet", PETS, preprocessing="vgg_16").preprocessing == "vgg"
    with pytest.raises(UsageError, match="inceptoin.*Did you mean inception"):
        resolve_model("lenet", PETS, preprocessing="inceptoin")


def test_never_decodes_large_images_in_full_with_any_recipe():
    for preprocessing in (None, "vgg", get_recipe("lenet")):
        assert resolve_model("lenet", PETS, preprocessing=preprocessing).recipe.scaled_decoding
        never = resolve_model("lenet", PETS, preprocessing=preprocessing, scaled_decoding="never")
        assert not never.recipe.scaled_decoding


@pytest.mark.parametrize(
    ("offset", "names"),
    [(0, ["cat", "dog", "owl"]), (1, ["dog", "owl"]), (-1, ["background", "cat", "dog", "owl"])],
)
def test_an_offset_drops_or_adds_a_background(offset, names):
    model = resolve_model("lenet", PETS, labels_offset=offset)
    assert class_names(PETS.labels, model) == names


@pytest.mark.parametrize("flags", [{"num_classes": 2}, {"labels_offset": 3}, {"num_classes": 3, "labels_offset": -1}])
def test_classes_that_do_not_fit_are_refused(flags):
    with pytest.raises(UsageError, match="--num_classes|--labels_offset"):
        resolve_model("lenet", PETS, **flags)
