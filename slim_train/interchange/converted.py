"""Files of other frameworks as TensorFlow checkpoints, converted into the user's cache the first time."""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datasets.made_folders import made_folder
from slim_train.errors import UsageError
from slim_train.interchange.layer_graph import LayerGraph
from slim_train.interchange.stored_layers import write_layers
from slim_train.tf_compat import tf

log = logging.getLogger(__name__)

_CHECKPOINT = "model.ckpt"
_FACTS = "converted.json"
# Of what is converted differently from before, so that the cache is not asked.
_VERSION = "3"


@dataclasses.dataclass(frozen=True)
class Facts:
    """The description of a net in a file besides the weights; None for what the file does not say.

    Attributes:
      model_name: the net.
      image_size: height and width of the input in pixels.
      channels: color channels of the input.
      preprocessing: name of the recipe.
      labels: a name for each score.
      num_classes: width of the logits.
      scaled_decoding: whether large JPEGs are decoded smaller than they are.
      temperature: divides the logits.
    """

    model_name: str | None = None
    image_size: int | None = None
    channels: int | None = None
    preprocessing: str | None = None
    labels: tuple[str, ...] | None = None
    num_classes: int | None = None
    scaled_decoding: bool | None = None
    temperature: float | None = None


@dataclasses.dataclass(frozen=True)
class Converted:
    """The content of a file.

    Attributes:
      values: of the variables of the net, by their names in TF-Slim.
      facts: what else the file says.
      layers: of the file, or why they cannot be read, to be compared with those of the net that takes the values; None
        if that is not necessary.
    """

    values: Mapping[str, NDArray[np.generic]]
    facts: Facts
    layers: LayerGraph | str | None = None


def converted_checkpoint(path: Path, others: Iterable[Path], convert: Callable[[Path], Converted]) -> str:
    """Return the prefix of the checkpoint that a file of another framework becomes. It is alone in its folder.

    Args:
      path: the file; it may be a URL.
      others: files beside it that the result depends on, if they exist.
      convert: returns the content of the file; it is given a copy on this machine if that is a URL.

    Raises:
      UsageError: the file cannot be read, or the cache cannot be written.
    """

    def make(here: Path, folder: Path) -> None:
        folder.mkdir()
        _write(folder, convert(here))
        log.info("Converted %s to a checkpoint.", path)

    try:
        home = made_folder("checkpoints", path.stem, path, make, others, _VERSION)
        return str(home / _CHECKPOINT)
    except OSError as error:
        raise UsageError(f"{path} cannot be converted to a checkpoint: {error.strerror or error}.") from error


def read_facts(folder: Path) -> Facts | None:
    """Return what a converted file said besides the weights; None for a folder of another kind."""
    try:
        content = json.loads((folder / _FACTS).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        return None
    labels = content.pop("labels")
    return Facts(**content, labels=None if labels is None else tuple(labels))


def write_checkpoint(prefix: str, values: Mapping[str, NDArray[np.generic]]) -> None:
    """Write variables as a TensorFlow checkpoint."""
    names = sorted(values)
    with tf.Graph().as_default(), tf.Session() as session:
        tensors = [tf.placeholder(values[name].dtype, values[name].shape) for name in names]
        saved = tf.raw_ops.SaveV2(
            prefix=prefix, tensor_names=names, shape_and_slices=[""] * len(names), tensors=tensors
        )
        feed: dict[Any, Any] = {tensor: values[name] for tensor, name in zip(tensors, names, strict=True)}
        session.run(saved, feed)


def _write(folder: Path, content: Converted) -> None:
    write_checkpoint(str(folder / _CHECKPOINT), content.values)
    text = json.dumps(dataclasses.asdict(content.facts), ensure_ascii=False)
    (folder / _FACTS).write_text(text, encoding="utf-8")
    if content.layers is not None:
        write_layers(folder, content.layers)
