"""A user's preprocess_image as a recipe."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from slim_train.errors import UsageError
from slim_train.preprocessing.augment import augmented
from slim_train.preprocessing.user_recipe import recipe_of_function
from slim_train.tf_compat import tf


def _preprocess(image: Any, output_height: int, output_width: int, is_training: bool = False) -> Any:
    assert image.dtype == tf.uint8
    image = tf.image.resize_bilinear(tf.cast(image, tf.float32)[tf.newaxis], [output_height, output_width])[0]
    return image / 255.0 + (10.0 if is_training else 0.0)


def _png() -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.full((20, 30, 3), 51, np.uint8)).save(data, "PNG")
    return data.getvalue()


def _run(make: Any) -> Any:
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(make(tf.constant(_png())))


def test_the_function_does_all_in_training_and_evaluation() -> None:
    recipe = recipe_of_function(_preprocess, "mine")
    evaluated = _run(lambda png: recipe.eval_batch(recipe.decode_eval(png, 8, 8, 3)[tf.newaxis]))
    trained = _run(lambda png: recipe.train_batch(recipe.decode_train(png, 8, 8, 3, tf.constant([1, 2])), None))
    np.testing.assert_allclose(evaluated, np.full((1, 8, 8, 3), 0.2), atol=1e-6)
    np.testing.assert_allclose(trained, np.full((8, 8, 3), 10.2), atol=1e-5)


def test_a_function_without_a_mode_is_the_same_in_both() -> None:
    recipe = recipe_of_function(lambda image, height, width: _preprocess(image, height, width), "mine")
    assert _run(lambda png: recipe.decode_train(png, 8, 8, 3, tf.constant([1, 2]))).max() < 1


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda image, height, width: None, "must return an image, not NoneType"),
        (lambda image, height, width: tf.zeros([3, 3, 3]), r"must return an image \[8, 8, 3\]"),
        (lambda image, height, width: 1 // 0, r"preprocess_image fails\. .*ZeroDivisionError"),
    ],
)
def test_another_result_is_refused(function: Any, message: str) -> None:
    recipe = recipe_of_function(function, "mine")
    with pytest.raises(UsageError, match=message):
        _run(lambda png: recipe.decode_eval(png, 8, 8, 3))


@pytest.mark.parametrize("name", ["faces", "randaugment", "rand-m9-n2"])
def test_augmentations_of_pixels_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"--augmentation={name} changes pixels in 0..255"):
        augmented(recipe_of_function(_preprocess, "mine"), name)


def test_without_augmentation_training_sees_what_evaluation_sees() -> None:
    recipe = augmented(recipe_of_function(_preprocess, "mine"), "none")
    assert _run(lambda png: recipe.decode_train(png, 8, 8, 3, tf.constant([1, 2]))).max() < 1
