"""Checkpoints in a folder that cannot be written for a while."""

from __future__ import annotations

import re
import shutil
import threading
import time

import pytest

from datasets.storage import path_of
from slim_train.checkpoints import newest_upload, uploads
from slim_train.checkpoints.find import latest_checkpoint, saved_checkpoints
from slim_train.errors import RunError
from slim_train.tf_compat import tf
from slim_train.training import saver as savers
from slim_train.training.saver import PatientSaver


@pytest.fixture
def session():
    with tf.Graph().as_default():
        tf.get_variable("weight", [], initializer=tf.ones_initializer())
        init = tf.global_variables_initializer()
        with tf.Session() as session:
            session.run(init)
            yield session


def _save(saver, session, folder, step):
    return saver.save(session, str(folder / "model.ckpt"), global_step=step)


def test_after_a_failure_training_goes_on_and_says_so_once(session, tmp_path, caplog):
    folder, saver = tmp_path / "train", PatientSaver(tmp_path / "train")
    folder.mkdir()
    assert _save(saver, session, folder, 1) == str(folder / "model.ckpt-1")
    folder.rename(tmp_path / "away")
    folder.touch()
    assert _save(saver, session, folder, 2) is None
    assert _save(saver, session, folder, 3) is None
    assert saver.is_behind
    folder.unlink()
    (tmp_path / "away").rename(folder)
    assert _save(saver, session, folder, 4) == str(folder / "model.ckpt-4")
    assert not saver.is_behind
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == [
        f"Cannot save a checkpoint in {folder}: Not a directory. Training goes on, and tries again for 10 minutes.",
    ]
    assert saved_checkpoints(folder) == [str(folder / "model.ckpt-1"), str(folder / "model.ckpt-4")]


def test_the_first_checkpoint_must_succeed(session, tmp_path):
    (tmp_path / "train").touch()
    with pytest.raises(RunError, match=r"Cannot save a checkpoint in .*/train: Not a directory\. Start again"):
        _save(PatientSaver(tmp_path), session, tmp_path / "train", 1)


def test_without_patience_a_failure_is_final(session, tmp_path):
    folder, saver = tmp_path / "train", PatientSaver(tmp_path / "train")
    folder.mkdir()
    _save(saver, session, folder, 1)
    folder.rename(tmp_path / "away")
    folder.touch()
    assert _save(saver, session, folder, 2) is None
    saver.lose_patience()
    with pytest.raises(RunError, match="Cannot save a checkpoint"):
        _save(saver, session, folder, 3)


def test_a_lost_connection_is_another_error(session, tmp_path, monkeypatch):
    saver = PatientSaver(tmp_path)

    def lose(*_args, **_kwargs):
        raise tf.errors.UnavailableError(None, None, "Socket closed")

    monkeypatch.setattr(saver, "write", lose)
    with pytest.raises(tf.errors.UnavailableError):
        _save(saver, session, tmp_path, 1)


def test_no_time_to_try_again_means_that_the_first_failure_is_final(session, tmp_path):
    folder, saver = tmp_path / "train", PatientSaver(tmp_path / "train", retry_secs=0)
    folder.mkdir()
    _save(saver, session, folder, 1)
    folder.rename(tmp_path / "away")
    folder.touch()
    with pytest.raises(RunError, match="Cannot save a checkpoint"):
        _save(saver, session, folder, 2)


def _is_over(condition):
    ends_at = time.monotonic() + 20
    while not condition() and time.monotonic() < ends_at:
        time.sleep(0.01)
    assert condition()


@pytest.fixture
def away(monkeypatch):
    """While it is set, uploads fail."""
    away, copy = threading.Event(), uploads.copy_file

    def fail(source, target):
        if away.is_set():
            raise OSError(5, "SlowDown", str(target))
        copy(source, target)

    monkeypatch.setattr(uploads, "copy_file", fail)
    monkeypatch.setattr(newest_upload, "_RETRY_SECS", 0.01)
    return away


def _warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]


def test_a_store_that_fails_is_survived_and_gets_the_newest_checkpoint(session, away, caplog):
    pytest.importorskip("fsspec")
    folder = path_of("memory://saver/train")
    saver = PatientSaver(folder, retry_secs=45, max_to_keep=2)
    assert _save(saver, session, folder, 1) == "memory://saver/train/model.ckpt-1"
    saver.poll()
    away.set()
    for step in (2, 3, 4):
        assert _save(saver, session, folder, step) == f"memory://saver/train/model.ckpt-{step}"
        _is_over(lambda: saver._uploads.later.failure)
        saver.poll()
    assert not saver.is_behind
    away.clear()
    with caplog.at_level("INFO"):
        saver.finish()
    assert latest_checkpoint(folder) == "memory://saver/train/model.ckpt-4"
    assert _warnings(caplog) == [
        "Cannot save a checkpoint in memory://saver/train: SlowDown. Training goes on, and tries again for 45 seconds."
    ]
    assert "Checkpoints can be saved again in memory://saver/train." in caplog.text
    saver.restore(session, "memory://saver/train/model.ckpt-1")
    saver.close()


