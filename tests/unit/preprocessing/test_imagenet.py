from __future__ import annotations

import numpy as np
import pytest

from slim_train.preprocessing import imagenet, inception
from slim_train.tf_compat import tf


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_inception_with_other_colors(channels: int) -> None:
    pixels = np.random.default_rng(0).uniform(0, 255, (2, 8, 8, channels)).astype(np.float32)
    mean, deviation = (imagenet.MEANS, imagenet.DEVIATIONS) if channels == 3 else (0.459, 0.226)
    with tf.Graph().as_default(), tf.Session() as session:
        ours, base = imagenet.recipe(), inception.recipe()
        seen = session.run([recipe.eval_batch(tf.constant(pixels)) for recipe in (ours, base)])
        trained = session.run([recipe.train_batch(tf.constant(pixels), [1, 2]) for recipe in (ours, base)])
    for found, of_inception in (seen, trained):
        expected = (of_inception * 0.5 + 0.5 - np.float32(mean)) / np.float32(deviation)
        np.testing.assert_allclose(found, expected, atol=1e-5)
