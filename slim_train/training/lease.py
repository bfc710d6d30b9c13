"""Who leads the training in a folder: at most one chief of a cluster, the one that started last.

A chief that is only cut off, or hangs, may be replaced while it still runs. When it comes back, it must not write
checkpoints beside its replacement. So a chief puts its name in a file of the training folder when it starts, and looks
before it writes whether the name is still its own.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import socket
import threading
import time
from pathlib import Path
from typing import Any

from datasets.storage import is_url, path_of
from slim_train.checkpoints import training_folder
from slim_train.checkpoints.find import write_state
from slim_train.errors import RunError
from slim_train.tf_compat import tf
from slim_train.training.saver import PatientSaver

log = logging.getLogger(__name__)

FILE = "chief.json"
_LOOK_EVERY_SECS = 5.0


class Lease:
    """The right to write to a training folder, which a chief that starts takes from the one before.

    Args:
      train_dir: the training folder.
      name: of the task, for messages.
    """

    def __init__(self, train_dir: Path, name: str) -> None:
        self._path, self._name = train_dir / FILE, name
        self._own = {"id": secrets.token_hex(8), "host": socket.gethostname(), "process": os.getpid()}
        self._looked_at, self._lost_to = 0.0, ""
        self._looking: threading.Thread | None = None

    @property
    def folder(self) -> Path:
        """The training folder."""
        return self._path.parent

    @property
    def is_lost(self) -> bool:
        """Whether a look has found that another chief has taken over."""
        return bool(self._lost_to)

    def take(self) -> None:
        """From now on this is the chief.

        Raises:
          OSError: the folder cannot be written.
        """
        self._path.parent.mkdir(parents=True, exist_ok=True)
        training_folder.write_json(self._path, self._own)

    def check(self) -> None:
        """Check that no other chief has taken over. A file that cannot be read says nothing.

        Raises:
          RunError: another chief has.
        """
        self._look()
        self._raise_if_lost()

    def check_before_upload(self) -> None:
        """Check as :meth:`check` does, and fail if the store does not answer: an upload would fail as well.

        Raises:
          OSError: the file cannot be read.
          RunError: another chief has taken over.
        """
        with contextlib.suppress(FileNotFoundError):
            self._read()
        self._raise_if_lost()

    def check_now_and_then(self) -> None:
        """Check if the last look is some seconds ago, as it is for a process that slept.

        At a URL the look goes on in another thread, and counts at a later call.
        """
        self._raise_if_lost()
        if time.monotonic() - self._looked_at < _LOOK_EVERY_SECS or (self._looking and self._looking.is_alive()):
            return
        if is_url(self._path):
            self._looking = threading.Thread(target=self._look, name="lease", daemon=True)
            self._looking.start()
        else:
            self.check()

    def _look(self) -> None:
        try:
            self._read()
        except OSError as error:
            log.debug("%s: %s", self._path, error)

    def _read(self) -> None:
        try:
            holder = json.loads(self._path.read_text(encoding="utf-8"))
        except ValueError as error:
            log.debug("%s: %s", self._path, error)
            return
        finally:
            self._looked_at = time.monotonic()
        if isinstance(holder, dict) and holder.get("id") != self._own["id"]:
            self._lost_to = f"process {holder.get('process')} on {holder.get('host')}"

    def _raise_if_lost(self) -> None:
        if self._lost_to:
            raise RunError(
                f"{self._name}: another chief ({self._lost_to}) has taken over {self.folder}. This one ends without "
                "saving."
            )


class HoldsLease(tf.train.SessionRunHook):
    """Ends a chief that was replaced, before the hooks after this one write anything."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease

    def after_create_session(self, session: Any, coord: Any) -> None:
        self._lease.check()

    def after_run(self, run_context: Any, run_values: Any) -> None:
        self._lease.check_now_and_then()

    def end(self, session: Any) -> None:
        self._lease.check()


class LeasedSaver(PatientSaver):
    """A saver that checks the lease before it writes a checkpoint, and before it makes it the latest.

    Args:
      lease: of the chief.
      **kwargs: those of ``tf.train.Saver``.
    """

    def __init__(self, lease: Lease, **kwargs: Any) -> None:
        super().__init__(lease.folder, check_lead=lease.check_before_upload, **kwargs)
        self._lease = lease
        self._relative = bool(kwargs.get("save_relative_paths"))

    @property
    def is_replaced(self) -> bool:
        """See the base class."""
        return self._lease.is_lost

    def write(self, sess: Any, save_path: str, **kwargs: Any) -> Any:
        """See the base class; ``write_state`` and ``latest_filename`` keep their defaults.

        Raises:
          RunError: another chief has taken over.
        """
        if self._uploads:  # which check it themselves
            return super().write(sess, save_path, **kwargs)
        self._lease.check()
        saved = super().write(sess, save_path, **kwargs, write_state=False)
        self._lease.check()
        self._make_latest(saved)
        return saved

    def _make_latest(self, saved: str) -> None:
        most = self.saver_def.max_to_keep
        listed = [*(path for path in self.last_checkpoints if path != saved), saved]
        kept = listed[-most:] if most else [saved]
        if most:
            self.recover_last_checkpoints(kept)
        folder = path_of(saved).parent
        if self._relative:
            names = [path_of(path).name for path in kept]
            write_state(folder, names[-1], names)
        else:
            tf.train.update_checkpoint_state(str(folder), kept[-1], kept)
        for path in listed[: -len(kept)] if most else ():
            try:
                tf.train.remove_checkpoint(path)
            except (OSError, tf.errors.OpError) as error:
                log.warning("Cannot remove the old checkpoint %s: %s", path, error)
