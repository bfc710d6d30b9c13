"""Checkpoints in tar archives, as released weights are published."""

from __future__ import annotations

import logging
from pathlib import Path

from datasets.archives import unpack
from datasets.errors import DataError
from datasets.made_folders import made_folder
from slim_train.checkpoints.find import newest_checkpoint
from slim_train.errors import RunError, UsageError

log = logging.getLogger(__name__)

ENDINGS = (".tar.gz", ".tgz", ".tar")
# MobileNet v3 comes with its weights (folder pristine) and with their moving averages, which the accuracy is stated of.
_AVERAGES = "ema"


def checkpoint_of_archive(archive: Path) -> str:
    """Return the prefix of the checkpoint in a tar archive, unpacked into the user's cache the first time.

    Raises:
      UsageError: the archive is damaged or holds no checkpoint, or the cache cannot be written.
    """

    def make(here: Path, folder: Path) -> None:
        log.info("Unpacking %s into the cache.", archive)
        unpack(here, folder)
        checkpoint_below(folder)

    try:
        name = next(archive.name.removesuffix(ending) for ending in ENDINGS if archive.name.endswith(ending))
        home = made_folder("checkpoints", name, archive, make)
        return checkpoint_below(home)
    except DataError as error:
        raise UsageError(f"--checkpoint_path={archive}: {error}") from error
    except RunError as error:
        raise UsageError(f"--checkpoint_path={archive} holds no TensorFlow checkpoint.") from error
    except OSError as error:
        raise UsageError(f"--checkpoint_path={archive} cannot be unpacked: {error.strerror}.") from error


def checkpoint_below(folder: Path) -> str:
    """Return the prefix of the checkpoint in ``folder`` or below; of several, that of the moving averages.

    Raises:
      RunError: there is none.
    """
    folders = [folder, *sorted(path for path in folder.rglob("*") if path.is_dir())]
    found = [prefix for path in folders if (prefix := newest_checkpoint(path))]
    if not found:
        raise RunError(f"{folder} holds no TensorFlow checkpoint; without that folder it is downloaded again.")
    return next((prefix for prefix in found if Path(prefix).parent.name == _AVERAGES), found[0])
