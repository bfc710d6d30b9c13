"""Event files in a folder that cannot be written."""

from __future__ import annotations

import resource
import threading

from deployment import tf_private
from slim_train.tf_compat import tf
from slim_train.training import event_files
from slim_train.training.hooks.scalars import add_scalars


def _add(folder):
    add_scalars(folder, 1, {"loss": 1.0})
    tf.summary.FileWriterCache.get(folder).flush()


def test_events_that_cannot_be_written_are_said_once_and_stop_nothing(tmp_path, caplog, monkeypatch, capfd):
    monkeypatch.setattr(event_files, "_REOPEN_SECS", 0.0)
    hook, folder = threading.excepthook, str(tmp_path)
    with tf.Graph().as_default(), event_files.patient([folder]):
        _add(folder)
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, limits[1]))
        try:
            for _ in range(3):
                _add(folder)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        _add(folder)
    tf_private.close_event_writer(folder)
    assert threading.excepthook is hook
    [said] = [record.getMessage() for record in caplog.records if record.name == "slim_train.training.event_files"]
    assert said == f"Events for TensorBoard are missing from {folder}: File too large."
    assert "Traceback" not in capfd.readouterr().err
