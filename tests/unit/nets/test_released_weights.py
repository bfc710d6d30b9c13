"""Released checkpoints restore into the nets and recognize real photographs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from slim_train.nets import factory
from slim_train.tf_compat import tf


@pytest.mark.parametrize(
    ("name", "checkpoint", "expected"),
    [
        (
            "mobilenet_v1_025",
            "mobilenet_v1_0.25_224",
            {
                "bird.bmp": ("chickadee", 0.84),
                "cat.bmp": ("Egyptian cat", 0.41),
                "grace_hopper.bmp": ("bow tie", 0.28),
                "hot_dog.jpg": ("hotdog", 0.53),
            },
        ),
        (
            "mobilenet_v2",
            "mobilenet_v2_1.0_224",
            {
                "bird.bmp": ("chickadee", 0.98),
                "cat.bmp": ("Egyptian cat", 0.78),
                "grace_hopper.bmp": ("military uniform", 0.93),
                "hot_dog.jpg": ("hotdog", 0.88),
            },
        ),
    ],
)
@pytest.mark.slow
def test_released_weights_recognize_photographs(
    name: str, checkpoint: str, expected: dict[str, tuple[str, float]], shared_data: Any
) -> None:
    labels = (shared_data / "images/imagenet_labels.txt").read_text().splitlines()
    size = factory.get_record(name).default_image_size
    photos = [Image.open(shared_data / f"images/{photo}").convert("RGB") for photo in expected]
    pixels = np.stack([np.asarray(photo.resize((size, size), Image.Resampling.BILINEAR)) for photo in photos])
    with tf.Graph().as_default(), tf.Session() as session:
        images = tf.constant(pixels.astype("float32") / 127.5 - 1)
        _, end_points = factory.get_network_fn(name, len(labels))(images)
        tf.train.Saver().restore(session, str(shared_data / f"checkpoints/{checkpoint}/{checkpoint}.ckpt"))
        probabilities = session.run(end_points["Predictions"])
    for row, (label, probability) in zip(probabilities, expected.values(), strict=True):
        assert labels[row.argmax()].startswith(label)
        assert row.max() == pytest.approx(probability, abs=0.006)
