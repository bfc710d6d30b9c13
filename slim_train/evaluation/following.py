"""Following a training: its checkpoints as they appear, through failures of the store they are in."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator
from pathlib import Path

from datasets.file_errors import ExpiredToken
from slim_train.checkpoints import training_folder
from slim_train.checkpoints.find import latest_checkpoint
from slim_train.errors import RunError

log = logging.getLogger(__name__)

# Trying again does not help.
_LASTING = (FileNotFoundError, PermissionError)


class Following:
    """A training that is followed. An error of the store is logged once, and the next look tries again.

    A missing file and a missing permission are still errors.

    Args:
      folder: the training folder, which need not exist yet.
      every_secs: seconds between looks.
    """

    def __init__(self, folder: Path, every_secs: float) -> None:
        self._folder, self._every_secs = folder, every_secs
        self._evaluated: str | None = None
        self._logged = ""

    def wait_until_begun(self) -> None:
        """Wait for the training's config.yaml or first checkpoint.

        Raises:
          OSError: the first look fails.
        """
        has_begun = self._has_begun()
        if not has_begun:
            log.info("Waiting for a training to begin in %s.", self._folder)
        while not has_begun:
            time.sleep(self._every_secs)
            with self._outlasting_failures():
                has_begun = self._has_begun()

    def checkpoints(self) -> Iterator[str]:
        """Yield each newer checkpoint until the training has ended; again if :meth:`evaluating` failed on it."""
        while True:
            newest, is_over = None, False
            with self._outlasting_failures((OSError, RunError)):
                # Asked before looking for a checkpoint: one written just before the end is not missed.
                has_ended = training_folder.has_ended(self._folder)
                newest = latest_checkpoint(self._folder)
                is_over = has_ended
            if newest and newest != self._evaluated:
                yield newest
                if newest == self._evaluated:
                    continue
            elif is_over:
                log.info("The training in %s has ended and its last checkpoint is evaluated.", self._folder)
                return
            time.sleep(self._every_secs)

    @contextlib.contextmanager
    def evaluating(self, checkpoint: str) -> Iterator[None]:
        """Evaluate a checkpoint in the block. If the store fails, :meth:`checkpoints` yields the newest one again."""
        with self._outlasting_failures():
            yield
            self._evaluated, self._logged = checkpoint, ""

    def _has_begun(self) -> bool:
        return (self._folder / training_folder.CONFIG).is_file() or latest_checkpoint(self._folder) is not None

    @contextlib.contextmanager
    def _outlasting_failures(self, kinds: tuple[type[Exception], ...] = (OSError,)) -> Iterator[None]:
        try:
            yield
        except kinds as error:
            if isinstance(error, _LASTING) and not isinstance(error, ExpiredToken):
                raise
            reason = str(error)
            if isinstance(error, OSError):
                reason = f"{error.filename or self._folder}: {error.strerror or error}"
            if reason != self._logged:
                log.warning("%s. Trying again every %g seconds.", reason, self._every_secs)
            self._logged = reason
