"""The inception recipe: windows, colors and the image that evaluation sees."""

import numpy as np
import pytest

from slim_train.preprocessing import inception
from slim_train.preprocessing.factory import get_preprocessing
from slim_train.preprocessing.source_image import DecodedImage
from slim_train.tf_compat import tf


def map_picture(height, width):
    """An image whose red is the row and whose green is the column, in 0..255."""
    rows, columns = np.linspace(0, 255, height), np.linspace(0, 255, width)
    pixels = np.stack([*np.meshgrid(rows, columns, indexing="ij"), np.zeros((height, width))], axis=-1)
    return pixels.astype(np.float32)


@pytest.mark.parametrize(("height", "width"), [(48, 48), (375, 500)])
def test_crops_hold_a_tenth_to_all_of_the_picture_in_every_shape_allowed(height, width):
    with tf.Graph().as_default(), tf.Session() as session:
        source = DecodedImage(tf.constant(map_picture(height, width)))
        recipe = inception.recipe()
        crops = tf.map_fn(
            lambda seed: recipe.train_image(source, 32, 32, tf.stack([seed, 0])), tf.range(300), dtype=tf.float32
        )
        crops = session.run(crops)
    # The last sampled row and column lie one step of the resizing before the crop's end.
    shares = np.stack([np.ptp(crops[..., channel], axis=(1, 2)) for channel in (0, 1)], axis=1) * 32 / 31 / 255
    areas = shares.prod(axis=1)
    shapes = shares[:, 1] * width / (shares[:, 0] * height)
    assert 0.08 < areas.min() < 0.2 and 0.7 < areas.max() < 1.05
    assert 0.65 < shapes.min() < 0.85 and 1.2 < shapes.max() < 1.5


def test_a_bounding_box_keeps_the_crops_near_it():
    box = [[[0.0, 0.0, 0.2, 0.2]]]
    with tf.Graph().as_default(), tf.Session() as session:
        source = DecodedImage(tf.constant(map_picture(100, 100)))
        recipe = inception.recipe(bbox=tf.constant(box))
        crops = [recipe.train_image(source, 8, 8, [seed, 0]) for seed in range(20)]
        corners = session.run([tf.reduce_min(crop[..., :2], axis=[0, 1]) for crop in crops])
    assert np.max(corners) < 0.2 * 255


def test_brightness_changes_by_up_to_an_eighth_either_way():
    batch = np.full((200, 4, 4, 3), 127.5, np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        shades = session.run(inception.recipe().train_batch(tf.constant(batch), [1, 2]))[:, 0, 0, 0]
    assert -0.252 < shades.min() < -0.23 and 0.23 < shades.max() < 0.252


def test_what_brightness_drives_out_of_range_is_clipped():
    batch = np.tile(np.array([0.0, 255.0], np.float32)[:, np.newaxis, np.newaxis, np.newaxis], (50, 4, 4, 3))
    with tf.Graph().as_default(), tf.Session() as session:
        images = session.run(inception.recipe().train_batch(tf.constant(batch), [1, 2]))
    assert images.min() == -1.0 and images.max() == 1.0


def test_saturation_falls_and_rises_by_half():
    batch = np.tile(np.array([200.0, 150.0, 150.0], np.float32), (200, 4, 4, 1))
    with tf.Graph().as_default(), tf.Session() as session:
        images = session.run(inception.recipe().train_batch(tf.constant(batch), [1, 2]))
    chroma = (images.max(axis=-1) - images.min(axis=-1))[:, 0, 0] * 127.5
    assert 25 <= chroma.min() < 27 and 73 < chroma.max() <= 75.01


@pytest.mark.parametrize(("height", "width"), [(48, 48), (97, 131)])
def test_evaluation_sees_the_middle_resized(height, width):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    with tf.Graph().as_default(), tf.Session() as session:
        image = tf.image.convert_image_dtype(tf.constant(pixels), tf.float32)
        middle = tf.image.central_crop(image, 0.875)
        expected = 2.0 * tf.image.resize_bilinear(middle[tf.newaxis], [64, 96])[0] - 1.0
        actual = get_preprocessing("inception")(tf.constant(pixels), 64, 96)
        np.testing.assert_allclose(*session.run([actual, expected]), atol=1e-5)
