"""Images whose features are nearly the same, found without comparing every pair. No TensorFlow.

Signs of random projections make a hash of 64 bits of each image: the smaller the angle between two vectors of features,
the fewer bits differ (Charikar, 2002). Only pairs whose hashes are near are compared by their features.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datasets.duplicates.hamming import near_groups

log = logging.getLogger(__name__)

# Of mobilenet_v2, nearly all pairs above it show one thing twice, and few photographs of two things reach it.
LEAST_COSINE = 0.85
_DISTANCE = 12
_SEED = 0
_PAIRS_AT_ONCE = 4096
# Beyond, comparing all pairs with an equal part of the hash, which grows with the square, would take hours.
MOST_FOR_ALL_PAIRS = 200_000
_LONGEST_CHAIN = 1000  # images
_TABLES, _IN_A_BUCKET, _MOST_NEIGHBORS = 64, 16, 48


def groups_by_features(
    directions: NDArray[np.float32], least_cosine: float = LEAST_COSINE, most_for_all_pairs: int = MOST_FOR_ALL_PAIRS
) -> NDArray[np.int64]:
    """Return for each image the number of its group [N]: the index of the first image in it.

    Args:
      directions: features of length 1 [N, D], such as :func:`slim_train.bulk.typical_images.directions` returns.
      least_cosine: of the angle between the features of two images that are nearly the same.
      most_for_all_pairs: beyond this number of images, a hash is compared with at most 48 others that are equal in
        some random bits, for each of 64 choices of bits: time grows with the number of images, and not its square.
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

    if len(hashes) <= most_for_all_pairs:
        return near_groups(hashes, _DISTANCE, are_near)
    log.warning(
        "Of %s images, not all pairs that may be alike are compared: near the limit of likeness some are missed.",
        f"{len(hashes):,}",
    )
    return near_groups(hashes, _DISTANCE, are_near, _random_masks(len(hashes)), _MOST_NEIGHBORS)


def _random_masks(count: int) -> list[int]:
    """Return masks of random bits. About 16 of ``count`` hashes are equal in the bits of a mask."""
    random = np.random.default_rng(_SEED)
    num_bits = max(1, round(np.log2(count / _IN_A_BUCKET)))
    return [sum(1 << bit for bit in random.choice(64, num_bits, replace=False).tolist()) for _ in range(_TABLES)]


def without_chains(groups: Sequence[Sequence[int]], num_images: int) -> list[Sequence[int]]:
    """Return groups without those of over 1,000 images and a tenth of all, and say how many images these have.

    They are chains of images of which neighbors alone are alike, by a net that tells images apart badly.
    """
    most = max(_LONGEST_CHAIN, num_images // 10)
    chained = sum(len(group) for group in groups if len(group) > most)
    if chained:
        log.warning(
            "%s of %s images are alike by features only because others between them are, and are not counted: the net "
            "tells them apart badly. Try another.",
            f"{chained:,}", f"{num_images:,}",
        )  # fmt: skip
    return [group for group in groups if len(group) <= most]
