"""What a training reads, by its options: the data set, the net that fits it, and the batches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datasets.factory import get_dataset
from datasets.spec import DatasetSpec
from deployment.cluster import ClusterConfig
from slim_train.errors import UsageError
from slim_train.inputs import pipeline
from slim_train.model.spec import ModelSpec, resolve_model
from slim_train.options import AugmentationOptions, TrainOptions
from slim_train.training.feature_cache import FeatureCache, FeatureSource


def open_dataset(options: TrainOptions) -> DatasetSpec:
    """The split to train on.

    Raises:
      DataError: it is not there, or not as it should be.
    """
    data = options.data
    assert data.dataset_dir, "the command requires it"
    return get_dataset(data.dataset_name, data.dataset_split_name, data.dataset_dir, flag="dataset_split_name")


def open_validation_set(options: TrainOptions, dataset: DatasetSpec) -> DatasetSpec | None:
    """The split that checkpoints are evaluated on during training; None where none is."""
    split_name = options.validation.eval_split_name
    return get_dataset(dataset.name, split_name, dataset.dataset_dir, flag="eval_split_name") if split_name else None


def choose_model(options: TrainOptions, dataset: DatasetSpec) -> ModelSpec:
    """The net for ``dataset``. Raises UsageError as :func:`slim_train.model.spec.resolve_model` does."""
    return resolve_model(
        options.model.model_name,
        dataset,
        num_classes=options.data.num_classes,
        labels_offset=options.data.labels_offset,
        image_size=options.model.train_image_size,
        channels=1 if options.model.use_grayscale else options.model.train_image_channels,
        preprocessing_name=options.model.preprocessing_name,
    )


def synthetic_batches(options: TrainOptions, model: ModelSpec) -> Any:
    """One batch of noise over and over, as tf.data.Dataset."""
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
        preprocessing=model.preprocessing,
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


def check_feature_cache(options: TrainOptions, cluster: ClusterConfig) -> None:
    """Check that what is asked for beside ``--cache_features`` goes with it.

    Raises:
      UsageError: it does not; the message names the flag.
    """
    if not options.restore.caches_features:
        return
    if cluster.strategy != "local" or options.cluster.master:
        raise UsageError(
            "--cache_features trains on one machine, and this is a cluster: the head alone learns fastest without one."
        )
    if options.data.use_synthetic_data:
        raise UsageError("--cache_features has no use for --use_synthetic_data: leave one of them out.")
    augment = options.augment
    for name in ("mixup_alpha", "cutmix_alpha"):
        if getattr(augment, name):
            raise UsageError(
                f"--{name}={getattr(augment, name)} mixes other images in every step, and --cache_features keeps those "
                "of single images: leave one of them out."
            )
    if options.restore.cached_augmentations:
        return
    for name, undistorted in (("augmentation", ("recipe", "none")), ("random_erasing", (0.0,))):
        if getattr(augment, name) not in undistorted:
            raise UsageError(
                f"--{name}={getattr(augment, name)} distorts images, and --cache_features keeps features of each as "
                "evaluation sees it. --cached_augmentations=8 would keep those of 8 distorted variants."
            )


def feature_cache(options: TrainOptions, dataset: DatasetSpec, model: ModelSpec, precision: str) -> FeatureCache | None:
    """The cache that ``--cache_features`` asks for, computed in ``precision``; None without that flag."""
    if not options.restore.caches_features:
        return None
    source = FeatureSource(
        dataset,
        model,
        precision,
        num_variants=options.restore.cached_augmentations,
        augmentation=options.augment if options.restore.cached_augmentations else AugmentationOptions(),
        seed=options.loop.seed or 0,
        num_preprocessing_threads=options.data.num_preprocessing_threads,
    )
    folder = options.restore.feature_cache_dir or Path(options.loop.train_dir) / "feature_cache"
    return FeatureCache(source, Path(folder))
