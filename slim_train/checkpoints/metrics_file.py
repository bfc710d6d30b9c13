"""metrics.jsonl while a training writes it. No TensorFlow on this machine; at a URL, its client."""

from __future__ import annotations

import functools
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from datasets.storage import is_url
from slim_train.checkpoints import training_folder
from slim_train.checkpoints.newest_upload import NewestUpload

log = logging.getLogger(__name__)


class MetricsFile:
    """Adds lines to the metrics.jsonl of a training folder.

    On this machine a line is in the file at once. Files at a URL cannot be appended to: there the whole file is written
    every ``every_secs`` seconds, in another thread, and by :meth:`close`. A killed process loses the lines since.

    Args:
      train_dir: the training folder.
      every_secs: seconds between writes to a URL.
      check_lead: called in the thread before a write to a URL. Any error but an OSError is final.

    Attributes:
      listeners: functions to call with each line that is added.
    """

    def __init__(self, train_dir: Path, every_secs: float = 0, check_lead: Callable[[], None] = lambda: None) -> None:
        self._folder, self._every, self._check_lead = train_dir, every_secs, check_lead
        self.listeners: list[Callable[[dict[str, Any]], None]] = []
        self._is_url = is_url(train_dir)
        self._text: str | None = None  # of the whole file at a URL, as far as it is known
        self._is_written = True
        self._written_at = time.monotonic()
        self._uploads = NewestUpload("metrics-uploads", self._say_failing)

    def add(self, values: dict[str, Any]) -> None:
        """Add a line."""
        for call in self.listeners:
            call(values)
        if not self._is_url:
            training_folder.add_metrics(self._folder, values)
            return
        self._text = self._known_text() + json.dumps(values) + "\n"
        self._is_written = False
        if time.monotonic() - self._written_at >= self._every:
            self.flush()

    def forget_after(self, step: int) -> None:
        """Drop the lines of steps beyond ``step``, which are made again."""
        if not self._is_url:
            training_folder.forget_metrics_after(self._folder, step)
            return
        text = self._known_text()
        kept = training_folder.metrics_until(text, step)
        self._is_written = self._is_written and kept == text
        self._text = kept
        self.flush()

    def lines(self) -> list[dict[str, Any]]:
        """Return the lines, with those that are not yet in the file, and without those that still are."""
        return training_folder.parse_metrics(self._known_text())

    def flush(self) -> None:
        """Have written to the URL what was not written yet. If that fails, it is tried again later."""
        if self._is_written or self._text is None:
            return
        self._written_at = time.monotonic()
        self._is_written = True
        self._uploads.put(functools.partial(self._write, self._text))

    def close(self, most_secs: float = 60.0) -> bool:
        """Write the last lines. If that fails, give up after ``most_secs`` and return False."""
        self.flush()
        if not self._uploads.settle(most_secs):
            log.error("The last lines are missing from %s.", self._folder / training_folder.METRICS)
        return self._uploads.failure is None

    def _known_text(self) -> str:
        # Not from the store again: it may lack lines, or still hold those that were dropped.
        return training_folder.metrics_text(self._folder) if self._text is None else self._text

    def _write(self, text: str) -> None:
        self._check_lead()
        training_folder.write_metrics(self._folder, text)

    def _say_failing(self, reason: str) -> None:
        log.warning("Cannot write %s: %s. Trying again later.", self._folder / training_folder.METRICS, reason)
