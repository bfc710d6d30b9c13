"""A training run of one task."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from datasets.spec import DatasetSpec
from deployment.cluster import parse_tf_config
from deployment.devices import DeploymentConfig
from slim_train import config
from slim_train.errors import UsageError
from slim_train.model.spec import resolve_model
from slim_train.optim.schedule import Schedule
from slim_train.training.job import Job
from slim_train.training_options import TrainOptions

COMPLETE = {"cluster": {"chief": ["a:1"], "ps": ["b:1"], "worker": ["c:1", "d:1"]}}
SPARSE = {"cluster": {"ps": ["b:1"], "worker": {"1": "d:1"}}}


def _job(tf_config=COMPLETE, task=("worker", 1), class_counts=(30, 10), resumed=None, **flags):
    dataset = DatasetSpec("pets", "train", "data/pets", (), 2, 40, ("cat", "dog"), class_counts=class_counts)
    cluster = parse_tf_config(json.dumps({**tf_config, "task": {"type": task[0], "index": task[1]}}))
    options = config.with_values(TrainOptions(), {"model_name": "lenet", **flags})
    return Job(
        options=options,
        cluster=cluster,
        deployment=DeploymentConfig(clone_on_cpu=True),
        dataset=dataset,
        validation_set=None,
        model=resolve_model("lenet", dataset),
        schedule=Schedule(num_samples=40, batch_size=10, max_number_of_steps=5),
        session_config=None,
        master="",
        resumed=resumed,
    )


def test_the_chief_leads_and_restores_and_workers_do_not():
    chief, worker = _job(task=("chief", 0)), _job()
    assert (chief.is_chief, chief.restores) == (True, True)
    assert (worker.is_chief, worker.restores) == (False, False)
    assert _job(dry_run=True).restores


def test_momentum_is_not_corrected_for_workers_whose_number_is_unknown():
    assert _job().optimizer_options.correct_async_momentum
    assert not _job(SPARSE).optimizer_options.correct_async_momentum
    assert _job(SPARSE).options.optimizer.correct_async_momentum  # what config.yaml records


def test_auto_scopes_are_those_of_the_head():
    assert _job(trainable_scopes="auto").trainable_scopes == _job().head_scopes
    assert list(_job().trainable_scopes) == []


def test_class_weights_are_balanced_by_the_images_of_each_class():
    assert _job().class_weights is None
    assert _job(class_weights="balanced").class_weights == pytest.approx([40 / 60, 2.0])
    with pytest.raises(UsageError, match="--class_weights=balanced"):
        _ = _job(class_weights="balanced", class_counts=None).class_weights


def test_what_depends_on_net_and_data_is_filled_in():
    data = _job().resolved_options()
    assert data.data.num_classes == 2
    assert data.data.dataset_dir == str(Path("data/pets").absolute())
    assert (data.model.train_image_size, data.model.train_image_channels) == (28, 1)
    assert data.model.preprocessing_name == "lenet"
