"""tf.data input: TFRecord files to batches for training and evaluation."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets import tfrecords
from datasets.errors import DataError
from datasets.spec import DatasetSpec
from slim_train.errors import RunError
from slim_train.preprocessing.factory import get_recipe
from slim_train.tf_compat import tf

log = logging.getLogger(__name__)

SHUFFLE_BYTES = 256 * 2**20


def training_batches(
    dataset: DatasetSpec,
    *,
    batch_size: int,
    image_size: int,
    channels: int,
    preprocessing: str,
    num_classes: int,
    labels_offset: int = 0,
    seed: int | None = None,
    num_readers: int = 4,
    num_preprocessing_threads: int | None = None,
    shard_index: int = 0,
    num_shards: int = 1,
    shard: bool = False,
    prefetch: int = 4,
) -> Any:
    recipe = get_recipe(preprocessing)
    threads = num_preprocessing_threads or tf.data.AUTOTUNE
    base_seed = random.randrange(2**31) if seed is None else seed
    base_seed += shard_index

    files = tf.data.Dataset.from_tensor_slices(list(dataset.files)).shuffle(len(dataset.files), seed=base_seed)
    records = files.interleave(lambda file: tf.data.TFRecordDataset(file, buffer_size=2**20), cycle_length=num_readers)
    records = records.shuffle(dataset.num_samples, seed=base_seed).repeat()

    def parse(serialized: Any) -> Any:
        parsed = _parse(serialized, num_classes, labels_offset)
        return parsed["image/encoded"], parsed["label"]

    def decode(index: Any, example: Any) -> Any:
        encoded, label = example
        image = recipe.decode_train(encoded, image_size, image_size, channels, tf.stack([base_seed, index]))
        return image, label

    def finish(index: Any, batch: Any) -> Any:
        images, labels = batch
        return {"image": recipe.batch_train(images, tf.stack([base_seed, index])), "label": labels}

    batches = (
        records.batch(batch_size, drop_remainder=True)
        .map(parse)
        .unbatch()
        .enumerate()
        .map(decode, num_parallel_calls=threads)
        .batch(batch_size, drop_remainder=True)
        .enumerate()
        .map(finish)
        .prefetch(prefetch)
    )
    return batches.with_options(_options(num_preprocessing_threads, deterministic=seed is not None))


def evaluation_batches(
    dataset: DatasetSpec,
    *,
    batch_size: int,
    image_size: int,
    channels: int,
    preprocessing: str,
    num_classes: int,
    labels_offset: int = 0,
    num_preprocessing_threads: int | None = None,
) -> Any:
    recipe = get_recipe(preprocessing)
    threads = num_preprocessing_threads or tf.data.AUTOTUNE

    def parse(serialized: Any) -> Any:
        parsed = _parse(serialized, num_classes, labels_offset)
        return {"encoded": parsed["image/encoded"], "label": parsed["label"], "filename": parsed["image/filename"]}

    def decode(example: Any) -> Any:
        image = recipe.decode_eval(example["encoded"], image_size, image_size, channels)
        return {**example, "image": image, "mask": True}

    def pad(batch: Any) -> Any:
        batch["image"] = recipe.batch_eval(batch["image"])

        def full(values: Any) -> Any:
            missing = batch_size - tf.shape(values)[0]
            padded = (
                tf.pad(values, [[0, missing]] + [[0, 0]] * (values.shape.rank - 1))
                if values.dtype != tf.string
                else tf.concat([values, tf.fill([missing], "")], 0)
            )
            return tf.ensure_shape(padded, [batch_size, *values.shape[1:]])

        return {name: full(values) for name, values in batch.items()}

    batches = (
        tf.data.TFRecordDataset(list(dataset.files))
        .batch(batch_size)
        .map(parse)
        .unbatch()
        .map(decode, num_parallel_calls=threads)
        .batch(batch_size)
        .map(pad)
        .prefetch(2)
    )
    return batches.with_options(_options(num_preprocessing_threads, deterministic=True))


def batch_source(batches: Any, num_clones: int) -> Callable[[], dict[str, Any]]:
    """A function that gives the next batch as tensors: each call in the graph, one for each clone, takes its own."""
    del num_clones
    iterator = tf.data.make_initializable_iterator(batches)
    tf.add_to_collection(tf.GraphKeys.TABLE_INITIALIZERS, iterator.initializer)
    return lambda: dict(iterator.get_next())


def explain_input_error(error: Exception, dataset: DatasetSpec) -> RunError | None:
    """The file and byte offset of the record that broke the input; None when ``error`` has another cause."""
    if isinstance(error, tf.errors.DataLossError):
        try:
            for file in dataset.files:
                for _ in tfrecords.scan_records(file):
                    pass
        except DataError as damage:
            return RunError(str(damage))
    return None


def _parse(serialized: Any, num_classes: int, labels_offset: int) -> dict[str, Any]:
    parsed = tf.io.parse_example(serialized, tfrecords.feature_spec())
    labels = parsed["image/class/label"] - labels_offset
    ok = tf.reduce_all((labels >= 0) & (labels < num_classes))
    check = tf.debugging.Assert(ok, ["labels out of range", labels, parsed["image/filename"]])
    with tf.control_dependencies([check]):
        parsed["label"] = tf.identity(labels)
    return parsed


def _options(threads: int | None, deterministic: bool) -> Any:
    options = tf.data.Options()
    options.deterministic = deterministic
    if threads:
        options.threading.private_threadpool_size = threads
    return options
