"""Colors and flips of whole batches, against tf.image on one image at a time."""

import numpy as np

from slim_train.preprocessing import distort
from slim_train.tf_compat import tf


def images(count=4, size=16):
    return np.random.default_rng(0).random((count, size, size, 3), np.float32)


def per_image(*values):
    return np.array(values, np.float32).reshape(-1, 1, 1, 1)


def test_saturation_is_changed_as_by_tf_image():
    factors = per_image(0.0, 0.5, 1.0, 1.5)
    inputs = images()
    inputs[:, 0] = inputs[:, 0, :, :1]  # a row of grey pixels
    inputs[:, 1] = 0.0
    with tf.Graph().as_default(), tf.Session() as session:
        ours = session.run(distort.adjust_saturation(tf.constant(inputs), factors))
        theirs = session.run(
            [tf.image.adjust_saturation(tf.constant(inputs[i]), factors[i, 0, 0, 0]) for i in range(4)]
        )
    np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_images_with_a_chance_below_a_half_are_mirrored():
    inputs = images()
    with tf.Graph().as_default(), tf.Session() as session:
        flipped = session.run(distort.flip(tf.constant(inputs), per_image(0.1, 0.49, 0.5, 0.9)))
    np.testing.assert_array_equal(flipped, np.concatenate([inputs[:2, :, ::-1], inputs[2:]]))


def test_random_numbers_differ_between_images():
    with tf.Graph().as_default(), tf.Session() as session:
        first, second = session.run(distort.uniform_by_image(tf.constant(images()), 2, [1, 2]))
    assert first.shape == (4, 1, 1, 1)
    assert len(np.unique([first, second])) == 8
