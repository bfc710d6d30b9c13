"""Augmentations by name, with every recipe."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from slim_train.errors import UsageError
from slim_train.preprocessing.augment import augmentation_names, augmented
from slim_train.preprocessing.factory import get_recipe, recipe_names
from slim_train.tf_compat import tf


def encoded(channels: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, channels), np.uint8)
    image = Image.fromarray(pixels.squeeze()).resize((60, 48), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def trained_on(recipe: str, augmentation: str, channels: int, seed: int = 1) -> np.ndarray:
    """A batch of four as the net would see it in training."""
    with tf.Graph().as_default(), tf.Session() as session:
        changed = augmented(get_recipe(recipe), augmentation)
        images = [changed.decode_train(encoded(channels), 32, 32, channels, [seed, index]) for index in range(4)]
        return session.run(changed.train_batch(tf.stack(images), [seed, 0]))


def evaluated_on(recipe: str, augmentation: str, channels: int) -> np.ndarray:
    with tf.Graph().as_default(), tf.Session() as session:
        changed = augmented(get_recipe(recipe), augmentation)
        return session.run(changed.eval_batch(changed.decode_eval(encoded(channels), 32, 32, channels)[tf.newaxis]))


@pytest.mark.parametrize("recipe", recipe_names())
@pytest.mark.parametrize("channels", [1, 3])
def test_every_augmentation_works_with_every_recipe(recipe: str, channels: int) -> None:
    for name in augmentation_names():
        images = trained_on(recipe, name, channels)
        assert images.shape == (4, 32, 32, channels) and np.isfinite(images).all()
        np.testing.assert_array_equal(images, trained_on(recipe, name, channels))
        np.testing.assert_array_equal(evaluated_on(recipe, name, channels), evaluated_on(recipe, "recipe", channels))


@pytest.mark.parametrize("recipe", recipe_names())
def test_none_trains_on_what_evaluation_sees(recipe: str) -> None:
    images = trained_on(recipe, "none", 3)
    np.testing.assert_allclose(images, np.tile(evaluated_on(recipe, "none", 3), (4, 1, 1, 1)), atol=1e-4)


def test_faces_differ_from_each_other_and_from_what_evaluation_sees() -> None:
    images = trained_on("lenet", "faces", 1)
    plain = evaluated_on("lenet", "faces", 1)
    assert all(np.abs(image - plain).max() > 0.01 for image in images)
    assert np.abs(images[0] - images[1]).max() > 0.01


def test_an_unknown_name_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(UsageError, match="Unknown augmentation 'face'. Did you mean faces"):
        augmented(get_recipe("lenet"), "face")
