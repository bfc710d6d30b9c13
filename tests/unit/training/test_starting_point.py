"""Where the variables of a training come from."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from slim_train.errors import UsageError
from slim_train.tf_compat import tf
from slim_train.training import starting_point
from slim_train.training.job_graph import build_graph
from slim_train.training.train import run


def _plan(job):
    with tf.Graph().as_default():
        return starting_point.plan(job, build_graph(job))


def test_a_fresh_training_restores_nothing_and_a_fine_tuning_all_but_the_head(make_job, options, tmp_path):
    assert _plan(make_job()) is None
    trained = run(options())
    plan = _plan(
        make_job(
            train_dir=str(tmp_path / "tuned"), checkpoint_path=trained.checkpoint, checkpoint_exclude_scopes="auto"
        )
    )
    assert plan.checkpoint == trained.checkpoint
    assert not any(name.startswith("LeNet/fc4") for name in plan.restored)
    assert any(name.startswith("LeNet/fc3") for name in plan.restored)


def test_the_session_starts_with_the_restored_values(make_job, options, tmp_path):
    trained = run(options())
    job = make_job(train_dir=str(tmp_path / "tuned"), checkpoint_path=trained.checkpoint)
    with tf.Graph().as_default():
        graph = build_graph(job)
        scaffold = starting_point.scaffold(job, starting_point.plan(job, graph))
        variable = graph.model_variables[0]
        with tf.train.MonitoredSession(tf.train.ChiefSessionCreator(scaffold)) as session:
            found = session.run(variable)
    expected = tf.train.load_checkpoint(trained.checkpoint).get_tensor(variable.op.name)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.slow
def test_starting_over_from_a_checkpoint_of_the_same_folder_is_refused(make_job, options):
    trained = run(options())
    with pytest.raises(UsageError, match="--restart puts the checkpoints of"):
        _plan(make_job(restart=True, checkpoint_path=trained.checkpoint))


def test_starting_over_puts_the_old_training_aside(make_job, options):
    trained = run(options())
    job = make_job(restart=True)
    starting_point.start_folder(job)
    aside = Path(trained.folder) / "previous-1"
    assert (aside / f"{Path(trained.checkpoint).name}.index").is_file()
    assert (Path(trained.folder) / "config.yaml").is_file()
