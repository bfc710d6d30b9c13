"""Checkpoints in a folder that TensorFlow cannot write: saved on this machine, and uploaded file by file."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from datasets.storage import copy_file, path_of
from slim_train.checkpoints import copies
from slim_train.checkpoints.find import write_state
from slim_train.checkpoints.unfinished import remove_parts


class UploadedCheckpoints:
    """The checkpoints of a training folder, as ``tf.train.Saver`` counts those that it writes.

    Args:
      folder: the training folder, at a URL.
      most: how many to keep; 0 keeps all.
    """

    def __init__(self, folder: Path, most: int) -> None:
        self.folder, self._most = folder, most
        self._listed: list[str] = []

    def recover(self, prefixes: Sequence[str]) -> None:
        """Count the checkpoints of the runs before, oldest first."""
        self._listed = list(prefixes)

    @contextlib.contextmanager
    def saving(self, name: str) -> Iterator[Path]:
        """Yield a prefix on this machine to save to; the files that lie there at the end of the block are uploaded.

        The index goes last: a checkpoint without it is none.

        Raises:
          OSError: a file cannot be uploaded.
        """
        here = Path(tempfile.mkdtemp(prefix="slim-train-"))
        try:
            yield here / name
            for file in sorted(here.glob(f"{name}.*"), key=lambda file: (file.suffix == ".index", file.name)):
                copy_file(file, self.folder / file.name)
            copies.keep(str(self.folder / name), here)
        except BaseException:
            shutil.rmtree(here, ignore_errors=True)
            raise

    def make_latest(self, prefix: str) -> None:
        """Name the checkpoint in the file ``checkpoint``, and remove those that are too many.

        Raises:
          OSError: the file cannot be written.
        """
        listed = [*(path for path in self._listed if path != prefix), prefix]
        kept = listed[-self._most :] if self._most else listed
        names = [path_of(path).name for path in kept]
        write_state(self.folder, names[-1], names)
        self._listed = kept
        for path in listed[: len(listed) - len(kept)]:
            remove_parts(path)
