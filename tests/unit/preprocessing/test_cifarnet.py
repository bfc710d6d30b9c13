"""The cifarnet recipe: shifts, contrast, standardised images."""

import numpy as np

from slim_train.preprocessing import cifarnet
from slim_train.preprocessing.factory import get_preprocessing
from slim_train.preprocessing.source_image import DecodedImage
from slim_train.tf_compat import tf


def test_a_picture_is_shifted_by_up_to_four_pixels_and_black_comes_in():
    pixels = np.full((32, 32, 3), 200.0, np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        source = DecodedImage(tf.constant(pixels))
        recipe = cifarnet.recipe()
        images = tf.map_fn(
            lambda seed: recipe.train_image(source, 32, 32, tf.stack([seed, 0])), tf.range(200), dtype=tf.float32
        )
        images = session.run(images)
    black_rows = (images == 0).all(axis=(2, 3)).sum(axis=1)
    black_columns = (images == 0).all(axis=(1, 3)).sum(axis=1)
    assert set(black_rows) == set(black_columns) == {0, 1, 2, 3, 4}


def test_images_are_standardised_as_by_tf_image():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    with tf.Graph().as_default(), tf.Session() as session:
        expected = tf.image.per_image_standardization(tf.constant(pixels, tf.float32))
        actual = get_preprocessing("cifarnet")(tf.constant(pixels), 32, 32)
        np.testing.assert_allclose(*session.run([actual, expected]), atol=1e-4)


def test_training_distorts_as_tf_image_does_with_the_same_contrast_and_any_brightness():
    pixels = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3)).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.constant(pixels)
        expected = tf.image.per_image_standardization(tf.image.adjust_contrast(images + 17.0, 1.3)[0])
        actual = cifarnet._distort(images, tf.fill([1, 1, 1, 1], 0.9), tf.fill([1, 1, 1, 1], 1.3))[0]
        np.testing.assert_allclose(*session.run([actual, expected]), atol=1e-3)


def test_a_flat_image_stays_finite():
    with tf.Graph().as_default(), tf.Session() as session:
        image = session.run(get_preprocessing("cifarnet")(tf.fill([32, 32, 3], 7.0), 32, 32))
    np.testing.assert_allclose(image, 0.0, atol=1e-3)
