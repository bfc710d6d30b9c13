"""Augmentations by name, with every recipe."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from PIL import Image

from slim_train import register_augmentation
from slim_train.errors import UsageError
from slim_train.preprocessing.augment import augmented
from slim_train.preprocessing.factory import get_recipe, recipe_names
from slim_train.tf_compat import tf
from slim_train.training_options import AUGMENTATIONS


def encoded(channels: int) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, channels), np.uint8)
    image = Image.fromarray(pixels.squeeze()).resize((60, 48), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def pipelines(recipe: str, names: Sequence[str], channels: int = 3) -> dict[str, tuple[Any, Any]]:
    """In the default graph: a batch of two as the net would see it in training, and one of one in evaluation."""
    result = {}
    for name in names:
        changed = augmented(get_recipe(recipe), name)
        trained = [changed.decode_train(encoded(channels), 32, 32, channels, [1, index]) for index in range(2)]
        evaluated = changed.decode_eval(encoded(channels), 32, 32, channels)[tf.newaxis]
        result[name] = changed.train_batch(tf.stack(trained), [1, 0]), changed.eval_batch(evaluated)
    return result


@pytest.mark.parametrize(
    ("recipe", "channels"),
    [
        pytest.param(recipe, channels, marks=[] if (recipe, channels) == ("inception", 3) else pytest.mark.slow)
        for recipe in recipe_names()
        for channels in (1, 3)
    ],
)
def test_every_augmentation_works_with_every_recipe(recipe: str, channels: int) -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        batches = pipelines(recipe, (*AUGMENTATIONS, "rand-m5"), channels)
        first, again = session.run(batches), session.run(batches)
    evaluated = first["recipe"][1]
    for name, (trained, of_evaluation) in first.items():
        assert trained.shape == (2, 32, 32, channels) and np.isfinite(trained).all()
        np.testing.assert_array_equal(trained, again[name][0])
        np.testing.assert_array_equal(of_evaluation, evaluated)
    np.testing.assert_allclose(first["none"][0], np.tile(evaluated, (2, 1, 1, 1)), atol=1e-4)


def test_faces_differ_from_each_other_and_from_what_evaluation_sees() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        images, (plain,) = session.run(pipelines("lenet", ["faces"])["faces"])
    assert all(np.abs(image - plain).max() > 0.01 for image in images)
    assert np.abs(images[0] - images[1]).max() > 0.01


def test_an_unknown_name_is_refused_with_the_valid_ones() -> None:
    with pytest.raises(UsageError, match="Unknown augmentation 'face'. Did you mean faces"):
        augmented(get_recipe("lenet"), "face")


def noise(images: Any, seed: Any) -> Any:
    """Each pixel up to 20 lighter or darker."""
    return tf.clip_by_value(images + tf.random.stateless_uniform(tf.shape(images), seed, -20.0, 20.0), 0.0, 255.0)


@pytest.mark.parametrize("recipe", recipe_names())
def test_a_registered_augmentation_changes_training_and_not_evaluation(recipe: str) -> None:
    register_augmentation("noise", noise)
    with tf.Graph().as_default(), tf.Session() as session:
        batches = pipelines(recipe, ["recipe", "noise"])
        first, again = session.run(batches), session.run(batches)
    np.testing.assert_array_equal(first["noise"][0], again["noise"][0])
    np.testing.assert_array_equal(first["noise"][1], first["recipe"][1])
    assert np.abs(first["noise"][0] - first["recipe"][0]).max() > 0.01


def test_a_registered_augmentation_sees_pixels_as_the_recipe_crops_them() -> None:
    seen = []

    def look(images: Any, seed: Any) -> Any:
        seen.append(images)
        return images

    register_augmentation("look", look)
    with tf.Graph().as_default(), tf.Session() as session:
        session.run(pipelines("inception", ["look"]))
        (images,) = seen
        values = session.run(images)
    assert (images.dtype, images.shape.as_list()) == (tf.float32, [2, 32, 32, 3])
    assert values.min() >= 0 and 100 < values.max() <= 255


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (lambda images, seed: images[:, :8], r"shape it gets, \(2, 32, 32, 3\), not float32 .* \(2, 8, 32, 3\)"),
        (lambda images, seed: tf.cast(images, tf.uint8), "not uint8 of the shape"),
        (lambda images, seed: None, "failed. ValueError"),
        (lambda images, seed: images.flip(), r"failed. .*test_augment.py, line \d+: AttributeError"),
    ],
)
def test_a_registered_augmentation_that_does_not_work_is_named(function: Any, words: str) -> None:
    register_augmentation("broken_augmentation", function)
    with tf.Graph().as_default(), pytest.raises(UsageError, match=f"'broken_augmentation' .*test_augment.py.*{words}"):
        pipelines("lenet", ["broken_augmentation"])


def test_names_of_randaugment_cannot_be_registered() -> None:
    with pytest.raises(UsageError, match="rand-... is RandAugment"):
        register_augmentation("rand-mine", noise)
