"""RandAugment: what is drawn, and each distortion against PIL's, as timm applies them."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from slim_train.errors import UsageError
from slim_train.preprocessing.randaugment import DISTORTIONS, RandAugment, apply_distortions, equalize
from slim_train.tf_compat import tf

SIZE = 24
PATCHES = np.random.default_rng(0).integers(20, 230, (6, 6, 3), np.uint8)
PICTURE = np.asarray(Image.fromarray(PATCHES).resize((SIZE, SIZE), Image.Resampling.BICUBIC))


def applied(pixels: np.ndarray, sign: float = 1.0, **levels: float) -> np.ndarray:
    """One image with the named distortions at these levels."""
    with tf.Graph().as_default(), tf.Session() as session:
        all_levels = {name: tf.constant([levels.get(name, -1.0)]) for name in DISTORTIONS}
        signs = {name: tf.constant([sign]) for name in DISTORTIONS}
        batch = tf.constant(pixels[np.newaxis].astype(np.float32))
        return session.run(apply_distortions(batch, all_levels, signs))[0]


def drawn(policy: RandAugment, count: int = 4000) -> tuple[np.ndarray, np.ndarray]:
    """Levels and signs, [count, distortions]."""
    with tf.Graph().as_default(), tf.Session() as session:
        levels, signs = session.run(policy.draw(count, [1, 2]))
    return tuple(np.stack([values[name] for name in DISTORTIONS], axis=1) for values in (levels, signs))


@pytest.mark.parametrize(
    ("name", "policy"),
    [
        ("rand-m9-mstd0.5-inc1", RandAugment(9, 0.5, 2, 0.5)),
        ("rand-m7.5-n3-mstd0-p1", RandAugment(7.5, 0, 3, 1)),
    ],
)
def test_timms_names_are_read(name: str, policy: RandAugment) -> None:
    assert RandAugment.of_name(name) == policy


@pytest.mark.parametrize(
    "name", ["rand-", "rand-x3", "rand-m", "rand-m11", "rand-n0", "rand-n2.5", "rand-p2", "rand-m1."]
)
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match=f"--augmentation={name}"):
        RandAugment.of_name(name)


def test_so_many_distortions_are_drawn_all_as_often() -> None:
    levels, signs = drawn(RandAugment(num_distortions=3, probability=1.0))
    is_applied = levels >= 0
    assert (is_applied.sum(axis=1) == 3).all()
    np.testing.assert_allclose(is_applied.mean(axis=0), 3 / 15, atol=0.03)
    np.testing.assert_allclose((signs > 0).mean(axis=0), 0.5, atol=0.04)


def test_each_is_applied_with_its_probability_at_about_the_magnitude() -> None:
    levels, _ = drawn(RandAugment(magnitude=5, magnitude_std=1, num_distortions=15, probability=0.25))
    assert (levels >= 0).mean() == pytest.approx(0.25, abs=0.01)
    of_applied = levels[levels >= 0]
    assert of_applied.mean() == pytest.approx(0.5, abs=0.01)
    assert of_applied.std() == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("channels", [1, 3])
def test_images_without_a_distortion_stay_as_they_are(channels: int) -> None:
    np.testing.assert_allclose(applied(PICTURE[..., :channels]), PICTURE[..., :channels], atol=1e-3)


def posterized(image: Image.Image) -> Image.Image:
    return ImageOps.posterize(image, 3)  # level 0.4: 4 - int(0.4 * 4) bits


@pytest.mark.parametrize(
    ("name", "level", "theirs"),
    [
        ("auto_contrast", 0.9, ImageOps.autocontrast),
        ("equalize", 0.9, ImageOps.equalize),
        ("invert", 0.9, ImageOps.invert),
        ("posterize", 0.4, posterized),
        ("solarize", 0.5, lambda image: ImageOps.solarize(image, 128)),
        ("saturation", 0.5, lambda image: ImageEnhance.Color(image).enhance(1.45)),
        ("contrast", 0.5, lambda image: ImageEnhance.Contrast(image).enhance(1.45)),
        ("brightness", 0.5, lambda image: ImageEnhance.Brightness(image).enhance(1.45)),
        ("sharpness", 0.5, lambda image: ImageEnhance.Sharpness(image).enhance(1.45)),
    ],
)
def test_colours_change_as_pils(name: str, level: float, theirs: object) -> None:
    ours = applied(PICTURE, **{name: level})
    expected = np.asarray(theirs(Image.fromarray(PICTURE)), np.float32)  # type: ignore[operator]
    assert np.abs(expected - PICTURE).max() > 5
    # PIL rounds to whole values and leaves the outermost pixels unsharpened.
    np.testing.assert_allclose(ours[1:-1, 1:-1], expected[1:-1, 1:-1], atol=2.0)


def test_solarize_add_brightens_the_darker_half() -> None:
    expected = np.where(PICTURE < 128, np.minimum(PICTURE + 55.0, 255.0), PICTURE)
    np.testing.assert_allclose(applied(PICTURE, solarize_add=0.5), expected, atol=1e-3)


@pytest.mark.parametrize(("sign", "columns"), [(1.0, slice(0, 8)), (-1.0, slice(16, 24))])
def test_shifts_leave_grey_behind(sign: float, columns: slice) -> None:
    shifted = applied(PICTURE, sign, shift_x=8 / 24 / 0.45)
    np.testing.assert_allclose(shifted[:, columns], 128.0, atol=1e-2)
    kept = slice(0, 16) if sign > 0 else slice(8, 24)
    moved = slice(8, 24) if sign > 0 else slice(0, 16)
    np.testing.assert_allclose(shifted[:, moved], PICTURE[:, kept], atol=0.1)


def test_equalizing_flat_images_and_empty_batches_changes_nothing() -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        flat, empty = session.run([equalize(tf.fill([2, 8, 8, 3], 77.0)), equalize(tf.zeros([0, 8, 8, 3]))])
    assert (flat == 77.0).all() and empty.shape == (0, 8, 8, 3)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [1, 3])
def test_whole_batches_stay_in_range_and_repeat_with_the_seed(channels: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (64, SIZE, SIZE, channels)).astype(np.float32)

    def distorted(seed: int) -> np.ndarray:
        with tf.Graph().as_default(), tf.Session() as session:
            return session.run(RandAugment().distort(tf.constant(images), [seed, 0]))

    first, again, other = distorted(1), distorted(1), distorted(2)
    assert first.min() >= 0.0 and first.max() <= 255.0
    np.testing.assert_array_equal(first, again)
    # Two draws that are applied half of the time leave a quarter of the images alone.
    is_same = np.abs(first - images).max(axis=(1, 2, 3)) < 0.01
    assert 0.1 < is_same.mean() < 0.45
    assert not np.array_equal(first, other)
