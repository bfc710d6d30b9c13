"""The work on one batch: images in, vectors out. It knows nothing of files to write, tasks or clusters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datasets.images import ImageRejected, decode
from slim_train.bulk.frozen_net import FeatureNet
from slim_train.bulk.image_rows import ImageOpener, ImageRow, ReadImage
from slim_train.inputs.pipeline import plain
from slim_train.retraining.image_features import BATCH_SIZE, STREAMS, decoded, pipeline_options, runs, whole_image
from slim_train.tf_compat import tf


class Features(NamedTuple):
    """The result of a batch of N images.

    Attributes:
      vectors: float32 [N, length] by end point; rows of rejected images are 0.
      errors: why an image was rejected, else None.
    """

    vectors: Mapping[str, NDArray[np.float32]]
    errors: list[str | None]


class FeatureBody:
    """Computes features of batches of images, in one graph and session for all of them. A context manager.

    Args:
      net: the net.
      opener: reads the images.
      threads: CPU threads.
    """

    def __init__(self, net: FeatureNet, opener: ImageOpener, threads: int) -> None:
        self._net, self._opener = net, opener
        self._rows: Sequence[ImageRow] = ()
        self._read_image: ReadImage | None = None
        self._errors: list[str | None] = []
        self._target = (net.height, net.width) if net.scaled_decoding else None
        self._streams = STREAMS if threads > 1 else 1
        with tf.Graph().as_default():
            self._count = tf.placeholder(tf.int64, [])
            batches = (
                decoded(self._read, tf.data.Dataset.range(self._count), threads)
                .filter(plain(lambda _, image: tf.size(image) > 0))
                .map(plain(lambda index, image: (index, whole_image(image, net.height, net.width))), threads)
                .batch(BATCH_SIZE)
                .prefetch(2)
                .with_options(pipeline_options())
            )
            iterator = tf.data.make_initializable_iterator(batches)
            index, images = iterator.get_next()
            self._fetches = index, net.features(images)
            self._initializer = iterator.initializer
            self._session = net.session(max(1, threads // self._streams))

    def __call__(self, rows: Sequence[ImageRow]) -> Features:
        """Return the features of a batch of any size."""
        self._rows, self._errors = rows, [None] * len(rows)
        vectors = {point.name: np.zeros((len(rows), point.length), np.float32) for point in self._net.end_points}
        with self._opener.opened([row.path for row in rows]) as self._read_image:
            self._session.run(self._initializer, {self._count: len(rows)})
            for numbers, computed in runs(self._session, self._fetches, self._streams):
                for into, values in zip(vectors.values(), computed, strict=True):
                    into[numbers] = values
        self._rows, self._read_image = (), None
        return Features(vectors, self._errors)

    def _read(self, index: int) -> NDArray[np.uint8]:
        assert self._read_image is not None
        try:
            return decode(self._read_image(self._rows[index].path), self._target)
        except ImageRejected as rejected:
            self._errors[index] = str(rejected)
        return np.zeros([0, 0, 3], np.uint8)

    def close(self) -> None:
        """Release the session."""
        self._session.close()

    def __enter__(self) -> FeatureBody:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
