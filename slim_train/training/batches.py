"""The batches that a training reads, by its options."""

from __future__ import annotations

from typing import Any

from datasets.spec import DatasetSpec
from slim_train.inputs import pipeline
from slim_train.model.spec import ModelSpec
from slim_train.training_options import TrainOptions


def synthetic_batches(options: TrainOptions, model: ModelSpec) -> Any:
    """Return one batch of noise over and over, as tf.data.Dataset."""
    return pipeline.synthetic_batches(
        batch_size=options.data.batch_size,
        image_size=model.image_size,
        channels=model.channels,
        num_classes=model.num_classes,
    )


def batches(
    options: TrainOptions, dataset: DatasetSpec, model: ModelSpec, replica_id: int = 0, num_replicas: int = 1
) -> Any:
    """Training batches without end, as tf.data.Dataset; each of several replicas has an order of its own."""
    return pipeline.training_batches(
        dataset,
        batch_size=options.data.batch_size,
        image_size=model.image_size,
        channels=model.channels,
        preprocessing=model.recipe,
        num_classes=model.num_classes,
        labels_offset=model.labels_offset,
        augmentation=options.augment,
        seed=options.loop.seed,
        num_readers=options.data.num_readers,
        num_preprocessing_threads=options.data.num_preprocessing_threads,
        shard_index=replica_id,
        num_shards=num_replicas,
        shard=options.data.shard_data,
    )
