"""The L2 penalty of a linear classifier, chosen by its loss on the validation images. No TensorFlow."""

from __future__ import annotations

import logging
from collections.abc import Callable

from slim_train.retraining.head import HeadWeights

log = logging.getLogger(__name__)

# Of weights on features as they are. Scaled by their deviation, as Spark does by default, rare features weigh too much.
DEFAULT = 0.03
_GRID = (0.0003, 0.001, 0.003, 0.01, DEFAULT, 0.1, 0.3, 1.0)


def fit_with_best_penalty(
    fit: Callable[[float], HeadWeights], validation_loss: Callable[[HeadWeights], float | None]
) -> HeadWeights:
    """Return the weights with the least loss along the grid of penalties.

    The loss falls and rises along the grid, so three fits are often enough: from the default to both sides, on while
    the loss falls.

    Args:
      fit: trains with a penalty.
      validation_loss: mean cross entropy of weights; None if there are no validation images. Then the default is used.
    """
    best, weights = DEFAULT, fit(DEFAULT)
    least = validation_loss(weights)
    if least is None:
        log.info("L2 penalty %g; without validation images it cannot be chosen.", DEFAULT)
        return weights
    start = _GRID.index(DEFAULT)
    for side in (_GRID[start + 1 :], _GRID[start - 1 :: -1]):
        fell = False
        for penalty in side:
            tried = fit(penalty)
            loss = validation_loss(tried)
            assert loss is not None
            if loss >= least:
                break
            best, weights, least, fell = penalty, tried, loss, True
        if fell:
            break
    log.info("L2 penalty %g: validation cross entropy %.4f.", best, least)
    return weights
