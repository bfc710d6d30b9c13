"""The folder of a job: all that its tasks need to know, as JSON. No TensorFlow."""

from __future__ import annotations

import dataclasses
import json
import socket
from pathlib import Path
from typing import Any

from datasets.class_folders import ClassFolder, FolderReader
from datasets.errors import DataError
from datasets.files import replacing_synced
from datasets.shrinking import Shrinking

_STOPPED = "stopped"


@dataclasses.dataclass(frozen=True)
class Settings:
    """What a conversion depends on.

    Attributes:
      root: the folder of images.
      exclude: a folder below it that is not entered: the output.
      name: of the data set; the start of the file names.
      is_split: the folders of images are splits.
      test_fraction: share of each class that goes to ``test``, otherwise.
      split_by: ``random`` or ``filename_hash``.
      seed: of the split and of the order of the records.
      num_shards: files per split.
      stop_at_bad_image: raise at the first instead of leaving it out.
      shrinking: how large images are made smaller; None stores them as they are.
      flags: what record files depend on beside the images in them.
    """

    root: str
    exclude: str
    name: str
    is_split: bool
    test_fraction: float
    split_by: str
    seed: int
    num_shards: int
    stop_at_bad_image: bool
    shrinking: Shrinking | None = None
    flags: str = ""

    def reader(self) -> FolderReader:
        """Return what reads the images."""
        return FolderReader(self.root, self.shrinking)

    @property
    def is_divided(self) -> bool:
        """Whether each class is divided into train and test."""
        return not self.is_split and self.test_fraction > 0


def write_settings(job: Path, settings: Settings) -> None:
    """Write the settings of a job."""
    write_json(job / "settings.json", dataclasses.asdict(settings))


def read_settings(job: Path) -> Settings:
    """Return the settings of a job, in a task.

    Raises:
      DataError: this machine does not see the folders of the job.
    """
    host = socket.gethostname()
    if not (job / "settings.json").is_file():
        raise DataError(
            f"Worker {host} does not see --dataset_dir={job.parent.parent}: the folder must be shared by all workers."
        )
    values = read_json(job / "settings.json")
    settings = Settings(**values | {"shrinking": Shrinking(**values["shrinking"]) if values["shrinking"] else None})
    if not Path(settings.root).is_dir():
        raise DataError(
            f"Worker {host} does not see --pic_path={settings.root}: the folder must be shared by all workers."
        )
    return settings


def write_folders(job: Path, folders: list[ClassFolder]) -> None:
    """Write the list of class folders."""
    write_json(job / "folders.json", [dataclasses.astuple(folder) for folder in folders])


def read_folders(job: Path) -> list[ClassFolder]:
    """Return the list of class folders."""
    return [ClassFolder(*folder) for folder in read_json(job / "folders.json")]


def stop(job: Path) -> None:
    """Tell the tasks of a job that one of them has failed for good."""
    (job / _STOPPED).touch()


def is_stopped(job: Path) -> bool:
    """Return whether a task has called :func:`stop`."""
    return (job / _STOPPED).exists()


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, synced; names that are not valid Unicode survive."""
    with replacing_synced(path) as file:
        file.write(json.dumps(content).encode("ascii"))


def read_json(path: Path) -> Any:
    """Return the content of a JSON file."""
    return json.loads(path.read_text(encoding="ascii"))
