"""Images of any type to batches of features, through tf.data.

As in TF-Hub's retrain script an image is seen whole, resized to the module's height and width with no regard to its
shape (bilinear, TensorFlow 1's sampling grid), in 0..1.
"""

from __future__ import annotations

import collections
import contextlib
import logging
import math
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.images import ImageRejected, decode, ratio_of
from deployment.threads import available_cpus
from slim_train.errors import RunError
from slim_train.inputs.pipeline import plain
from slim_train.preprocessing import distort
from slim_train.progress import ProgressBar
from slim_train.retraining.bottlenecks import BottleneckStore, digest
from slim_train.retraining.modules import FeatureModule
from slim_train.retraining.options import DistortionOptions
from slim_train.tf_compat import tf

log = logging.getLogger(__name__)

# Two batches at a time, each on half of the cores: nets have many small operations that two cores share badly.
STREAMS = 2
BATCH_SIZE = 16  # a sixth faster than 32 with MobileNet v2: more of it stays in the caches
_DIGESTS_AT_ONCE = 100
_STORE_EVERY_SECS = 10.0

# Numbers of images [B] and their features [B, D]; closing it ends the work that goes on ahead.
FeatureBatches = Generator["tuple[NDArray[np.int64], NDArray[np.float32]]", None, None]


class ImageFiles:
    """The images of a folder by number.

    Args:
      folder: the image folder.
      names: of the files, relative to it.
      target: height and width in pixels that images are resized to: large JPEGs are decoded smaller than they are, see
        :mod:`datasets.scaled_jpeg`. None: all images are decoded in full.
    """

    def __init__(self, folder: Path, names: Sequence[str], target: tuple[int, int] | None = None) -> None:
        self.folder, self.names, self._target = folder, names, target
        # Why an image cannot be used, by its number.
        self.rejected: dict[int, ImageRejected] = {}

    def digests(self) -> list[bytes | None]:
        """Return a key of each image, of its bytes and the scale it is decoded at; None if it cannot be read."""
        numbers = range(len(self.names))
        # Many at a time: handing one small file to a thread takes longer than to read it.
        shares = [numbers[start : start + _DIGESTS_AT_ONCE] for start in numbers[::_DIGESTS_AT_ONCE]]
        with ThreadPoolExecutor(2 * available_cpus()) as pool:
            return [key for keys in pool.map(lambda share: [self._digest(n) for n in share], shares) for key in keys]

    def read(self, index: int, enlarged: float = 1.0) -> NDArray[np.uint8]:
        """Return the pixels, [height, width, 3]; none where the image is rejected.

        Args:
          index: of the image.
          enlarged: factor of the size that it is resized to.
        """
        height, width = self._target or (0, 0)
        target = (math.ceil(enlarged * height), math.ceil(enlarged * width)) if self._target else None
        try:
            return decode((self.folder / self.names[index]).read_bytes(), target)
        except OSError as error:
            self.rejected[index] = ImageRejected("cannot be read", error.strerror or "")
        except ImageRejected as rejected:
            self.rejected[index] = rejected
        return np.zeros([0, 0, 3], np.uint8)

    def _digest(self, index: int) -> bytes | None:
        try:
            data = (self.folder / self.names[index]).read_bytes()
            ratio = ratio_of(data, self._target) if self._target else 1
            return digest(data) if ratio == 1 else digest(digest(data) + bytes([ratio]))
        except OSError as error:
            self.rejected[index] = ImageRejected("cannot be read", error.strerror or "")
            return None


def compute_features(module: FeatureModule, image_files: ImageFiles, store: BottleneckStore) -> list[bytes | None]:
    """Bring the features of all images into ``store``; what it holds already is not computed.

    Stopped in between, by Ctrl-C too, it leaves there what was done in all but the last ten seconds or less.

    Returns:
      For each image its key in the store; None for those that cannot be used, with the reasons in
      ``image_files.rejected``.
    """
    keys = image_files.digests()
    missing = {key: index for index, key in enumerate(keys) if key is not None and key not in store}
    log.info("%s images, the features of %s to compute.", f"{len(keys):,}", f"{len(missing):,}")
    if missing:
        _compute(module, image_files, list(missing.values()), keys, store)
        store.compact()
    for index, key in enumerate(keys):
        if key is not None and key not in store:
            # Of equal files one was looked at.
            image_files.rejected[index] = image_files.rejected[missing[key]]
    return [None if index in image_files.rejected else key for index, key in enumerate(keys)]


def _compute(
    module: FeatureModule,
    image_files: ImageFiles,
    indices: Sequence[int],
    keys: Sequence[bytes | None],
    store: BottleneckStore,
) -> None:
    @plain
    def is_image(index: Any, image: Any) -> Any:
        return tf.size(image) > 0

    @plain
    def whole(index: Any, image: Any) -> tuple[Any, Any]:
        return index, whole_image(image, module.height, module.width)

    with tf.Graph().as_default():
        batches = (
            decoded(image_files.read, tf.data.Dataset.from_tensor_slices(np.array(indices)))
            .filter(is_image)
            .map(whole, num_parallel_calls=available_cpus())
            .batch(BATCH_SIZE)
        )
        run = _start(module, batches, STREAMS)
    done, pending, stored_at = 0, {}, time.monotonic()
    with ProgressBar("computing features", len(indices), "images") as bar, contextlib.closing(run):
        try:
            for batch, features in run:
                pending.update({keys[index]: row for index, row in zip(batch, features, strict=True)})
                done += len(batch)
                bar.update(done)
                if time.monotonic() - stored_at > _STORE_EVERY_SECS:
                    store.add(pending)
                    pending, stored_at = {}, time.monotonic()
        finally:
            store.add(pending)


