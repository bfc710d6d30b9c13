"""Images with nearly the same features."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from datasets.duplicates import hamming
from datasets.duplicates.hamming import bit_count
from slim_train.bulk.near_features import groups_by_features, without_chains
from slim_train.bulk.typical_images import directions


def test_groups_are_the_pairs_above_the_cosine() -> None:
    random = np.random.default_rng(0)
    features = random.standard_normal((3000, 128)).astype(np.float32)
    features[1000:1100] = features[:100] + 0.1 * random.standard_normal((100, 128))
    features[2000:2100] = features[100:200] + 1.0 * random.standard_normal((100, 128))
    features[2999] = features[0]
    numbers = groups_by_features(directions(features))
    assert (numbers[1000:1100] == np.arange(100)).mean() >= 0.98
    assert numbers[2999] == 0
    assert len(np.unique(numbers)) >= 2899
    assert (numbers[2000:2100] == np.arange(2000, 2100)).all()


def test_of_very_many_images_those_that_are_clearly_alike_are_found_in_steps_that_are_bounded(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    random = np.random.default_rng(0)
    features = random.standard_normal((20_000, 64)).astype(np.float32)
    features[1000:1100] = features[:100] + 0.2 * random.standard_normal((100, 64))
    compared: list[int] = []

    def counted(numbers: NDArray[np.uint64]) -> NDArray[np.uint8]:
        compared.append(len(numbers))
        return bit_count(numbers)

    monkeypatch.setattr(hamming, "bit_count", counted)
    numbers = groups_by_features(directions(features), most_for_all_pairs=10_000)
    assert (numbers[1000:1100] == np.arange(100)).mean() >= 0.95
    assert "Of 20,000 images, not all pairs" in caplog.text
    assert sum(compared) < 20_000**2 / 2 / 10  # of all pairs


def test_a_chain_of_a_large_part_of_all_images_is_left_out_and_said(caplog: pytest.LogCaptureFixture) -> None:
    chain, pair = list(range(1500)), [2000, 2001]
    assert without_chains([chain, pair], 5000) == [pair]
    assert "1,500 of 5,000 images are alike by features only because others between them are" in caplog.text
    assert without_chains([chain, pair], 50_000) == [chain, pair]
    assert without_chains([list(range(9))], 10) == [list(range(9))]
