"""What images.normalise accepts, TensorFlow's decoders take, with the same pixels."""

from __future__ import annotations

import io
import random
from collections.abc import Callable

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

from datasets.images import EncodedImage, ImageRejected, normalise


@pytest.fixture(scope="module")
def decode() -> Callable[[EncodedImage, int], np.ndarray]:
    """``decode(image, channels)`` by TensorFlow."""
    graph = tf.Graph()
    with graph.as_default():
        data = tf.placeholder(tf.string, [])
        decoders = {
            (name, channels): decoder(data, channels=channels)
            for name, decoder in (("jpeg", tf.io.decode_jpeg), ("png", tf.io.decode_png))
            for channels in (1, 3)
        }
    session = tf.Session(graph=graph)
    return lambda image, channels: session.run(decoders[image.format, channels], {data: image.data})


_KINDS = [
    ("JPEG", "RGB", {"quality": 95}),
    ("JPEG", "RGB", {"progressive": True}),
    ("JPEG", "L", {}),
    ("JPEG", "CMYK", {}),
    ("PNG", "RGB", {}),
    ("PNG", "L", {}),
    ("PNG", "1", {}),
    ("PNG", "P", {}),
    ("PNG", "P", {"transparency": 3}),
    ("PNG", "RGBA", {}),
    ("PNG", "LA", {}),
    ("PNG", "L", {"transparency": 30}),
    ("WEBP", "RGB", {}),
    ("GIF", "P", {}),
    ("BMP", "RGB", {}),
    ("TIFF", "RGB", {}),
]


@pytest.mark.parametrize(("image_format", "mode", "options"), _KINDS)
def test_tensorflow_sees_the_pixels_that_pillow_sees(
    encoded: Callable[..., bytes], decode: Callable, image_format: str, mode: str, options: dict
) -> None:
    image = normalise(encoded(image_format, mode, **options))
    seen = decode(image, 3)
    assert seen.shape == (image.height, image.width, 3)
    expected = np.asarray(Image.open(io.BytesIO(image.data)).convert("RGB")).astype(int)
    assert np.abs(seen - expected).max() <= (8 if image.format == "jpeg" else 0)


@pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, about what is damaged
@pytest.mark.parametrize(("image_format", "mode", "options"), _KINDS)
def test_damaged_pictures_are_rejected_or_decode_in_tensorflow(
    encoded: Callable[..., bytes], decode: Callable, image_format: str, mode: str, options: dict
) -> None:
    whole = encoded(image_format, mode, **options)
    damage = random.Random(f"{image_format}{mode}{options}")
    accepted = 0
    for _ in range(150):
        data = bytearray(whole[: damage.choice((len(whole), damage.randrange(1, len(whole)), len(whole) - 2))])
        for _ in range(damage.randrange(3)):
            data[damage.randrange(len(data))] = damage.randrange(256)
        try:
            image = normalise(bytes(data))
        except ImageRejected:
            continue
        accepted += 1
        assert decode(image, 1).shape == (image.height, image.width, 1)
    assert accepted > 0