def test_the_first_checkpoint_must_be_uploaded(session, away):
    pytest.importorskip("fsspec")
    folder = path_of("memory://saver/first")
    away.set()
    with pytest.raises(RunError, match=r"Cannot save a checkpoint in memory://saver/first: SlowDown\. Start again"):
        _save(PatientSaver(folder), session, folder, 1)


def test_uploads_that_fail_for_too_long_are_given_up(session, away):
    pytest.importorskip("fsspec")
    folder = path_of("memory://saver/long")
    saver = PatientSaver(folder, retry_secs=0.1)
    _save(saver, session, folder, 1)
    away.set()
    _save(saver, session, folder, 2)

    said = []

    def gives_up():
        try:
            saver.poll()
        except RunError as error:
            said.append(str(error))
        return said

    _is_over(gives_up)
    assert "SlowDown. Gave up after --save_retry_secs=0.1. Start again" in said[0]
    (kept,) = re.findall(r"A newer one is kept in (\S+): copy its files", said[0])
    assert latest_checkpoint(kept) == f"{kept}/model.ckpt-2"
    shutil.rmtree(kept)
    assert saver.secs_at_end == 0
    saver.close()


def test_the_end_of_the_training_waits_less_long(session, away, monkeypatch):
    pytest.importorskip("fsspec")
    monkeypatch.setattr(savers, "_SECS_AT_END", 0.5)
    folder = path_of("memory://saver/end")
    saver = PatientSaver(folder)
    _save(saver, session, folder, 1)
    away.set()
    _save(saver, session, folder, 2)
    with pytest.raises(RunError, match=r"SlowDown\. Gave up 0\.5 seconds after the last step\.") as caught:
        saver.finish()
    saver.close()
    shutil.rmtree(re.findall(r"kept in (\S+):", str(caught.value))[0])


def test_a_training_that_failed_waits_for_the_upload_of_its_last_checkpoint(session, away, monkeypatch, caplog):
    pytest.importorskip("fsspec")
    monkeypatch.setattr(savers, "_SECS_AT_END", 0.1)
    for name in ("uploaded", "missing"):
        folder = path_of(f"memory://saver/{name}")
        saver = PatientSaver(folder)
        _save(saver, session, folder, 1)
        if name == "missing":
            away.set()
        _save(saver, session, folder, 2)
        saver.close()
    assert latest_checkpoint("memory://saver/uploaded") == "memory://saver/uploaded/model.ckpt-2"
    (said,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert said.startswith("The last checkpoint could not be uploaded to memory://saver/missing. A newer one is kept")
    shutil.rmtree(re.findall(r"kept in (\S+):", said)[0])


def test_an_upload_that_takes_long_is_said_once(session, monkeypatch, caplog):
    pytest.importorskip("fsspec")
    monkeypatch.setattr(savers, "_LONG_WAIT_SECS", 0)
    folder, answers, copy = path_of("memory://saver/slow"), threading.Event(), uploads.copy_file
    saver = PatientSaver(folder)
    _save(saver, session, folder, 1)

    def wait(source, target):
        assert answers.wait(20)
        copy(source, target)

    monkeypatch.setattr(uploads, "copy_file", wait)
    for step in (2, 3, 4):
        _save(saver, session, folder, step)
        saver.poll()
    answers.set()
    saver.finish()
    (said,) = _warnings(caplog)
    assert said.startswith(
        "A checkpoint has waited a minute for the upload of the one before it to memory://saver/slow."
    )


def test_all_that_ends_shares_the_time_until_something_is_given_up(session, away, caplog):
    pytest.importorskip("fsspec")
    folder = path_of("memory://saver/shared")
    saver = PatientSaver(folder)
    first = saver.secs_at_end
    assert 0 < saver.secs_at_end < first
    _save(saver, session, folder, 1)
    away.set()
    _save(saver, session, folder, 2)
    saver.stop_waiting()
    assert saver.secs_at_end == 0
    saver.close()
    shutil.rmtree(re.findall(r"kept in (\S+):", caplog.text)[0])


def test_when_the_time_is_over_there_is_still_some_for_a_store_that_answers(session, monkeypatch):
    monkeypatch.setattr(savers, "_SECS_AT_END", 0)
    assert PatientSaver(path_of("ram://saver/over")).secs_at_end > 0
