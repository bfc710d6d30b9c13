"""Checkpoints in a folder that cannot be written for a while."""

from __future__ import annotations

import pytest

from datasets.storage import path_of
from slim_train.checkpoints import uploads
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


def test_a_store_that_fails_is_survived_and_gets_the_next_checkpoint(session, monkeypatch, caplog):
    pytest.importorskip("fsspec")
    folder = path_of("memory://saver/train")
    saver = PatientSaver(folder, retry_secs=45, max_to_keep=2)
    assert _save(saver, session, folder, 1) == "memory://saver/train/model.ckpt-1"

    def fail(source, target):
        raise OSError(5, "SlowDown", str(target))

    with monkeypatch.context() as patch:
        patch.setattr(uploads, "copy_file", fail)
        assert _save(saver, session, folder, 2) is None
        assert _save(saver, session, folder, 3) is None
    assert _save(saver, session, folder, 4) == "memory://saver/train/model.ckpt-4"
    assert latest_checkpoint(folder) == "memory://saver/train/model.ckpt-4"
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert said == [
        "Cannot save a checkpoint in memory://saver/train: SlowDown. Training goes on, and tries again for 45 seconds."
    ]
    saver.restore(session, "memory://saver/train/model.ckpt-1")


def test_a_failed_upload_asks_nothing_more_of_the_store_and_is_cleared_away_later(session, monkeypatch):
    pytest.importorskip("fsspec")
    folder = path_of("memory://saver/silent")
    saver = PatientSaver(folder, max_to_keep=2)
    _save(saver, session, folder, 1)

    def fail(source, target):
        if target.suffix == ".index":
            raise OSError(5, "no answer", str(target))
        target.write_copy_of(source)

    def asked(*_args):
        raise AssertionError("a store that does not answer is asked again")

    with monkeypatch.context() as patch:
        patch.setattr(uploads, "copy_file", fail)
        patch.setattr(savers, "is_complete", asked)
        patch.setattr(savers.unfinished, "remove_temporary_files", asked)
        assert _save(saver, session, folder, 2) is None
        assert not saver.is_retry_due
    assert (folder / "model.ckpt-2.data-00000-of-00001").exists()
    _save(saver, session, folder, 3)
    assert not (folder / "model.ckpt-2.data-00000-of-00001").exists()
    assert saved_checkpoints(folder) == [f"{folder}/model.ckpt-1", f"{folder}/model.ckpt-3"]
