"""Every recipe's contract, and the numbers that make each what it is."""

import io

import numpy as np
import pytest
from PIL import Image

from slim_train.errors import UsageError
from slim_train.preprocessing.factory import get_preprocessing, get_recipe, recipe_names
from slim_train.tf_compat import tf

RANGES = {"cifarnet": (-8, 8), "imagenet": (-2.2, 2.7), "inception": (-1, 1), "lenet": (-1, 1), "vgg": (-124, 152)}


def _photo(height=30, width=50, mode="RGB"):
    """An image without symmetry, so that crops and flips show."""
    y, x = np.mgrid[0:height, 0:width]
    pixels = np.stack([255 * x / width, 255 * y / height, 128 + 0 * x], axis=-1).astype(np.uint8)
    return Image.fromarray(pixels).convert(mode)


def _encode(image, kind):
    buffer = io.BytesIO()
    image.save(buffer, kind, **({"quality": 98} if kind == "JPEG" else {}))
    return buffer.getvalue()


def _run(build):
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(build())


def _train(name, encoded, size=16, channels=3, seed=1):
    recipe = get_recipe(name)
    return _run(
        lambda: recipe.train_batch(
            recipe.decode_train(tf.constant(encoded), size, size, channels, [seed, 2])[tf.newaxis], [seed, 3]
        )
    )[0]


def _eval(name, encoded, size=16, channels=3):
    recipe = get_recipe(name)
    return _run(lambda: recipe.eval_batch(recipe.decode_eval(tf.constant(encoded), size, size, channels)[tf.newaxis]))[
        0
    ]


def test_every_recipe_is_swept_here():
    assert set(RANGES) == set(recipe_names())


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_recipe_gives_floats_of_the_size_asked_for_in_its_range(name, kind, channels):
    encoded = _encode(_photo(), kind)
    low, high = RANGES[name]
    for image in (_train(name, encoded, channels=channels), _eval(name, encoded, channels=channels)):
        assert image.shape == (16, 16, channels)
        assert image.dtype == np.float32
        assert low - 1e-3 <= image.min() < image.max() <= high + 1e-3


@pytest.mark.parametrize("name", RANGES)
def test_a_grey_picture_becomes_three_equal_channels(name):
    image = _eval(name, _encode(_photo(mode="L"), "JPEG"))
    means = {"vgg": (123.68, 116.779, 103.939), "imagenet": (0.485, 0.456, 0.406)}.get(name, 0)
    image = image * ((0.229, 0.224, 0.225) if name == "imagenet" else 1) + means
    np.testing.assert_allclose(image[..., 0], image[..., 1], atol=1e-3)
    np.testing.assert_allclose(image[..., 0], image[..., 2], atol=1e-3)


@pytest.mark.parametrize("name", ["cifarnet", "inception", "vgg"])
def test_training_distorts_by_its_seed(name):
    encoded = _encode(_photo(), "JPEG")
    np.testing.assert_array_equal(_train(name, encoded, seed=1), _train(name, encoded, seed=1))
    assert not np.array_equal(_train(name, encoded, seed=1), _train(name, encoded, seed=2))


@pytest.mark.parametrize("name", ["cifarnet", "inception", "vgg"])
def test_about_half_of_the_pictures_are_mirrored(name):
    recipe = get_recipe(name)
    ramp = np.tile(np.linspace(0, 255, 16, dtype=np.float32)[np.newaxis, np.newaxis, :, np.newaxis], (400, 16, 1, 3))
    images = _run(lambda: recipe.train_batch(tf.constant(ramp), [3, 4]))
    mirrored = (images[:, 0, 0, 0] > images[:, 0, -1, 0]).mean()
    assert 0.4 < mirrored < 0.6


@pytest.mark.parametrize("name", RANGES)
def test_small_pictures_and_large_inputs_fit(name):
    encoded = _encode(_photo(5, 7), "JPEG")
    assert _train(name, encoded, size=32).shape == (32, 32, 3)
    assert _eval(name, encoded, size=32).shape == (32, 32, 3)


def test_inception_evaluates_the_middle_of_the_picture_in_minus_one_to_one():
    image = _eval("inception", _encode(_photo(160, 160), "PNG"), size=140)
    expected = np.asarray(_photo(160, 160), np.float32)[10:150, 10:150] / 127.5 - 1
    np.testing.assert_allclose(image, expected, atol=1e-5)


@pytest.mark.slow
def test_inception_crops_at_least_a_tenth_of_the_picture():
    encoded = _encode(_photo(200, 200), "PNG")
    for seed in range(20):
        image = _run(lambda: get_recipe("inception").decode_train(tf.constant(encoded), 8, 8, 3, [seed, 0]))  # noqa: B023
        share = np.ptp(image[..., 0]) / 255 * np.ptp(image[..., 1]) / 255
        assert share > 0.05  # eight samples miss the last eighth of each side


def test_lenet_is_centred_on_grey():
    image = _eval("lenet", _encode(Image.new("L", (28, 28), 192), "PNG"), size=28, channels=1)
    np.testing.assert_allclose(image, 0.5)


def test_vgg_subtracts_the_mean_colour_of_imagenet():
    image = _eval("vgg", _encode(Image.new("RGB", (300, 300), (200, 100, 50)), "PNG"), size=224)
    np.testing.assert_allclose(image[0, 0], [200 - 123.68, 100 - 116.779, 50 - 103.939], atol=1e-3)


def test_cifarnet_standardizes_each_image():
    image = _eval("cifarnet", _encode(_photo(32, 32), "PNG"), size=32)
    assert image.mean() == pytest.approx(0, abs=1e-4)
    assert image.std() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("is_training", [True, False])
@pytest.mark.parametrize("name", RANGES)
def test_get_preprocessing_takes_a_decoded_image_as_in_research_slim(name, is_training):
    preprocess = get_preprocessing(name, is_training=is_training)
    image = _run(lambda: preprocess(tf.constant(np.asarray(_photo())), 16, 16))
    assert image.shape == (16, 16, 3)
    assert image.dtype == np.float32


def test_an_unknown_recipe_lists_the_valid_ones():
    with pytest.raises(UsageError, match="Did you mean inception"):
        get_recipe("incepton")
