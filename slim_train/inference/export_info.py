"""The description of an export, in model.json or in the model's file: all that is not in the graph. No TensorFlow."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datasets.files import replacing
from slim_train.errors import UsageError

FILE = "model.json"
# Where TensorFlow Serving leaves files alone that the graph does not read.
FOLDER_IN_SAVED_MODEL = "assets.extra"


@dataclasses.dataclass(frozen=True)
class ExportInfo:
    """The net of an export.

    Attributes:
      model_name: the net.
      labels: a name for each score.
      image_size: height and width of its input in pixels.
      channels: color channels of its input.
      preprocessing: name of the recipe.
      step: global step of the checkpoint.
      checkpoint: file name of the checkpoint.
      scaled_decoding: whether large JPEGs are decoded smaller than they are. Older exports do not.
      temperature: divides the logits before the scores; None if they are as trained.
    """

    model_name: str
    labels: tuple[str, ...]
    image_size: tuple[int, int]
    channels: int
    preprocessing: str
    step: int
    checkpoint: str
    scaled_decoding: bool = False
    temperature: float | None = None


def write_export_info(path: Path, info: ExportInfo) -> None:
    """Write ``info`` as JSON, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(to_json(info), encoding="utf-8")


def read_export_info(path: Path) -> ExportInfo | None:
    """Return what ``path`` says, or None if there is no such file, or one of another program.

    Raises:
      UsageError: the file is broken.
    """
    if not path.is_file():
        return None
    try:
        return from_json(path.read_text(encoding="utf-8"), path)
    except (OSError, ValueError) as error:
        raise _broken(path, error) from error


def to_json(info: ExportInfo) -> str:
    """Return ``info`` as JSON."""
    return json.dumps(dataclasses.asdict(info), indent=2, ensure_ascii=False) + "\n"


def from_json(text: str, path: Path) -> ExportInfo | None:
    """Return what :func:`to_json` made of an info, or None if another program wrote it.

    Raises:
      UsageError: it is broken; the message names ``path``.
    """
    try:
        content = json.loads(text)
        return _info(content) if "model_name" in content else None
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise _broken(path, error) from error


def to_properties(info: ExportInfo) -> dict[str, str]:
    """Return ``info`` as text by name, for files that hold such properties; what is not text is JSON."""
    return {
        name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        for name, value in dataclasses.asdict(info).items()
    }


def from_properties(properties: Mapping[str, str], path: Path) -> ExportInfo | None:
    """Return what :func:`to_properties` made of an info, or None if another program wrote the file.

    Args:
      properties: of the file.
      path: of the file, for the error.

    Raises:
      UsageError: a property is broken.
    """
    if not {"model_name", "preprocessing"} <= properties.keys():
        return None
    # Annotations are text in this module.
    is_text = {field.name: field.type == "str" for field in dataclasses.fields(ExportInfo)}
    try:
        return _info(
            {
                name: value if is_text[name] else json.loads(value)
                for name, value in properties.items()
                if name in is_text
            }
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise _broken(path, error) from error


def _info(content: Mapping[str, Any]) -> ExportInfo:
    content = {"scaled_decoding": ExportInfo.scaled_decoding, "temperature": None, **content}
    info = ExportInfo(**{field.name: content[field.name] for field in dataclasses.fields(ExportInfo)})
    height, width = map(int, info.image_size)
    return dataclasses.replace(info, labels=tuple(map(str, info.labels)), image_size=(height, width))


def _broken(path: Path, error: Exception) -> UsageError:
    return UsageError(f"{path} does not describe an export of slim-train ({error!r}): export again.")
