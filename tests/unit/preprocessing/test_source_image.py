"""Images of every format and size, decoded as far as a recipe needs them."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from slim_train.preprocessing.factory import get_preprocessing, get_recipe, recipe_names
from slim_train.preprocessing.source_image import JpegImage
from slim_train.tf_compat import tf

SIZE = (24, 32)


def picture(mode="RGB", width=50, height=40):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels).convert(mode)


def encode(image, image_format):
    file = io.BytesIO()
    image.save(file, image_format)
    return file.getvalue()


@pytest.mark.parametrize("name", recipe_names())
def test_every_format_and_shape_becomes_an_image_of_the_size_asked_for(name):
    recipe = get_recipe(name)
    pictures = [encode(picture(mode), "JPEG") for mode in ("RGB", "L", "CMYK")]
    pictures += [encode(picture(mode), "PNG") for mode in ("RGB", "L", "RGBA", "LA", "P", "1")]
    pictures += [encode(picture(), image_format) for image_format in ("BMP", "GIF")]
    pictures += [encode(picture(width=width, height=height), "JPEG") for width, height in ((1, 1), (200, 3), (3, 200))]
    with tf.Graph().as_default(), tf.Session() as session:
        encoded = tf.constant(pictures)
        train = tf.map_fn(lambda one: recipe.decode_train(one, *SIZE, 3, seed=[1, 2]), encoded, tf.float32)
        evaluation = tf.map_fn(lambda one: recipe.decode_eval(one, *SIZE, 3), encoded, tf.float32)
        for images in session.run([train, evaluation]):
            assert images.shape == (len(pictures), *SIZE, 3)
            assert images.min() >= 0.0 and images.max() <= 255.0


def test_a_crop_holds_the_pixels_that_the_whole_picture_has_there():
    # Smooth: chroma is interpolated from fewer neighbours at the border of the crop.
    encoded = encode(picture(width=12, height=9).resize((600, 450), Image.Resampling.BICUBIC), "JPEG")
    with tf.Graph().as_default(), tf.Session() as session:
        jpeg = JpegImage(tf.constant(encoded), 3, fast=False)
        crop, whole, size = session.run(
            [jpeg.crop(tf.constant([21, 35, 100, 77])), jpeg.whole(), [jpeg.height, jpeg.width]]
        )
    assert size == [450, 600]
    difference = np.abs(crop.astype(int) - whole[21:121, 35:112])
    assert difference.max() < 10 and difference.mean() < 0.1


@pytest.mark.parametrize("mode", ["RGB", "L"])
@pytest.mark.parametrize("options", [{}, {"progressive": True}])
def test_a_large_photograph_is_decoded_smaller_and_looks_the_same(mode, options):
    image = picture(width=12, height=9).resize((2403, 1802), Image.Resampling.BICUBIC).convert(mode)
    file = io.BytesIO()
    image.save(file, "JPEG", **options)
    encoded = file.getvalue()
    expected = np.asarray(image.convert("RGB").reduce(4)).astype(int)
    window, target = [200, 400, 1203, 1601], (150, 200)
    with tf.Graph().as_default(), tf.Session() as session:
        jpeg = JpegImage(tf.constant(encoded), 3, fast=False)
        whole, crop = session.run([jpeg.whole((150, 200)), jpeg.crop(tf.constant(window), target)])
        full = session.run(JpegImage(tf.constant(encoded), 3, fast=False, scaled=False).whole(target))
    assert (whole.shape, crop.shape, full.shape) == ((451, 601, 3), (301, 400, 3), (1802, 2403, 3))
    assert np.abs(whole[:450, :600].astype(int) - expected[:450, :600]).mean() < 1
    assert np.abs(crop.astype(int) - expected[50:351, 100:500]).mean() < 1


def _evaluated_and_distorted(name, size, target):
    """What a recipe makes of an image with and without scaled decoding: [scaled or not][evaluation, training]."""
    file = io.BytesIO()
    picture(width=12, height=9).resize(size, Image.Resampling.BICUBIC).save(file, "JPEG")
    with tf.Graph().as_default(), tf.Session() as session:
        images = []
        for scaled in (True, False):
            recipe = dataclasses.replace(get_recipe(name), scaled_decoding=scaled)
            train = recipe.decode_train(file.getvalue(), *target, 3, seed=[1, 2])
            images.append([recipe.decode_eval(file.getvalue(), *target, 3), train])
        return session.run(images)


@pytest.mark.parametrize("name", ["inception", "vgg"])
def test_an_image_of_a_usual_size_gives_the_same_numbers_as_without_scaling(name):
    np.testing.assert_array_equal(*_evaluated_and_distorted(name, (500, 375), SIZE))


@pytest.mark.parametrize("name", ["inception", "vgg"])
def test_a_recipe_sees_a_large_photograph_about_as_without_scaling(name):
    scaled, full = np.array(_evaluated_and_distorted(name, (1600, 1200), (96, 96)))
    assert 0 < np.abs(scaled[0] - full[0]).mean() < 4
    assert 0 < np.abs(scaled[1] - full[1]).mean() < 4


def test_fast_decoding_leaves_luminance_as_it_is():
    encoded = encode(picture(width=12, height=9).resize((600, 450), Image.Resampling.BICUBIC), "JPEG")
    with tf.Graph().as_default(), tf.Session() as session:
        fast, exact = session.run([JpegImage(tf.constant(encoded), 3, fast).whole() for fast in (True, False)])
    luminance = [0.299, 0.587, 0.114]
    np.testing.assert_allclose(fast @ luminance, exact @ luminance, atol=2.5)
    assert np.abs(fast.astype(int) - exact).mean() < 1


@pytest.mark.parametrize("name", recipe_names())
def test_a_float_image_is_taken_in_the_range_of_research_slim(name):
    pixels = np.asarray(picture())
    scale = 255.0 if name == "inception" else 1.0
    preprocess = get_preprocessing(name)
    with tf.Graph().as_default(), tf.Session() as session:
        whole = preprocess(tf.constant(pixels), *SIZE)
        real = preprocess(tf.constant(pixels.astype(np.float32) / scale), *SIZE)
        np.testing.assert_allclose(*session.run([whole, real]), atol=1e-3)


def test_an_image_with_an_unknown_number_of_channels_is_refused():
    with tf.Graph().as_default(), pytest.raises(ValueError, match="1 or 3 channels"):
        get_preprocessing("vgg")(tf.io.decode_jpeg(tf.constant(b"")), *SIZE)
