from __future__ import annotations

import math

import numpy as np
import pytest

from slim_train.bulk.penalty import DEFAULT, fit_with_best_penalty
from slim_train.retraining.head import HeadWeights


def weights_of(penalty: float) -> HeadWeights:
    return HeadWeights(np.array([[penalty]], np.float32), np.zeros(1, np.float32))


@pytest.mark.parametrize(("best", "fits"), [(DEFAULT, 3), (0.1, 3), (0.003, 5), (1.0, 4), (0.0001, 6)])
def test_the_penalty_with_the_least_validation_loss_is_found_in_few_fits(best: float, fits: int) -> None:
    tried: list[float] = []

    def fit(penalty: float) -> HeadWeights:
        tried.append(penalty)
        return weights_of(penalty)

    found = fit_with_best_penalty(fit, lambda weights: abs(math.log(weights.weights.item() / best)))
    assert found.weights.item() == pytest.approx(max(best, 0.0003))
    assert len(tried) == fits


def test_without_validation_images_the_default_is_used() -> None:
    assert fit_with_best_penalty(weights_of, lambda _: None).weights.item() == pytest.approx(DEFAULT)