def distorted_features(
    module: FeatureModule,
    image_files: ImageFiles,
    draw: Callable[[], NDArray[np.int64]],
    batch_size: int,
    options: DistortionOptions,
    seed: int,
) -> FeatureBatches:
    """Features of distorted images without end, in batches.

    Args:
      draw: gives the numbers of the images of the next batch, [batch_size].
      batch_size: images in a batch.
      options: what is done to an image.
      seed: of the distortions.

    Yields:
      Numbers [batch_size] and features [batch_size, num_features].

    Raises:
      RunError: an image that could be read before cannot be read any more.
    """

    @plain
    def distorted(count: Any, drawn: tuple[Any, Any]) -> tuple[Any, Any]:
        index, image = drawn
        return index, _distorted(image, module, options, tf.stack([tf.cast(seed, tf.int64), count]))

    largest = _enlargement(options) * (1.0 + options.random_scale / 100.0)

    def read(index: int) -> NDArray[np.uint8]:
        return image_files.read(index, largest)

    with tf.Graph().as_default():
        drawn = tf.data.Dataset.range(1).repeat().map(plain(lambda _: tf.numpy_function(draw, [], tf.int64))).unbatch()
        batches = (
            decoded(read, drawn)
            .enumerate()
            .map(distorted, num_parallel_calls=available_cpus())
            .batch(batch_size, drop_remainder=True)
        )
        run = _start(module, batches)
    with contextlib.closing(run):
        try:
            yield from run
        except tf.errors.OpError as error:
            for index, rejected in image_files.rejected.items():
                raise RunError(f"{image_files.folder / image_files.names[index]} was changed: {rejected}.") from error
            raise


def decoded(read: Callable[[int], NDArray[np.uint8]], indices: Any, threads: int = 0) -> Any:
    """(number, pixels) of each image, of a data set of numbers.

    Args:
      read: gives the pixels of an image by its number.
      indices: data set of numbers.
      threads: 0 is one for each core.
    """

    @plain
    def numbered(index: Any) -> tuple[Any, Any]:
        image = tf.numpy_function(read, [index], tf.uint8)
        return index, tf.ensure_shape(image, [None, None, 3])

    # Pillow decodes, and so looks whether an image is whole, which TensorFlow would do once more.
    return indices.map(numbered, num_parallel_calls=2 * (threads or available_cpus()))


def _start(module: FeatureModule, batches: Any, streams: int = 1) -> FeatureBatches:
    """Add to the current graph what turns batches of (number, image) into (numbers, features).

    With more than one stream the batches come in any order.
    """
    iterator = tf.data.make_initializable_iterator(batches.prefetch(2).with_options(pipeline_options()))
    index, images = iterator.get_next()
    session = module.session(max(1, available_cpus() // streams))
    return _run_and_close(session, iterator.initializer, (index, module.features(images)), streams)


def _run_and_close(session: Any, initializer: Any, fetches: Any, streams: int) -> FeatureBatches:
    with contextlib.closing(session):
        session.run(initializer)
        yield from runs(session, fetches, streams)


def runs(session: Any, fetches: Any, streams: int) -> Generator[Any, None, None]:
    """Yield what the session gives, run after run until the end of its images; several runs at a time."""
    with ThreadPoolExecutor(streams) as pool:
        pending = collections.deque(pool.submit(session.run, fetches) for _ in range(streams))
        while pending:
            try:
                batch = pending.popleft().result()
            except tf.errors.OutOfRangeError:
                continue  # A later run may have met the last images before this one met the end.
            pending.append(pool.submit(session.run, fetches))
            yield batch


def whole_image(image: Any, height: int, width: int) -> Any:
    """Pixels 0..255 of an image of any size to float32 [height, width, 3] in 0..1."""
    resized = distort.resize(image, height, width)
    return tf.ensure_shape(resized, [height, width, 3]) / 255.0


def _distorted(image: Any, module: FeatureModule, options: DistortionOptions, seed: Any) -> Any:
    """Return an image, scaled up at random and cropped, mirrored, made lighter or darker: [height, width, 3].

    As retrain.py has it: the image is first resized to the module's size and ``random_crop`` percent more, and up to
    ``random_scale`` percent more again; of that a window of the module's size is seen. Nothing is clipped to 0..1.
    """
    scale, top, left, mirror, light = tf.unstack(tf.random.stateless_uniform([5], seed))
    factor = _enlargement(options) * (1.0 + scale * options.random_scale / 100.0)
    size = tf.cast(factor * [float(module.height), float(module.width)], tf.int32)
    spare = tf.cast(size - [module.height, module.width] + 1, tf.float32)
    begin = tf.cast(tf.stack([top, left]) * spare, tf.int32)
    image = distort.resize(image, size[0], size[1])
    image = tf.slice(image, tf.concat([begin, [0]], axis=0), [module.height, module.width, 3]) / 255.0
    if options.flip_left_right:
        image = tf.where_v2(mirror < 0.5, image[:, ::-1], image)
    return image * (1.0 + (2.0 * light - 1.0) * options.random_brightness / 100.0)


def _enlargement(options: DistortionOptions) -> float:
    """Return the size of an image before it is scaled up, as a multiple of the module's."""
    return 1.0 + options.random_crop / 100.0


def pipeline_options() -> Any:
    """Return the options of pipelines that feed a session."""
    options = tf.data.Options()
    # As in slim_train.inputs.pipeline: the thread that tunes may sleep for a minute and hold up the end of the session.
    options.autotune.enabled = False
    return options
