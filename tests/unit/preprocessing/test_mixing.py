"""Mixup and CutMix, measured on batches whose pixels tell which image they come from."""

from __future__ import annotations

import numpy as np
import pytest

from slim_train.preprocessing.mixing import mix_batch
from slim_train.tf_compat import tf

BATCH, HEIGHT, WIDTH = 400, 24, 32
LABELS = np.arange(BATCH)


def mixed(channels: int = 1, seed: int = 1, **alphas: float) -> dict[str, np.ndarray]:
    """A batch in which every pixel of an image is the image's number."""
    images = np.tile(LABELS.reshape(-1, 1, 1, 1).astype(np.float32), (1, HEIGHT, WIDTH, channels))
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(mix_batch(tf.constant(images), tf.constant(LABELS), [seed, 2], **alphas))


@pytest.mark.parametrize("channels", [1, 3])
def test_mixup_gives_the_weighted_mean_of_two_images(channels: int) -> None:
    batch = mixed(channels, mixup_alpha=1.0)
    weight, other = batch["label_weight"], batch["mixed_label"]
    np.testing.assert_array_equal(batch["label"], LABELS)
    np.testing.assert_array_equal(other, LABELS[::-1])
    expected = (weight * LABELS + (1 - weight) * other).reshape(-1, 1, 1, 1)
    np.testing.assert_allclose(batch["image"], np.broadcast_to(expected, batch["image"].shape), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("alpha", [0.01, 0.2, 1.0, 8.0])
def test_weights_are_distributed_as_beta_says(alpha: float) -> None:
    weight = mixed(mixup_alpha=alpha)["label_weight"]
    assert np.isfinite(weight).all() and weight.min() >= 0.0 and weight.max() <= 1.0
    assert weight.mean() == pytest.approx(0.5, abs=0.08)
    assert weight.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.2)


def test_cutmix_weighs_a_label_by_the_pixels_that_are_its_own() -> None:
    batch = mixed(cutmix_alpha=1.0)
    own = batch["image"][..., 0] == LABELS.reshape(-1, 1, 1)
    other = batch["image"][..., 0] == LABELS[::-1].reshape(-1, 1, 1)
    assert (own ^ other).all()
    np.testing.assert_allclose(batch["label_weight"], own.mean(axis=(1, 2)), atol=1e-6)


def test_what_cutmix_puts_in_is_a_rectangle_anywhere_in_the_image() -> None:
    batch = mixed(cutmix_alpha=1.0)
    cut = batch["image"][..., 0] != LABELS.reshape(-1, 1, 1)
    rows, columns = cut.any(axis=2), cut.any(axis=1)
    np.testing.assert_array_equal(cut, rows[:, :, np.newaxis] & columns[:, np.newaxis])
    # Half of the rectangle lies beyond the border at most, which leaves it larger than a quarter in the mean.
    assert 0.25 < cut.mean() < 0.45
    assert cut.any(axis=0).all()


def test_with_both_half_of_the_images_get_each() -> None:
    batch = mixed(mixup_alpha=1.0, cutmix_alpha=1.0)
    is_flat = np.ptp(batch["image"], axis=(1, 2, 3)) == 0
    assert 0.42 < is_flat.mean() < 0.6


def test_the_seed_decides() -> None:
    first, again, other = (mixed(seed=seed, cutmix_alpha=1.0)["image"] for seed in (1, 1, 3))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
