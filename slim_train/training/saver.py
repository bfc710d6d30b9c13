"""Checkpoints in a folder that cannot be written for a while: its disk is full, or its file system read-only."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
from pathlib import Path
from typing import Any

from datasets.storage import opens_in_tensorflow, path_of
from deployment import servers, task_status
from slim_train.checkpoints import copies, unfinished
from slim_train.checkpoints.find import is_complete
from slim_train.checkpoints.uploads import UploadedCheckpoints
from slim_train.errors import RunError
from slim_train.tf_compat import tf
from slim_train.training.sessions import CONNECTION_ERRORS

log = logging.getLogger(__name__)

_RETRY_SECS = 15.0
_SAVING = ("SaveV2", "MergeV2Checkpoints")


class PatientSaver(tf.train.Saver):
    """A saver that survives failures to write, says so once, and leaves no half-written files behind.

    The first checkpoint of a process must succeed: a folder that cannot be written at the start is a mistake.

    Args:
      folder: the training folder. Checkpoints go up as a whole if TensorFlow cannot write there.
      retry_secs: how long failures are survived.
      **kwargs: those of ``tf.train.Saver``.
    """

    def __init__(self, folder: Path, retry_secs: float = 600.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._uploads = (
            None if opens_in_tensorflow(folder) else UploadedCheckpoints(folder, kwargs.get("max_to_keep", 5))
        )
        self._has_saved = False
        self._failing_since: float | None = None
        self._tried_at = self._retry_at = 0.0
        self._retry_secs = self._patience_secs = retry_secs

    @property
    def is_behind(self) -> bool:
        """Whether the last checkpoint could not be saved."""
        return self._failing_since is not None

    @property
    def is_retry_due(self) -> bool:
        """Whether to try again now."""
        return self.is_behind and time.monotonic() > self._retry_at

    def lose_patience(self) -> None:
        """From now on a failure is final."""
        self._patience_secs = -1.0

    def save(self, sess: Any, save_path: str, global_step: Any = None, **kwargs: Any) -> Any:
        """Save a checkpoint and return its prefix; None if it could not be written.

        Args:
          sess: the session.
          save_path: prefix without the step.
          global_step: step that is appended to the prefix, an int.
          **kwargs: those of the base class.

        Raises:
          RunError: it was the first, or none could be written for ``retry_secs``.
        """
        self._tried_at = time.monotonic()
        if self._uploads:
            save_path = str(self._uploads.folder / path_of(save_path).name)
        prefix = f"{save_path}-{global_step}"
        try:
            with task_status.during("saving"):
                saved = self.write(sess, save_path, global_step=global_step, **kwargs)
        except (tf.errors.OpError, OSError) as error:
            reason = _why_not_written(error)
            if reason is None:
                raise
            self._fail(prefix, reason)
            return None
        if self.is_behind:
            if self._uploads:
                unfinished.remove_parts_without_index(_folder(prefix))
            else:
                unfinished.remove_temporary_files(_folder(prefix))
            log.info("Checkpoints can be saved again: %s.", saved)
        self._has_saved, self._failing_since = True, None
        return saved

    def write(self, sess: Any, save_path: str, **kwargs: Any) -> Any:
        """Write a checkpoint as the base class does, and fail with TensorFlow's error, or an OSError."""
        if self._uploads:
            return self._upload(sess, save_path, self._uploads, **kwargs)
        try:
            return super().save(sess, save_path, **kwargs)
        except ValueError as error:
            if _folder(save_path).is_dir():
                raise
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(_folder(save_path))) from error

    def restore(self, sess: Any, save_path: str) -> None:
        """See the base class."""
        with copies.opened(save_path) as here:
            super().restore(sess, here)

    def recover_last_checkpoints(self, checkpoint_paths: Any) -> None:
        """See the base class."""
        if self._uploads:
            self._uploads.recover(checkpoint_paths)
        else:
            super().recover_last_checkpoints(checkpoint_paths)

    def _upload(
        self,
        sess: Any,
        save_path: str,
        uploads: UploadedCheckpoints,
        global_step: int,
        write_state: bool = True,
        **kwargs: Any,
    ) -> str:
        name = f"{path_of(save_path).name}-{global_step}"
        with uploads.saving(name) as here:
            super().save(sess, str(here), write_state=False, **kwargs)
        saved = str(uploads.folder / name)
        if write_state:
            uploads.make_latest(saved)
        return saved

    def _fail(self, prefix: str, reason: str) -> None:
        if not self._uploads:  # else when the store answers again: each request to it may take a minute
            with contextlib.suppress(OSError):
                unfinished.remove_temporary_files(_folder(prefix))
                if not is_complete(prefix):
                    unfinished.remove_parts(prefix)
        now = time.monotonic()
        self._retry_at = now + max(_RETRY_SECS, now - self._tried_at)  # at least half of the time is for training
        cannot = f"Cannot save a checkpoint in {_folder(prefix)}: {reason}"
        if not self._has_saved or self._is_out_of_patience():
            gave_up = f" Gave up after --save_retry_secs={self._retry_secs:g}." if self.is_behind else ""
            raise RunError(
                f"{cannot}.{gave_up} Start again when the folder can be written; training resumes from the last "
                "checkpoint."
            )
        if not self.is_behind:
            log.warning("%s. Training goes on, and tries again for %s.", cannot, _minutes(self._retry_secs))
            self._failing_since = self._tried_at

    def _is_out_of_patience(self) -> bool:
        since = self._tried_at if self._failing_since is None else self._failing_since
        return self._tried_at - since >= self._patience_secs


def _why_not_written(error: Any) -> str | None:
    """Return what a file system said; None if the error is about something else, such as a lost connection."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    op = getattr(error, "op", None)
    # Errors from Python's file functions have no op, and neither have lost connections.
    is_of_files = op.type in _SAVING if op is not None else not isinstance(error, CONNECTION_ERRORS)
    return servers.reason(error).rpartition("; ")[2] if is_of_files else None


def _minutes(secs: float) -> str:
    return f"{secs / 60:g} minutes" if secs >= 60 else f"{secs:g} seconds"


def _folder(prefix: str) -> Path:
    return path_of(prefix).parent
