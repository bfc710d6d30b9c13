"""Which hooks a task runs."""

from __future__ import annotations

import contextlib
import re
import shutil
import threading

import pytest

from datasets.storage import path_of
from slim_train.checkpoints import training_folder
from slim_train.errors import RunError, UsageError
from slim_train.tf_compat import tf
from slim_train.training import saver as savers
from slim_train.training import starting_point
from slim_train.training.hooks.accumulation import AccumulateGradients
from slim_train.training.hooks.of_task import hooks_of_task
from slim_train.training.hooks.plateau import PlateauHook
from slim_train.training.hooks.profile import Profile
from slim_train.training.hooks.step_metrics import StepMetrics
from slim_train.training.hooks.stopping import StopAtStep, StopOnSignal
from slim_train.training.hooks.validation import ValidationHook
from slim_train.training.job_graph import build_graph
from slim_train.training.lease import Lease


def _kinds(job):
    with tf.Graph().as_default():
        graph = build_graph(job)
        scaffold = starting_point.scaffold(job, None)
        with hooks_of_task(job, graph, scaffold, None, StopOnSignal()) as beside:
            return [type(hook) for hook in beside.hooks]


def test_a_plain_training_measures_saves_and_stops(make_job):
    kinds = _kinds(make_job())
    assert kinds[0] is StepMetrics
    assert {StopAtStep, PlateauHook, tf.train.CheckpointSaverHook, tf.train.SummarySaverHook} <= set(kinds)
    assert not {ValidationHook, Profile, AccumulateGradients} & set(kinds)


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        ({"eval_split_name": "test"}, ValidationHook),
        ({"profile_steps": "1,2"}, Profile),
        ({"gradient_accumulation_steps": 2}, AccumulateGradients),
    ],
)
def test_a_flag_adds_its_hook(make_job, flags, kind):
    assert kind in _kinds(make_job(**flags))


def test_noise_has_no_plateau(make_job):
    assert PlateauHook not in _kinds(make_job(use_synthetic_data=True))


def test_the_plateau_of_a_constant_answer_is_known_of_the_cross_entropy_only(make_job):
    assert PlateauHook not in _kinds(make_job(loss="focal"))


def test_what_a_hook_holds_is_released_when_a_later_one_cannot_be_made(make_job, tmp_path):
    (tmp_path / "trained" / "best").mkdir(parents=True)
    (tmp_path / "trained" / "best" / "best.json").write_text("{")
    with pytest.raises(UsageError, match="best.json is broken"):
        _kinds(make_job(eval_split_name="test"))


def test_what_a_replaced_chief_has_measured_stays_out_of_the_folder(make_job, caplog):
    pytest.importorskip("fsspec")
    folder = path_of("memory://of_task/replaced")
    job, own = make_job(train_dir=str(folder), eval_split_name="test"), Lease(folder, "chief")
    with tf.Graph().as_default():
        graph = build_graph(job)
        scaffold = starting_point.scaffold(job, None, own)
        own.take()
        with hooks_of_task(job, graph, scaffold, None, StopOnSignal()) as beside:
            Lease(folder, "chief").take()
            (validation,) = [hook for hook in beside.hooks if isinstance(hook, ValidationHook)]
            validation._file.add({"step": 1})
            with pytest.raises(RunError, match="another chief"):
                validation.best._check_lead()
    assert scaffold.saver.secs_at_end == 0
    assert training_folder.read_metrics(folder) == []
    for kept in re.findall(r"kept in (\S+):", caplog.text):
        shutil.rmtree(kept)


def _end_with(upload, job, error=None):
    """End a training, with an error if one is given, while the best checkpoint is uploaded; return its saver."""
    with tf.Graph().as_default():
        graph = build_graph(job)
        scaffold = starting_point.scaffold(job, None)
        raised = pytest.raises(error) if error else contextlib.nullcontext()
        with raised, hooks_of_task(job, graph, scaffold, None, StopOnSignal()) as beside:
            (validation,) = [hook for hook in beside.hooks if isinstance(hook, ValidationHook)]
            validation.best._uploads.put(upload)
            if error:
                raise error
    return scaffold.saver


def test_an_interrupted_training_waits_for_no_upload(make_job, caplog):
    pytest.importorskip("fsspec")
    answers, waited = threading.Event(), []

    def silent():
        if not answers.wait(20):
            waited.append("for the store")

    job = make_job(train_dir="memory://of_task/interrupted", eval_split_name="test")
    saver = _end_with(silent, job, KeyboardInterrupt)
    assert not waited
    answers.set()
    assert saver.secs_at_end == 0
    shutil.rmtree(*re.findall(r"kept in (\S+):", caplog.text))


def test_who_gives_up_leaves_no_time_for_the_next_upload(make_job, caplog, monkeypatch):
    pytest.importorskip("fsspec")
    monkeypatch.setattr(savers, "_SECS_AT_END", 0)

    def fail():
        raise OSError(5, "away")

    saver = _end_with(fail, make_job(train_dir="memory://of_task/away", eval_split_name="test"))
    assert saver.secs_at_end == 0
    assert "away: the command ends without waiting for the store. Events since" in caplog.text
    shutil.rmtree(*re.findall(r"kept in (\S+):", caplog.text))
