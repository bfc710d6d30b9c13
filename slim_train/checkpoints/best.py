"""The best checkpoint of a training folder, kept in ``best/``."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path

from datasets.files import replacing
from datasets.storage import copy_file, path_of
from slim_train.checkpoints.find import is_complete, write_state
from slim_train.checkpoints.training_folder import BEST, PREFIX
from slim_train.errors import UsageError

log = logging.getLogger(__name__)

# Decides which checkpoint is the best.
METRIC = "accuracy"


class BestCheckpoint:
    """Keeps a copy of the best checkpoint in ``<train_dir>/best``, its value beside it in ``best.json``.

    The value is read back when training resumes, so a worse checkpoint never replaces a better one.

    Args:
      train_dir: the training folder.
      split: name of the split that checkpoints are judged on; None for who only reads.

    Raises:
      UsageError: best.json is broken, or its checkpoint was judged on another split.
    """

    def __init__(self, train_dir: str | Path, split: str | None = None) -> None:
        self.folder = path_of(train_dir) / BEST
        self._record = self.folder / "best.json"
        self.value, self.step = float("-inf"), -1
        self._name, self._split = "", split
        if self._record.is_file():
            try:
                stored = json.loads(self._record.read_text(encoding="utf-8"))
                self.value, self.step = float(stored["value"]), int(stored["step"])
            except (ValueError, KeyError, TypeError) as error:
                raise UsageError(f"{self._record} is broken ({error}): delete {self.folder} to go on.") from error
            self._name = stored.get("checkpoint", f"{PREFIX}-{self.step}")
            judged_on = stored.get("split", split)  # older records do not say it
            if split is not None and judged_on != split:
                raise UsageError(
                    f"The best checkpoint in {self.folder} was judged on the split {judged_on}, and not on {split}: "
                    f"evaluate on {judged_on}, or delete {self.folder}."
                )

    @property
    def path(self) -> str | None:
        """The prefix of the best checkpoint, or None while there is none."""
        return str(self.folder / self._name) if self._name else None

    def offer(self, checkpoint: str, metrics: Mapping[str, float], step: int) -> bool:
        """Keep ``checkpoint`` if its accuracy is higher than the best so far, and say whether it is kept."""
        value = metrics[METRIC]
        if value <= self.value or not self.keep(checkpoint, value, step):
            return False
        self.value, self.step, self._name = value, step, path_of(checkpoint).name
        return True

    def keep(self, checkpoint: str, value: float, step: int) -> bool:
        """Make ``checkpoint`` the one in the folder, and say whether it was still there.

        Raises:
          OSError: the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        name = path_of(checkpoint).name
        if not self._copy(checkpoint):
            log.warning("%s was deleted before it could be kept: see --max_checkpoints_to_keep.", checkpoint)
            return False
        # With this file the new best is the best: what a kill leaves before or after it is whole.
        record = {"metric": METRIC, "value": value, "step": step, "checkpoint": name}
        if self._split is not None:
            record["split"] = self._split
        with replacing(self._record) as temporary:
            temporary.write_text(json.dumps(record) + "\n", encoding="utf-8")
        write_state(self.folder, name, [name])
        for file in self.folder.glob(f"{PREFIX}-*"):
            if not _is_of(name, file):
                file.unlink()
        return True

    def _copy(self, checkpoint: str) -> bool:
        """Copy the files of a checkpoint, and say whether the copy is whole; the training may be deleting them."""
        name = path_of(checkpoint).name
        copies = []
        try:
            for file in path_of(checkpoint).parent.glob(f"{name}*"):
                if _is_of(name, file):
                    copy_file(file, self.folder / file.name)
                    copies.append(self.folder / file.name)
        except FileNotFoundError:
            copies.append(self.folder / name)
        if is_complete(str(self.folder / name)):
            return True
        for path in copies:
            path.unlink(missing_ok=True)
        return False


def _is_of(name: str, file: Path) -> bool:
    """Return whether ``file`` belongs to the checkpoint ``name``; those of TensorFlow 1's first format are one file."""
    return file.name == name or file.name.startswith(f"{name}.")
