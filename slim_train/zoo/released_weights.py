"""Released weights of the zoo's nets: their archives, downloaded and unpacked."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path

from datasets.archives import unpack
from datasets.download import Download, fetch
from datasets.errors import DataError
from datasets.sources import OnProgress
from slim_train.checkpoints.archives import checkpoint_below
from slim_train.errors import RunError, UsageError, nearest
from slim_train.nets.factory import get_record, net_names
from slim_train.nets.record import NetRecord

log = logging.getLogger(__name__)


def download_checkpoints(names: Sequence[str], checkpoint_dir: str, on_progress: OnProgress) -> dict[str, str]:
    """The released checkpoints of nets, each in a folder of its own, ``checkpoint_dir/<name>``, whole or not at all.

    What is there already is not fetched again; a download that broke off is gone on with. Of an archive with several
    folders, only the one with the checkpoint is kept.

    Returns:
      What ``--checkpoint_path`` takes, by net.

    Raises:
      UsageError: there is no such net, or no weights of it were released; nothing is fetched then.
      RunError: an archive cannot be fetched, or it is damaged.
    """
    records = [_released(get_record(name)) for name in names]
    return {record.name: download_checkpoint(record, Path(checkpoint_dir), on_progress) for record in records}


def download_checkpoint(record: NetRecord, checkpoint_dir: Path, on_progress: OnProgress) -> str:
    """What ``--checkpoint_path`` takes for the weights at ``record.checkpoint_url``; see ``download_checkpoints``.

    Raises:
      RunError: the archive cannot be fetched, it is damaged, or it holds no checkpoint.
    """
    assert record.checkpoint_url
    home = checkpoint_dir / record.name
    if home.exists():
        log.info("%s already exists.", home)
        return checkpoint_below(home)
    download = Download(record.checkpoint_url, otherwise=f"unpack it in the folder {home}")
    try:
        archive = fetch(download, checkpoint_dir, on_progress)
    except DataError as error:
        raise RunError(str(error)) from error
    with tempfile.TemporaryDirectory(prefix=f".{record.name}.", dir=checkpoint_dir) as work_dir:
        log.info("Unpacking %s.", archive)
        try:
            unpack(archive, Path(work_dir, "unpacked"))
        except DataError as error:
            archive.unlink()
            raise RunError(f"{error} It has been removed; try again.") from error
        archive.unlink()
        checkpoint = Path(checkpoint_below(Path(work_dir, "unpacked")))
        checkpoint.parent.replace(home)
    return str(home / checkpoint.name)


def _released(record: NetRecord) -> NetRecord:
    if record.checkpoint_url is None:
        others = [name for name in net_names() if get_record(name).checkpoint_url]
        near = nearest(record.name, others)
        listed = [*near, *(name for name in others if name not in near)]
        raise UsageError(f"No weights of {record.name} were released. Those of others were: {', '.join(listed)}.")
    return record
