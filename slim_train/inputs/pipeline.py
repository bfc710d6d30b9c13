"""tf.data input: TFRecord files to batches for training and evaluation.

What a seed guarantees: the same records in the same files give the same order and the same distortions in every run on
the same TensorFlow version, however many threads work. Without a seed the order is new each time and batches are taken
as they get ready, which is a little faster.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from typing import Any

from datasets.spec import DatasetSpec
from datasets.storage import path_of
from deployment.threads import available_cpus
from slim_train.inputs import records as records_of
from slim_train.inputs.errors import check_labels, explain_input_error
from slim_train.inputs.records import plain
from slim_train.preprocessing import distort
from slim_train.preprocessing.augment import augmented
from slim_train.preprocessing.erasing import erase_rectangles
from slim_train.preprocessing.factory import as_recipe
from slim_train.preprocessing.mixing import mix_batch
from slim_train.preprocessing.recipe import Recipe
from slim_train.tf_compat import tf
from slim_train.training_options import AugmentationOptions

__all__ = [
    "batch_source",
    "evaluation_batches",
    "explain_input_error",
    "numbered_batches",
    "plain",
    "synthetic_batches",
    "training_batches",
]

log = logging.getLogger(__name__)

# Records are shuffled as they are in the files, encoded: far more of them fit into memory than decoded images.
_SHUFFLE_BYTES = 256 * 2**20
_RECORDS_PER_READ = 16
_PREFETCHED_BATCHES = 2
_RECIPES_OWN = AugmentationOptions()


def training_batches(
    dataset: DatasetSpec,
    *,
    batch_size: int,
    image_size: int,
    channels: int,
    preprocessing: str | Recipe,
    num_classes: int,
    labels_offset: int = 0,
    augmentation: AugmentationOptions = _RECIPES_OWN,
    seed: int | None = None,
    num_readers: int = 4,
    num_preprocessing_threads: int | None = None,
    shard_index: int = 0,
    num_shards: int = 1,
    shard: bool = False,
    shuffle: bool = True,
    prefetch: int = _PREFETCHED_BATCHES,
) -> Any:
    """Batches of distorted images without end, in a new order each epoch.

    The whole data set is shuffled where its records fit into 256 MiB, else the files and as many records as fit. Every
    epoch holds each record once; a batch may hold the end of one and the beginning of the next. Without a seed, images
    that are decoded at the same time at the border of two epochs may change places.

    Args:
      dataset: the split to read.
      batch_size: images in a batch; every batch is full.
      image_size: height and width of the images, in pixels.
      channels: 1 or 3; a grey image becomes 3 equal channels.
      preprocessing: a recipe, or the name of one in slim_train.preprocessing.
      num_classes: labels must be below it.
      labels_offset: subtracted from every label.
      augmentation: how images are distorted.
      seed: makes order and distortions repeat; None gives others each time.
      num_readers: files read at the same time.
      num_preprocessing_threads: threads of this input alone that decode and distort; None means one for each processor.
      shard_index: which of ``num_shards`` this reader is; each has its own order.
      num_shards: how many readers train together.
      shard: give each reader its own part of the data instead of all of it: whole files if there is one for each,
        else every ``num_shards``-th record.
      shuffle: False gives all records in the order of the files, over and over.
      prefetch: batches kept ready; one for each clone at least.

    Returns:
      tf.data.Dataset of ``image`` float32 [batch_size, image_size, image_size, channels] and ``label`` int64
      [batch_size]; with mixup or CutMix also ``mixed_label`` and ``label_weight``, see :func:`mix_batch`.

    Raises:
      UsageError: there is no such preprocessing or augmentation.
    """
    recipe = augmented(as_recipe(preprocessing), augmentation.augmentation)
    base_seed = random.randrange(2**31) if seed is None else _mix(seed, shard_index)

    def decode(index: Any, serialized: Any) -> tuple[Any, Any]:
        encoded, label = records_of.parse_image_and_label(serialized, dataset)
        return recipe.decode_train(encoded, image_size, image_size, channels, tf.stack([base_seed, index])), label

    def finish(index: Any, batch: tuple[Any, Any]) -> dict[str, Any]:
        seed = tf.stack([base_seed, index])
        images, labels = recipe.train_batch(batch[0], seed), check_labels(batch[1], num_classes, labels_offset)
        if augmentation.random_erasing:
            images = erase_rectangles(images, distort.another_seed(seed, 1), augmentation.random_erasing)
        if augmentation.mixup_alpha or augmentation.cutmix_alpha:
            alphas = augmentation.mixup_alpha, augmentation.cutmix_alpha
            return mix_batch(images, labels, distort.another_seed(seed, 2), *alphas)
        return {"image": images, "label": labels}

    if shuffle:
        records = _shuffled_records(dataset, base_seed, num_readers, (num_shards, shard_index) if shard else None)
    else:
        records = _records_in_order(dataset).repeat()
    batches = (
        records.enumerate()
        .map(plain(decode), num_parallel_calls=_images_at_once(num_preprocessing_threads))
        .batch(batch_size, drop_remainder=True)
        .enumerate()
        .map(plain(finish), num_parallel_calls=2)
        .prefetch(prefetch)
    )
    is_deterministic = seed is not None or not shuffle
    return batches.with_options(_options(num_preprocessing_threads, deterministic=is_deterministic))


def synthetic_batches(*, batch_size: int, image_size: int, channels: int, num_classes: int) -> Any:
    """One batch of noise over and over, which costs nothing to read: what else a step takes can be measured with it.

    Returns:
      tf.data.Dataset as :func:`training_batches` returns it, images uniform in [-1, 1).
    """

    def batch(seed: Any) -> dict[str, Any]:
        shape = [batch_size, image_size, image_size, channels]
        return {
            "image": tf.random.stateless_uniform(shape, [seed, 0], -1.0, 1.0),
            "label": tf.random.stateless_uniform([batch_size], [seed, 1], maxval=num_classes, dtype=tf.int64),
        }

    batches = tf.data.Dataset.range(1).map(plain(batch)).cache().repeat()
    return batches.with_options(_options(None, deterministic=True))


def evaluation_batches(
    dataset: DatasetSpec,
    *,
    batch_size: int,
    image_size: int,
    channels: int,
    preprocessing: str | Recipe,
    num_classes: int,
    labels_offset: int = 0,
    num_preprocessing_threads: int | None = None,
) -> Any:
    """Batches that hold every record of the split exactly once, in the order of the files; the last one is padded.

    Arguments and errors as in :func:`training_batches`.

    Returns:
      tf.data.Dataset of ``image`` float32 [batch_size, image_size, image_size, channels], ``encoded`` string
      [batch_size] (the images as the records hold them), ``label`` int64 [batch_size], ``filename`` string [batch_size]
      and ``mask`` bool [batch_size]: False where the last batch is padded.
    """
    recipe = as_recipe(preprocessing)

    def decode(serialized: Any) -> tuple[Any, ...]:
        encoded, label, name = records_of.parse(serialized, dataset)
        return recipe.decode_eval(encoded, image_size, image_size, channels), encoded, label, name

    def finish(images: Any, encoded: Any, labels: Any, filenames: Any) -> dict[str, Any]:
        batch = {
            "image": recipe.eval_batch(images),
            "encoded": encoded,
            "label": check_labels(labels, num_classes, labels_offset),
            "filename": filenames,
            "mask": tf.ones_like(labels, tf.bool),
        }
        return {name: _pad(values, batch_size) for name, values in batch.items()}

    batches = (
        _records_in_order(dataset)
        .map(plain(decode), num_parallel_calls=_images_at_once(num_preprocessing_threads))
        .batch(batch_size)
        .map(plain(finish))
        .prefetch(_PREFETCHED_BATCHES)
    )
    return batches.with_options(_options(num_preprocessing_threads, deterministic=True))


def numbered_batches(
    read: Callable[[Any, Any], tuple[Any, Any]], *, num_images: int, width: int, batch_size: int, seed: int | None
) -> Any:
    """Batches without end of what was made of images before; every epoch holds each image once, in a new order.

    Args:
      read: (epochs int64 [batch_size], numbers of images int64 [batch_size]) -> float32 [batch_size, width] and labels
        int64 [batch_size], all of them numpy arrays.
      num_images: how many there are.
      width: of what is read for an image.
      batch_size: images in a batch; every batch is full.
      seed: makes the order repeat; None gives another each time.

    Returns:
      tf.data.Dataset of ``features`` float32 [batch_size, width] and ``label`` int64 [batch_size].
    """

    def take(count: Any, image: Any) -> dict[str, Any]:
        features, labels = tf.numpy_function(read, [count // num_images, image], [tf.float32, tf.int64])
        return {
            "features": tf.ensure_shape(features, [batch_size, width]),
            "label": tf.ensure_shape(labels, [batch_size]),
        }

    numbers = tf.data.Dataset.range(num_images).shuffle(num_images, seed=seed).repeat().enumerate()
    batches = numbers.batch(batch_size, drop_remainder=True).map(plain(take)).prefetch(_PREFETCHED_BATCHES)
    return batches.with_options(_options(None, deterministic=True))


def batch_source(batches: Any, num_clones: int) -> Callable[[], dict[str, Any]]:
    """Return a function to call once for each clone: each call adds to the graph a take of the next batch.

    The iterator starts with the session, through the table initializers.

    Args:
      batches: a tf.data.Dataset of dictionaries.
      num_clones: how many calls there will be; as many batches more are kept ready, so that all clones start at once.
    """
    iterator = tf.data.make_initializable_iterator(batches.prefetch(num_clones) if num_clones > 1 else batches)
    tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
    return lambda: dict(iterator.get_next())


def _records_in_order(dataset: DatasetSpec) -> Any:
    return records_of.read(list(dataset.files), dataset)


def _shuffled_records(dataset: DatasetSpec, seed: int, num_readers: int, shard: tuple[int, int] | None) -> Any:
    """Serialized records without end: every epoch holds each once, in a new order."""
    num_files = len(dataset.files)
    bytes_per_record = sum(path_of(file).stat().st_size for file in dataset.files) / max(1, dataset.num_samples)
    buffer_size = int(min(dataset.num_samples, _SHUFFLE_BYTES / max(1.0, bytes_per_record))) or 1

    reader = records_of.FileReader(dataset)
    files = tf.data.Dataset.from_tensor_slices(list(dataset.files))
    by_file = shard is not None and num_files >= shard[0]
    if shard is not None:
        log.info(
            "Reader %d of %d takes its own part of the data: %s.",
            shard[1] + 1,
            shard[0],
            f"{len(dataset.files[shard[1] :: shard[0]])} of {num_files} files" if by_file else "by record",
        )
    if shard is not None and by_file:
        files = files.shard(*shard)
    # Readers hand over a few records at a time: one by one, waking each other costs more than reading.
    records = (
        reader.here(files.shuffle(num_files, seed=seed))
        .interleave(
            lambda file: reader.records(file).batch(_RECORDS_PER_READ),
            cycle_length=num_readers,
            num_parallel_calls=num_readers,
        )
        .unbatch()
    )
    if shard is not None and not by_file:
        records = records.shard(*shard)
    return records.shuffle(buffer_size, seed=seed).repeat()


def _mix(seed: int, shard_index: int) -> int:
    """Return a seed of its own for each reader; neighbouring seeds and readers do not meet."""
    return random.Random(f"{seed}/{shard_index}").randrange(2**31)


def _pad(values: Any, batch_size: int) -> Any:
    missing = tf.fill([batch_size - tf.shape(values)[0], *values.shape[1:].as_list()], tf.zeros([], values.dtype))
    return tf.ensure_shape(tf.concat([values, missing], axis=0), [batch_size, *values.shape[1:]])


def _images_at_once(threads: int | None) -> int:
    """Twice as many as threads, so that none waits while a batch is put together: about 5% faster."""
    return 2 * (threads or available_cpus())


def _options(threads: int | None, *, deterministic: bool) -> Any:
    options = tf.data.Options()
    options.deterministic = deterministic
    # The autotuning thread sleeps for up to a minute and sometimes misses that its input is closed: then so long does
    # closing the session take. Decoding is bound by processors, of which we know the number.
    options.autotune.enabled = False
    if threads:
        options.threading.private_threadpool_size = threads
    return options
