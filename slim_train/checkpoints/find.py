"""Finding checkpoints: the newest complete one of a folder."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from datasets.files import replacing
from datasets.storage import is_url, opens_in_tensorflow, path_of
from slim_train.checkpoints import copies
from slim_train.checkpoints.training_folder import PREFIX
from slim_train.errors import RunError
from slim_train.tf_compat import tf

log = logging.getLogger(__name__)

_STATE = "checkpoint"
_SHARD = re.compile(r"\.data-\d{5}-of-(\d{5})$")


def is_complete(prefix: str) -> bool:
    """Whether ``prefix`` names a checkpoint whose files are all there and readable: the test of an interrupted save."""
    index = path_of(f"{prefix}.index")
    if not index.is_file():
        # The single-file format of TF-Slim's oldest released checkpoints.
        return path_of(prefix).is_file() and _opens(prefix)
    shards = [match for file in index.parent.glob(f"{index.stem}.data-*") if (match := _SHARD.search(file.name))]
    return bool(shards) and len(shards) == int(shards[0].group(1)) and _opens(prefix)


def latest_checkpoint(folder: str | Path) -> str | None:
    """Return the prefix of the newest complete checkpoint in ``folder``, or None.

    Works in a folder that was moved or copied (the ``checkpoint`` file may hold the old absolute path), and passes over
    a checkpoint whose writing was cut short.
    """
    state = _state(folder)
    listed = [path_of(state.model_checkpoint_path).name] if state else []
    for name in dict.fromkeys([*listed, *_saved_names(folder)]):
        prefix = str(path_of(folder) / name)
        if is_complete(prefix):
            return prefix
        log.warning("Ignoring %s: it is incomplete.", prefix)
    return None


def newest_checkpoint(folder: str | Path) -> str | None:
    """The latest checkpoint of a training folder, or the only one, of any name, in another folder; None without."""
    return latest_checkpoint(folder) or _only_checkpoint(path_of(folder))


def repair_state(folder: str | Path) -> str | None:
    """Make the ``checkpoint`` file of ``folder`` name the newest complete checkpoint, and return that or None.

    TensorFlow's sessions restore what that file names, be it whole or not.
    """
    newest = latest_checkpoint(folder)
    state = _state(folder)
    if newest is None:
        if state is not None:
            (path_of(folder) / _STATE).unlink()
        return None
    # A file that was written elsewhere may name the checkpoint of another folder.
    if state is None or path_of(state.model_checkpoint_path).absolute() != path_of(newest).absolute():
        write_state(folder, path_of(newest).name, [path_of(prefix).name for prefix in saved_checkpoints(folder)])
    return newest


def write_state(folder: str | Path, latest: str, names: Sequence[str]) -> None:
    """Write the ``checkpoint`` file of a folder.

    Args:
      folder: the folder.
      latest: name of the checkpoint to resume from.
      names: of all checkpoints, oldest first.
    """
    if is_url(folder):
        state = tf.train.generate_checkpoint_state_proto("", latest, list(names))
        with replacing(path_of(folder) / _STATE) as temporary:
            temporary.write_text(text_format.MessageToString(state), encoding="utf-8")
        return
    # TensorFlow takes names beside relative paths for files of the working folder.
    tf.train.update_checkpoint_state(str(path_of(folder).absolute()), latest, list(names))


def saved_checkpoints(folder: str | Path) -> list[str]:
    """Return the prefixes of the complete checkpoints of a training folder, oldest first."""
    prefixes = [str(path_of(folder) / name) for name in reversed(_saved_names(folder))]
    return [prefix for prefix in prefixes if is_complete(prefix)]


def step_of(prefix: str) -> int:
    """Return the global step stored in a checkpoint; 0 where it stores none (released checkpoints often do not)."""
    with copies.reader(prefix) as reader:
        return int(reader.get_tensor("global_step")) if reader.has_tensor("global_step") else 0


def _opens(prefix: str) -> bool:
    try:
        copies.shapes(prefix)
    except (tf.errors.OpError, RuntimeError, ValueError, FileNotFoundError):
        return False
    return True


def _saved_names(folder: str | Path) -> list[str]:
    """Return names of the numbered checkpoints in a training folder, newest first, complete or not."""
    steps = (file.stem.rpartition("-")[2] for file in path_of(folder).glob(f"{PREFIX}-*.index"))
    return [f"{PREFIX}-{step}" for step in sorted(map(int, filter(str.isdigit, steps)), reverse=True)]


def _state(folder: str | Path) -> Any:
    if not opens_in_tensorflow(folder):
        return _state_elsewhere(path_of(folder) / _STATE)
    try:
        return tf.train.get_checkpoint_state(str(folder))
    except tf.errors.OpError as error:
        raise RunError(f"Cannot read {folder}/checkpoint: {error.message}") from error


def _state_elsewhere(path: Path) -> Any:
    state = tf.train.generate_checkpoint_state_proto("", PREFIX)
    state.Clear()  # made for its class, whose module is none of TensorFlow's interface
    try:
        return text_format.Parse(path.read_text(encoding="utf-8"), state)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RunError(f"Cannot read {path}: {error.strerror}") from error
    except (UnicodeDecodeError, text_format.ParseError) as error:
        log.warning("Ignoring %s: %s", path, error)
        return None


def _only_checkpoint(folder: Path) -> str | None:
    prefixes = [str(file.with_suffix("")) for file in folder.glob("*.index")]
    prefixes += [str(file) for file in folder.glob("*.ckpt") if file.is_file()]
    return prefixes[0] if len(prefixes) == 1 and is_complete(prefixes[0]) else None
