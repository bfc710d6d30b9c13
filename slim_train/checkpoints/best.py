"""The best checkpoint of a training folder, kept in ``best/``."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from datasets.files import replacing
from slim_train.checkpoints.training_folder import BEST, PREFIX
from slim_train.errors import UsageError
from slim_train.tf_compat import tf

# Decides which checkpoint is the best.
METRIC = "accuracy"


class BestCheckpoint:
    """Keeps a copy of the best checkpoint in ``<train_dir>/best``, its value beside it in ``best.json``.

    The value is read back when training resumes, so a worse checkpoint never replaces a better one.
    """

    def __init__(self, train_dir: str | Path) -> None:
        self.folder = Path(train_dir) / BEST
        self._record = self.folder / "best.json"
        self.value, self.step = float("-inf"), -1
        self._name = ""
        if self._record.is_file():
            try:
                stored = json.loads(self._record.read_text(encoding="utf-8"))
                self.value, self.step = float(stored["value"]), int(stored["step"])
            except (ValueError, KeyError, TypeError) as error:
                raise UsageError(f"{self._record} is broken ({error}): delete {self.folder} to go on.") from error
            self._name = stored.get("checkpoint", f"{PREFIX}-{self.step}")

    @property
    def path(self) -> str | None:
        """The prefix of the best checkpoint, or None while there is none."""
        return str(self.folder / self._name) if self._name else None

    def offer(self, checkpoint: str, metrics: Mapping[str, float], step: int) -> bool:
        """Keep ``checkpoint`` if its accuracy is higher than the best so far, and say whether it is."""
        value = metrics[METRIC]
        if value <= self.value:
            return False
        self.folder.mkdir(parents=True, exist_ok=True)
        name = Path(checkpoint).name
        for file in Path(checkpoint).parent.glob(f"{name}.*"):
            with replacing(self.folder / file.name) as temporary:
                shutil.copyfile(file, temporary)
        # With this file the new best is the best: what a kill leaves before or after it is whole.
        record = {"metric": METRIC, "value": value, "step": step, "checkpoint": name}
        with replacing(self._record) as temporary:
            temporary.write_text(json.dumps(record) + "\n", encoding="utf-8")
        tf.train.update_checkpoint_state(str(self.folder), name, [name])
        for file in self.folder.glob(f"{PREFIX}-*"):
            if not file.name.startswith(f"{name}."):
                file.unlink()
        self.value, self.step, self._name = value, step, name
        return True
