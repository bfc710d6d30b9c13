"""Checkpoints in a folder that cannot be written for a while: its disk is full, or its file system read-only."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets.storage import is_url, path_of
from deployment import servers, task_status
from slim_train.checkpoints import copies, unfinished
from slim_train.checkpoints.find import is_complete
from slim_train.checkpoints.uploads import UploadedCheckpoints
from slim_train.errors import RunError
from slim_train.tf_compat import tf
from slim_train.training.sessions import CONNECTION_ERRORS

log = logging.getLogger(__name__)

_RETRY_SECS = 15.0
_SECS_AT_END = 60.0
# For who closes when that time is over, and nothing has failed.
_LEAST_SECS_AT_END = 1.0
_LONG_WAIT_SECS = 60.0
_SAVING = ("SaveV2", "MergeV2Checkpoints")


class PatientSaver(tf.train.Saver):
    """A saver that survives failures to write, says so once, and leaves no half-written files behind.

    The first checkpoint of a process must succeed: a folder that cannot be written at the start is a mistake. Later
    ones are uploaded in a thread if the folder is at a URL.

    Args:
      folder: the training folder.
      retry_secs: how long failures are survived.
      check_lead: called in the thread of uploads before anything is written; its error ends the training.
      **kwargs: those of ``tf.train.Saver``.

    Attributes:
      check_lead: for what else is uploaded to the folder.
    """

    def __init__(
        self, folder: Path, retry_secs: float = 600.0, check_lead: Callable[[], None] = lambda: None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.check_lead = check_lead
        self._uploads = (
            UploadedCheckpoints(folder, kwargs.get("max_to_keep", 5), check_lead) if is_url(folder) else None
        )
        self._has_saved = False
        self._failing_since: float | None = None
        self._are_uploads_failing = self._has_said_slow = False
        self._tried_at = self._retry_at = 0.0
        self._retry_secs = self._patience_secs = retry_secs
        self._gave_up = f"Gave up after --save_retry_secs={retry_secs:g}."
        self._has_given_up = self._has_stopped_waiting = False
        self._waits_until: float | None = None

    @property
    def is_behind(self) -> bool:
        """Whether the last checkpoint could not be saved."""
        return self._failing_since is not None

    @property
    def is_retry_due(self) -> bool:
        """Whether to try again now."""
        return self.is_behind and time.monotonic() > self._retry_at

    @property
    def is_replaced(self) -> bool:
        """Whether another chief is known to write to the folder."""
        return False

    @property
    def secs_at_end(self) -> float:
        """How long the end of a training waits for what cannot be saved or uploaded: a minute from the first call.

        It is 0 if something was given up: the next upload goes to the same store.
        """
        if self._has_given_up or self._has_stopped_waiting or self.is_replaced:
            return 0.0
        now = time.monotonic()
        if self._waits_until is None:
            self._waits_until = now + _SECS_AT_END
        return max(_LEAST_SECS_AT_END, self._waits_until - now)

    def stop_waiting(self) -> None:
        """From now on :attr:`secs_at_end` is 0: an upload was given up, or the user has no time."""
        self._has_stopped_waiting = True

    def lose_patience(self) -> None:
        """From now on a failure is final: the end of the training has waited long enough."""
        self._patience_secs, self._gave_up = -1.0, f"Gave up {_SECS_AT_END:g} seconds after the last step."

    def save(self, sess: Any, save_path: str, global_step: Any = None, **kwargs: Any) -> Any:
        """Save a checkpoint and return its prefix; None if it could not be written.

        It may be uploaded later, and until :meth:`close` it can be read as if it were.

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
            if not self._uploads:
                unfinished.remove_temporary_files(_folder(prefix))
            log.info("Checkpoints can be saved again: %s.", saved)
        self._has_saved, self._failing_since = True, None
        return saved

    def poll(self) -> None:
        """Say that uploads fail, or no longer do.

        Raises:
          RunError: none succeeded for ``retry_secs``, or another chief has taken over.
        """
        if self._uploads is None:
            return
        uploads = self._uploads.later
        uploads.check()
        failure = uploads.failure
        if failure:
            if failure.tried_at - failure.since >= self._patience_secs:
                raise self._gives_up(self._uploads.folder, failure.reason, is_again=True)
            if not self._are_uploads_failing:
                self._say_failing(self._uploads.folder, failure.reason)
        elif self._are_uploads_failing:
            log.info("Checkpoints can be saved again in %s.", self._uploads.folder)
        elif uploads.waiting_secs > _LONG_WAIT_SECS and not self._has_said_slow:
            log.warning(
                "A checkpoint has waited a minute for the upload of the one before it to %s. Training goes on. The "
                "newest of those that wait is uploaded.", self._uploads.folder,
            )  # fmt: skip
            self._has_said_slow = True
        self._are_uploads_failing = failure is not None

    def finish(self) -> None:
        """Wait until the last checkpoint is uploaded. If that fails, it is given up after :attr:`secs_at_end`.

        Raises:
          RunError: it was given up, or another chief has taken over.
        """
        if self._uploads is None:
            return
        ends_at = time.monotonic() + self.secs_at_end
        while not self._uploads.later.wait(1.0):
            if time.monotonic() > ends_at:
                self.lose_patience()
            self.poll()
        self.poll()

    def close(self) -> None:
        """Wait as :meth:`finish` does, for a training that has failed. A checkpoint that is missing then is logged."""
        if not self._uploads:
            return
        is_there = self._uploads.later.settle(self.secs_at_end)
        if self._uploads.later.failure:
            self.stop_waiting()
        if not is_there and not self._has_given_up and not self.is_replaced:
            log.error("The last checkpoint could not be uploaded to %s.%s", self._uploads.folder, self._kept())
            self._has_given_up = True
        copies.disown(self._uploads.folder, asks=is_there)

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

    def _upload(self, sess: Any, save_path: str, uploads: UploadedCheckpoints, global_step: int, **kwargs: Any) -> str:
        name = f"{path_of(save_path).name}-{global_step}"
        with uploads.saving(name) as here:
            super().save(sess, str(here), write_state=False, **kwargs)
        saved = str(uploads.folder / name)
        if self._has_saved:
            uploads.upload_later(saved)
        else:
            uploads.upload(saved)
        return saved

    def _fail(self, prefix: str, reason: str) -> None:
        if not self._uploads:
            with contextlib.suppress(OSError):
                unfinished.remove_temporary_files(_folder(prefix))
                if not is_complete(prefix):
                    unfinished.remove_parts(prefix)
        now = time.monotonic()
        self._retry_at = now + max(_RETRY_SECS, now - self._tried_at)  # at least half of the time is for training
        if not self._has_saved or self._is_out_of_patience():
            raise self._gives_up(_folder(prefix), reason, is_again=self.is_behind)
        if not self.is_behind:
            self._say_failing(_folder(prefix), reason)
            self._failing_since = self._tried_at

    def _is_out_of_patience(self) -> bool:
        since = self._tried_at if self._failing_since is None else self._failing_since
        return self._tried_at - since >= self._patience_secs

    def _gives_up(self, folder: Path, reason: str, is_again: bool) -> RunError:
        self._has_given_up = True
        gave_up = f" {self._gave_up}" if is_again else ""
        return RunError(
            f"Cannot save a checkpoint in {folder}: {reason}.{gave_up} Start again when the folder can be written; "
            f"training resumes from the last checkpoint.{self._kept()}"
        )

    def _kept(self) -> str:
        if self.is_replaced:  # its files must not replace those of the other chief
            return ""
        kept = self._uploads and self._uploads.keep_newest()
        return f" A newer one is kept in {kept}: copy its files to the folder to resume from it." if kept else ""

    def _say_failing(self, folder: Path, reason: str) -> None:
        log.warning(
            "Cannot save a checkpoint in %s: %s. Training goes on, and tries again for %s.",
            folder, reason, _minutes(self._retry_secs),
        )  # fmt: skip


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
