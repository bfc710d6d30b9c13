"""Checkpoints in a folder at a URL: saved on this machine, and uploaded file by file."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from datasets.process_folder import new_folder, to_stay
from datasets.storage import copy_file, path_of
from slim_train.checkpoints import copies
from slim_train.checkpoints.find import write_state
from slim_train.checkpoints.newest_upload import NewestUpload
from slim_train.checkpoints.unfinished import remove_parts, remove_parts_without_index


class UploadedCheckpoints:
    """The checkpoints of a training folder, as ``tf.train.Saver`` counts those that it writes.

    Args:
      folder: the training folder, at a URL.
      most: how many to keep; 0 keeps all.
      check_lead: called before files are uploaded and before a checkpoint becomes the latest. Any error
        but an OSError is final.

    Attributes:
      later: the uploads of :meth:`upload_later`.
    """

    def __init__(self, folder: Path, most: int, check_lead: Callable[[], None] = lambda: None) -> None:
        self.folder, self._most, self._check_lead = folder, most, check_lead
        self.later = NewestUpload("checkpoint-uploads")
        self._listed: list[str] = []
        self._newest = ""

    def recover(self, prefixes: Sequence[str]) -> None:
        """Count the checkpoints of the runs before, oldest first."""
        self._listed = list(prefixes)

    @contextlib.contextmanager
    def saving(self, name: str) -> Iterator[Path]:
        """Yield a prefix on this machine to save to. What lies there at the end of the block is the checkpoint."""
        here = new_folder()
        try:
            yield here / name
        except BaseException:
            shutil.rmtree(here, ignore_errors=True)
            raise
        copies.keep(str(self.folder / name), here)

    def upload(self, prefix: str) -> None:
        """Upload a checkpoint that was saved.

        Raises:
          OSError: a file cannot be uploaded.
        """
        with copies.opened(prefix) as here:
            self._upload(prefix, Path(here), set())

    def upload_later(self, prefix: str) -> None:
        """Upload a checkpoint that was saved, in a thread. Of those that wait, only the newest is uploaded."""
        self._newest = prefix
        resources = contextlib.ExitStack()
        here = resources.enter_context(copies.opened(prefix))
        sent: set[str] = set()
        self.later.put(lambda: self._upload(prefix, Path(here), sent), resources)

    def keep_newest(self) -> Path | None:
        """Give up, and return a folder that keeps the newest checkpoint; None if it is uploaded or cannot be kept."""
        self.later.stop()
        if not self._newest or self._newest in self._listed:
            return None
        try:
            with copies.opened(self._newest) as here:
                kept = to_stay(Path(here).parent)
            write_state(kept, Path(here).name, [Path(here).name])
        except OSError:
            return None
        copies.disown(self.folder, asks=False)
        return kept

    def _upload(self, prefix: str, here: Path, sent: set[str]) -> None:
        """Upload the files of a checkpoint, except those that were sent, and make it the latest."""
        self._check_lead()
        # The index goes last: a checkpoint without it is none. A silent store is noticed soonest by a small file.
        files = [*here.parent.glob(f"{here.name}.*")]
        for file in sorted(files, key=lambda file: (file.suffix == ".index", file.stat().st_size)):
            if file.name not in sent:
                copy_file(file, self.folder / file.name)
                sent.add(file.name)
        self._check_lead()
        self._make_latest(prefix)
        if self.later.failure:
            remove_parts_without_index(self.folder)

    def _make_latest(self, prefix: str) -> None:
        """Name the checkpoint in the file ``checkpoint``, and remove those that are too many."""
        # Also if the file cannot be written: the checkpoint counts.
        self._listed = [*(path for path in self._listed if path != prefix), prefix]
        kept = self._listed[-self._most :] if self._most else self._listed
        names = [path_of(path).name for path in kept]
        write_state(self.folder, names[-1], names)
        surplus = self._listed[: len(self._listed) - len(kept)]
        self._listed = kept
        for path in surplus:
            remove_parts(path)
