"""``--cache_features``: whether other flags go with it, and the cache that it asks for."""

from __future__ import annotations

from pathlib import Path

from datasets.spec import DatasetSpec
from datasets.storage import path_of
from deployment.cluster import ClusterConfig
from slim_train.errors import UsageError
from slim_train.model.spec import ModelSpec
from slim_train.training.feature_cache import FeatureCache, FeatureSource
from slim_train.training_options import AugmentationOptions, TrainOptions


def check_options(options: TrainOptions, cluster: ClusterConfig) -> None:
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
        raise UsageError("--cache_features and --use_synthetic_data cannot be combined.")
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


def make_cache(options: TrainOptions, dataset: DatasetSpec, model: ModelSpec, precision: str) -> FeatureCache | None:
    """Return the cache that ``--cache_features`` asks for, computed in ``precision``; None without that flag."""
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
    return FeatureCache(source, _folder(options))


def _folder(options: TrainOptions) -> Path:
    given = options.restore.feature_cache_dir
    return path_of(given) if given else path_of(options.loop.train_dir) / "feature_cache"
