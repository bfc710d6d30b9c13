from __future__ import annotations

import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.interchange.torch_config import TRANSFORMS, timm_config
from slim_train.interchange.torch_names import MODELS
from slim_train.preprocessing.factory import get_recipe
from slim_train.tf_compat import tf


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("recipe", sorted(TRANSFORMS))
def test_mean_and_deviation_are_those_of_the_recipe(recipe: str, channels: int) -> None:
    config = timm_config(MODELS["vgg_16"], ["a", "b"], 224, channels, recipe)["pretrained_cfg"]
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 4, 4, channels)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        expected = session.run(get_recipe(recipe).eval_batch(tf.constant(pixels)))
    found = (pixels / 255 - np.float32(config["mean"])) / np.float32(config["std"])
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_the_config_says_how_timm_makes_the_model() -> None:
    config = timm_config(MODELS["mobilenet_v2"], ["cat", "dog"], 96, 1, "inception")
    assert config["architecture"] == "mobilenetv2_100"
    assert config["model_args"] == {"pad_type": "same", "bn_eps": 0.001, "in_chans": 1}
    assert config["label_names"] == ["cat", "dog"]
    assert config["pretrained_cfg"]["input_size"] == [1, 96, 96]
    assert (config["pretrained_cfg"]["first_conv"], config["pretrained_cfg"]["classifier"]) == (
        "conv_stem",
        "classifier",
    )


def test_a_recipe_that_timm_has_no_transform_for_is_refused() -> None:
    with pytest.raises(UsageError, match="no transform that equals the preprocessing 'cifarnet', only for imagenet"):
        timm_config(MODELS["mobilenet_v2"], ["a"], 32, 3, "cifarnet")


def test_an_image_size_at_which_both_differ_is_refused() -> None:
    with pytest.raises(UsageError, match="timm's vgg16 computes what vgg_16 does from 224 pixels on, not at 192"):
        timm_config(MODELS["vgg_16"], ["a"], 192, 3, "vgg")
