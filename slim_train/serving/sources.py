"""Where a model comes from, and how to tell that there is a new version of it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from datasets.storage import files_below, is_url, path_of
from slim_train.checkpoints.find import newest_checkpoint
from slim_train.inference.overrides import ModelOverrides
from slim_train.inference.predictor import load_predictor, newest_saved_model
from slim_train.serving.servable import Servable, ServedPredictor
from slim_train.training_options import UserCodeOptions

# Training appends to these all the time; they change nothing of the model.
_NOT_THE_MODEL = ("events.out.tfevents", "metrics.jsonl")
_CHECKPOINT_STATE = "checkpoint"
_MAKES_A_SAVED_MODEL = "saved_model.pb"


@dataclass(frozen=True)
class Found:
    """What is on disk now.

    Attributes:
      path: what to load.
      number: version number: the folder's name, as for TensorFlow Serving, or the step of the newest checkpoint in it;
        None if there is neither.
      fingerprint: another one when the files are other ones.
    """

    path: Path
    number: int | None
    fingerprint: tuple[tuple[str, int, int], ...]


class Source(Protocol):
    """A place that holds a model, whose newest version can be found and loaded."""

    name: str

    def find(self) -> Found:
        """Return the newest version, not loaded."""

    def load(self, found: Found) -> Servable:
        """Load a version.

        Raises:
          UsageError: there is no model that can be served.
          RunError: a checkpoint does not fit its net.
        """


class FolderSource:
    """Whatever load_predictor takes; of numbered SavedModels, the one with the highest number.

    Args:
      name: what the model is called in URLs.
      path: of the folder or file.
      max_megapixels: of images it is asked about.
      code: of a net or recipe that is not slim-train's.
      scaled_decoding: auto or never, see :mod:`datasets.scaled_jpeg`; None: as the model says.
    """

    def __init__(
        self,
        name: str,
        path: Path,
        max_megapixels: float,
        code: UserCodeOptions | None = None,
        scaled_decoding: str | None = None,
    ) -> None:
        self.name = name
        self._given = ModelOverrides(code=code or UserCodeOptions(), scaled_decoding=scaled_decoding)
        self._path, self._max_megapixels = path, max_megapixels

    def find(self) -> Found:
        """Return the newest version on disk."""
        path = newest_saved_model(self._path) or self._path
        return Found(path, _number(path), fingerprint(path))

    def load(self, found: Found) -> Servable:
        """Load what was found."""
        return ServedPredictor(load_predictor(found.path, self._given), self._max_megapixels)


def _number(path: Path) -> int | None:
    newest = path.name if path.name.isdecimal() else newest_checkpoint(path) or ""
    step = newest.rpartition("-")[2]
    return int(step) if step.isdecimal() else None


def fingerprint(path: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of change of every file that makes up the model at ``path``.

    Of a folder that training writes to, these are the file that says which checkpoint is the newest and what is
    written once. Of a SavedModel at a URL it is the file that export uploads last: one request per look.
    """
    state = path / _CHECKPOINT_STATE
    if is_url(path) and (path / _MAKES_A_SAVED_MODEL).is_file():
        files = [path / _MAKES_A_SAVED_MODEL]
    else:
        files = [state] if state.is_file() else _files(path)
    return tuple(sorted(entry for file in files if (entry := _entry(file)) is not None))


def _files(path: Path) -> list[Path]:
    return list(_walk(path)) if path.is_dir() else [path]


def _walk(folder: Path) -> Iterator[Path]:
    if is_url(folder):
        yield from (path for path in files_below(folder) if not path.name.startswith((".", *_NOT_THE_MODEL)))
        return
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith((".", *_NOT_THE_MODEL)):
                yield path_of(parent) / name


def _entry(file: Path) -> tuple[str, int, int] | None:
    try:
        status = file.stat()
    except OSError:  # Replaced just now: the next look will see what by.
        return None
    return str(file), status.st_size, status.st_mtime_ns
