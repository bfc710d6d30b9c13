"""The checkpoint that a path of the user's means."""

from __future__ import annotations

import re
from pathlib import Path

from datasets.storage import path_of
from slim_train.checkpoints.archives import ENDINGS, checkpoint_of_archive
from slim_train.checkpoints.find import is_complete, newest_checkpoint
from slim_train.errors import UsageError
from slim_train.interchange.keras_checkpoint import ENDINGS as KERAS_ENDINGS
from slim_train.interchange.keras_checkpoint import checkpoint_of_keras
from slim_train.interchange.torch_checkpoint import ENDINGS as TORCH_ENDINGS
from slim_train.interchange.torch_checkpoint import PICKLES, checkpoint_of_safetensors, refuse_pickle


def resolve_checkpoint(path: str) -> str:
    """Return the checkpoint prefix that a user's ``--checkpoint_path`` or ``--train_dir`` means.

    Takes a prefix, any file of a checkpoint, a folder with a ``checkpoint`` file or a single checkpoint in it, a tar
    archive of released weights, a Keras file, or weights of timm. The last three become checkpoints in the user's
    cache.

    Raises:
      UsageError: there is nothing at ``path``, or nothing that is a checkpoint.
    """
    given = path_of(path)
    if given.is_dir():
        found = newest_checkpoint(given)
        if found is None:
            raise UsageError(f"The folder {path} holds no checkpoint (no .index file).")
        return found
    if given.is_file() and path.endswith(ENDINGS):
        return checkpoint_of_archive(given)
    if given.is_file() and path.endswith(KERAS_ENDINGS):
        return checkpoint_of_keras(given)
    if given.is_file() and path.endswith(TORCH_ENDINGS):
        return checkpoint_of_safetensors(given)
    if given.is_file() and path.endswith(PICKLES):
        refuse_pickle(given)
    prefix = re.sub(r"\.(index|meta|data-\d{5}-of-\d{5})$", "", path)
    if is_complete(prefix):
        return prefix
    if given.is_file() and path.endswith((".h5", ".hdf5")):
        raise UsageError(
            f"{path} is not read, because HDF5 files need not hold the layers: load it into its model in Keras, call "
            "model.save('model.keras'), and give that file."
        )
    if given.is_file() and path.endswith((".onnx", ".tflite")):
        raise UsageError(
            f"{path} has no variables: label_image --graph, classify_images and serve_image_classifier take it. Here "
            "the checkpoint or training folder is required that it was exported from."
        )
    if given.exists() or path_of(f"{prefix}.index").exists():
        raise UsageError(f"{path} is not a complete TensorFlow checkpoint.")
    raise UsageError(f"The checkpoint {path} does not exist{_neighbours(given)}.{_download(given)}")


def becomes_checkpoint(path: str) -> bool:
    """Return whether ``path`` is a file that :func:`resolve_checkpoint` makes a checkpoint of, in another folder."""
    return path_of(path).is_file() and path.endswith((*ENDINGS, *KERAS_ENDINGS, *TORCH_ENDINGS))


def _download(given: Path) -> str:
    """Return how to get a checkpoint where slim_models puts those that it downloads."""
    if given.parent.name != "checkpoints":
        return ""
    return f" 'slim_models --download {given.name}' downloads released weights, if {given.name} is a net that has them."


def _neighbours(path: Path) -> str:
    """Return what lies beside a checkpoint that is not there, for the error."""
    if not path.parent.is_dir():
        return f": there is no folder {path.parent}"
    prefixes = sorted(file.name.removesuffix(".index") for file in path.parent.glob("*.index"))
    return f"; beside it: {', '.join(prefixes[:5])}" if prefixes else ""
