"""The best checkpoint of a training folder at a URL: uploaded beside the training."""

from __future__ import annotations

import contextlib
import errno
import logging
from collections.abc import Callable
from pathlib import Path

from datasets.storage import path_of
from slim_train.checkpoints import copies
from slim_train.checkpoints.best import BestCheckpoint
from slim_train.checkpoints.newest_upload import NewestUpload

log = logging.getLogger(__name__)


class UploadedBest(BestCheckpoint):
    """Uploads the best checkpoint in a thread, from the files that the training has saved on this machine.

    A checkpoint counts as the best when it is offered. One that cannot be uploaded is tried again until a better one
    comes.

    Args:
      train_dir: the training folder, at a URL.
      split: see the base class.
      check_lead: called before files are uploaded, and before they become the best. Any error but an OSError is
        final.
    """

    def __init__(
        self, train_dir: str | Path, split: str | None = None, check_lead: Callable[[], None] = lambda: None
    ) -> None:
        super().__init__(train_dir, split)
        self._check_lead = check_lead
        self._uploads = NewestUpload("best-uploads", self._say_failing)

    def keep(self, checkpoint: str, value: float, step: int) -> bool:
        """Have the files uploaded; always True."""
        resources = contextlib.ExitStack()
        here = resources.enter_context(copies.opened(checkpoint))
        self._uploads.put(lambda: self._upload(here, value, step), resources)
        return True

    def close(self, most_secs: float) -> bool:
        """Wait until the best checkpoint is uploaded. If that fails, give up after ``most_secs`` and return False."""
        if not self._uploads.settle(most_secs):
            log.error("The best checkpoint, of step %d, is missing in %s.", self.step, self.folder)
        return self._uploads.failure is None

    def _upload(self, here: str, value: float, step: int) -> None:
        self._check_lead()
        super().keep(here, value, step)

    def _copy(self, checkpoint: str) -> bool:
        if not super()._copy(checkpoint):  # what is copied is whole: the store could not be read
            raise OSError(errno.EIO, f"the copy of {path_of(checkpoint).name} cannot be read")
        self._check_lead()  # what follows deletes the best checkpoint of before
        return True

    def _say_failing(self, reason: str) -> None:
        log.warning("Cannot keep the best checkpoint in %s: %s. Trying again later.", self.folder, reason)
