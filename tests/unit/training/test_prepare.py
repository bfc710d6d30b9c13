"""From options to a job."""

from __future__ import annotations

import json
import math
import socket

import pytest

from deployment.cluster import parse_tf_config
from slim_train.errors import UsageError
from slim_train.training.prepare import prepare
from slim_train.training.train import run


def test_what_was_not_said_is_filled_in_from_data_and_net(make_job, dataset_dir):
    job = make_job(num_epochs=3, max_number_of_steps=None)
    assert (job.dataset.num_samples, job.dataset.labels) == (14, ("dark", "light"))
    assert (job.model.num_classes, job.model.image_size, job.model.channels) == (2, 28, 1)
    assert job.schedule.last_step == math.ceil(3 * 14 / 4)
    assert (job.resumed, job.is_over, job.validation_set) == (None, False, None)


def test_a_folder_with_a_checkpoint_is_resumed_and_started_over_only_when_told(options):
    run(options())
    cluster = parse_tf_config(None)
    resumed = prepare(options(max_number_of_steps=4), cluster)
    assert (resumed.resumed is not None, resumed.is_over) == (True, False)
    assert prepare(options(), cluster).is_over
    assert prepare(options(restart=True), cluster).resumed is None


def test_stopping_early_without_evaluations_is_refused(make_job):
    with pytest.raises(UsageError, match="--early_stopping_patience=3 needs evaluations"):
        make_job(early_stopping_patience=3)


def test_a_job_that_is_refused_takes_no_port(options):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    tasks = {"ps": ["127.0.0.1:1"], "worker": [f"127.0.0.1:{port}"]}
    cluster = parse_tf_config(json.dumps({"cluster": tasks, "task": {"type": "worker", "index": 0}}))
    with pytest.raises(UsageError, match="num_classes=1"):
        prepare(options(num_classes=1), cluster)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", port))
