"""Features of images in memory, kept in a cache between runs: by the bytes of the images, wherever they lie."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets.files import cache_folder
from datasets.images import ImageRejected
from deployment.threads import available_cpus
from slim_train.bulk.features import FeatureBody
from slim_train.bulk.frozen_net import FeatureNet
from slim_train.bulk.image_rows import ImageSet
from slim_train.progress import ProgressBar
from slim_train.retraining.bottlenecks import BottleneckStore, digest
from slim_train.retraining.run import store_folder

_IMAGES_AT_ONCE = 500


class ImageFeatures(NamedTuple):
    """The features of N images.

    Attributes:
      vectors: float32 [N, D]; zeros if an image was rejected.
      keys: digest of the bytes of each image; None if it was rejected.
    """

    vectors: NDArray[np.float32]
    keys: list[bytes | None]


def image_features(net: FeatureNet, images: ImageSet, cache: Path | None = None) -> ImageFeatures:
    """Return the features of images, and compute those that the cache does not hold. A stopped run is continued.

    Args:
      net: the net, with one end point.
      images: the images.
      cache: folder of all nets. Default: ``features`` in the user's cache.

    Raises:
      DataError: a record file cannot be read.
      UsageError: the cache cannot be written.
    """
    (point,) = net.end_points
    precision = net.precision if net.scaled_decoding else f"{net.precision}-full"
    folder = store_folder(str(cache or cache_folder() / "features"), net.name, net.identity, precision)
    store = BottleneckStore(folder, point.length)
    opener = images.opener()
    keys: list[bytes | None] = []
    parts = range(0, len(images.rows), _IMAGES_AT_ONCE)
    with (
        FeatureBody(net, opener, available_cpus()) as body,
        ProgressBar("computing features", len(images.rows), "images") as bar,
    ):
        for start in parts:
            rows = images.rows[start : start + _IMAGES_AT_ONCE]
            of_rows: list[bytes | None] = []
            with opener.opened([row.path for row in rows]) as read:
                for row in rows:
                    try:
                        of_rows.append(digest(read(row.path)))
                    except ImageRejected:
                        of_rows.append(None)
            missing = {key: row for row, key in zip(rows, of_rows, strict=True) if key is not None and key not in store}
            if missing:
                vectors, errors = body(list(missing.values()))
                computed = zip(missing, vectors[point.name], errors, strict=True)
                store.add({key: vector for key, vector, error in computed if error is None})
            keys += [key if key is not None and key in store else None for key in of_rows]
            bar.update(start + len(rows))
    store.compact()
    return ImageFeatures(store.gather(keys), keys)
