"""The vgg recipe: windows, means, and the sizes that follow the net's input."""

import numpy as np
import pytest

from slim_train.preprocessing import vgg
from slim_train.preprocessing.factory import get_preprocessing
from slim_train.preprocessing.source_image import DecodedImage
from slim_train.tf_compat import tf

MEANS = [123.68, 116.779, 103.939]


@pytest.mark.parametrize("size", [64, 224])
def test_crops_are_square_and_as_large_as_sides_of_256_to_512_for_224_make_them(size):
    columns = np.broadcast_to(np.arange(500, dtype=np.float32)[None, :, None], (375, 500, 1))
    rows = np.broadcast_to(np.arange(375, dtype=np.float32)[:, None, None], (375, 500, 1))
    with tf.Graph().as_default(), tf.Session() as session:
        source = DecodedImage(tf.constant(np.concatenate([rows, columns, rows], axis=-1)))
        recipe = vgg.recipe()
        crops = tf.map_fn(
            lambda seed: recipe.train_image(source, size, size, tf.stack([seed, 0])), tf.range(200), dtype=tf.float32
        )
        crops = session.run(crops)[..., :2]
    extents = np.ptp(crops, axis=(1, 2)) * size / (size - 1)
    np.testing.assert_allclose(extents[:, 0], extents[:, 1], atol=2)
    smallest, largest = 375 * 224 / 512, 375 * 224 / 256
    assert smallest - 2 <= extents.min() < smallest + 6 and largest - 6 < extents.max() <= largest + 2
    assert crops[..., 0].min() < 10 and crops[..., 0].max() > 365 and crops[..., 1].max() > 485


def test_evaluation_sees_the_middle_of_the_picture_with_its_smaller_side_at_256():
    pixels = np.random.default_rng(0).integers(0, 256, (375, 500, 3), np.uint8)
    with tf.Graph().as_default(), tf.Session() as session:
        resized = tf.image.resize_bilinear(tf.constant(pixels[np.newaxis]), [256, 341])[0]
        expected = resized[16 : 16 + 224, 58 : 58 + 224] - MEANS
        actual = get_preprocessing("vgg")(tf.constant(pixels), 224, 224)
        np.testing.assert_allclose(*session.run([actual, expected]), atol=1e-2)


def test_the_smaller_side_can_be_chosen():
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3), np.uint8)
    with tf.Graph().as_default(), tf.Session() as session:
        actual = get_preprocessing("vgg")(tf.constant(pixels), 40, 40, resize_side_min=40)
        np.testing.assert_allclose(session.run(actual), pixels[:, 10:50] - np.array(MEANS, np.float32), atol=1e-3)


def test_training_takes_off_the_mean_of_each_channel():
    batch = np.tile(np.array(MEANS, np.float32), (2, 4, 4, 1))
    with tf.Graph().as_default(), tf.Session() as session:
        images = session.run(vgg.recipe().train_batch(tf.constant(batch), [1, 2]))
    np.testing.assert_allclose(images, 0.0, atol=1e-4)


def test_one_channel_has_the_mean_of_the_luminance():
    grey = np.full((40, 40, 1), 117.38, np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        image = session.run(get_preprocessing("vgg")(tf.constant(grey), 32, 32))
    np.testing.assert_allclose(image, 0.0, atol=1e-3)
