"""How sure the difference of two classifiers is: McNemar's test. No TensorFlow."""

from __future__ import annotations

import math

import numpy as np


def mcnemar_test(only_first: int, only_second: int) -> float:
    """Return the two-sided p value of McNemar's exact test.

    It is the binomial test of the images that only one of two classifiers got right, at 1/2.

    Source: McNemar 1947, https://doi.org/10.1007/BF02295996.
    """
    total, fewer = only_first + only_second, min(only_first, only_second)
    if not total:
        return 1.0
    # log of (total over k) for k = 0, ..., fewer: binomial coefficients of thousands do not fit a float.
    k = np.arange(1, fewer + 1, dtype=np.float64)
    logs = np.concatenate([[0.0], np.cumsum(np.log(total - k + 1) - np.log(k))])
    top = float(logs.max())
    return min(1.0, 2 * math.exp(top + math.log(np.exp(logs - top).sum()) - total * math.log(2)))
