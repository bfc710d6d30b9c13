"""--cache_features and the flags beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from deployment.cluster import parse_tf_config
from slim_train.errors import UsageError
from slim_train.training import cached_features

ALONE = parse_tf_config(None)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"use_synthetic_data": True}, "--use_synthetic_data cannot be combined"),
        ({"mixup_alpha": 0.2}, "--mixup_alpha=0.2 mixes"),
        ({"cutmix_alpha": 1.0}, "--cutmix_alpha=1.0 mixes"),
        ({"random_erasing": 0.25}, "--random_erasing=0.25 distorts"),
        ({"augmentation": "faces"}, "--augmentation=faces distorts"),
        ({"master": "grpc://a:1"}, "this is a cluster"),
    ],
)
def test_what_does_not_go_with_it_is_named(options, flags, words):
    with pytest.raises(UsageError, match=words):
        cached_features.check_options(options(cache_features=True, **flags), ALONE)
    cached_features.check_options(options(**flags), ALONE)


def test_distorted_variants_may_be_cached(options):
    flags = {"augmentation": "faces", "random_erasing": 0.25}
    cached_features.check_options(options(cached_augmentations=8, **flags), ALONE)


def test_the_cache_is_in_the_training_folder_unless_another_is_named(make_job, tmp_path):
    job = make_job()
    assert cached_features.make_cache(job.options, job.dataset, job.model, "fp32") is None
    for flags, folder in (({}, tmp_path / "trained/feature_cache"), ({"feature_cache_dir": str(tmp_path)}, tmp_path)):
        asked = make_job(cache_features=True, trainable_scopes="auto", **flags)
        assert Path(str(folder)) in _paths(asked.cache)


def _paths(cache):
    return [value for value in vars(cache).values() if isinstance(value, Path)]
