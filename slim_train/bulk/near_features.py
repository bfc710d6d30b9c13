"""Images whose features are nearly the same, found without comparing every pair. No TensorFlow.

Signs of random projections make a hash of 64 bits of each image: the smaller the angle between two vectors of features,
the fewer bits differ (Charikar, 2002). Only pairs whose hashes are near are compared by their features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datasets.duplicates.hamming import near_groups

# Of mobilenet_v2, nearly all pairs above it show one thing twice, and few photographs of two things reach it.
LEAST_COSINE = 0.85
_DISTANCE = 12
_SEED = 0
_PAIRS_AT_ONCE = 4096


def groups_by_features(directions: NDArray[np.float32], least_cosine: float = LEAST_COSINE) -> NDArray[np.int64]:
    """Return for each image the number of its group [N]: the index of the first image in it.

    Args:
      directions: features of length 1 [N, D], such as :func:`slim_train.bulk.typical_images.directions` returns.
      least_cosine: of the angle between the features of two images that are nearly the same.
    """
    planes = np.random.default_rng(_SEED).standard_normal((directions.shape[1], 64), np.float32)
    bits = directions @ planes > 0
    hashes = np.packbits(bits, axis=1).view(np.uint64).reshape(-1)

    def are_near(first: NDArray[np.int64], second: NDArray[np.int64]) -> NDArray[np.bool_]:
        near = np.zeros(len(first), bool)
        for start in range(0, len(first), _PAIRS_AT_ONCE):
            part = slice(start, start + _PAIRS_AT_ONCE)
            cosines = np.einsum("nd,nd->n", directions[first[part]], directions[second[part]])
            near[part] = cosines >= least_cosine
        return near

    return near_groups(hashes, _DISTANCE, are_near)
