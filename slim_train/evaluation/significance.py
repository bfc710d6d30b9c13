"""How sure a share and a difference are: Wilson's interval and McNemar's test. No TensorFlow."""

from __future__ import annotations

import math

import numpy as np

_Z = 1.959963984540054  # of 95%


def wilson_interval(hits: int, images: int) -> tuple[float, float]:
    """Return the 95% Wilson score interval of ``hits / images``; (0, 1) without images.

    Source: Wilson 1927, https://doi.org/10.1080/01621459.1927.10502953.
    """
    if not images:
        return 0.0, 1.0
    share, square = hits / images, _Z * _Z
    center = (share + square / (2 * images)) / (1 + square / images)
    half = _Z / (1 + square / images) * math.sqrt(share * (1 - share) / images + square / (4 * images * images))
    return max(0.0, center - half), min(1.0, center + half)


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
