"""conf.json of the UAI inference service: parsed and checked, its numbers read and never evaluated. No TensorFlow.

The form is that of the examples of github.com/ucloud/uai-sdk (tensorflow/inference/retrain, tensorflow/train/slim).
"""

from __future__ import annotations

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slim_train.errors import UsageError

# Where an example's folder keeps its code; the service's image has code, models and conf.json in one folder.
_CODE = "code"


@dataclass(frozen=True)
class UaiConf:
    """What a conf.json says.

    Attributes:
      path: of the file.
      content: all of it, with model_dir as an absolute path.
      main_class: name of the class that answers.
      main_file: the Python file that defines it; None if no such file is there.
      model_dir: folder with the model.
      input_width: pixels; None if nothing is said. Likewise input_height and eval_image_size.
      model_name: the net; None if nothing is said. Likewise preprocessing_name.
    """

    path: Path
    content: dict[str, Any]
    main_class: str
    main_file: Path | None
    model_dir: Path
    input_width: int | None
    input_height: int | None
    model_name: str | None
    preprocessing_name: str | None
    eval_image_size: int | None


def read_uai_conf(path: Path) -> UaiConf:
    """Read a conf.json. Paths in it are relative to its folder, or to the folder ``code`` in that.

    Raises:
      UsageError: it cannot be read or lacks something; the message names the key.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is not a conf.json that can be read: {error}.") from error
    server = _section(_section({"": content}, "", path), "http_server", path)
    program = _section(server, "exec", path, "http_server.")
    tensorflow = _section(server, "tensorflow", path, "http_server.")
    info = _section(content, "infor", path) if "infor" in content else {}
    main_file = _text(program, "main_file", path, "http_server.exec.")
    model_dir = _text(tensorflow, "model_dir", path, "http_server.tensorflow.")
    main_class = _text(program, "main_class", path, "http_server.exec.")
    if not (main_file and model_dir and main_class):
        raise UsageError(f"{path}: http_server needs exec.main_class, exec.main_file and tensorflow.model_dir.")
    folder = _near(path, model_dir)
    if folder is None:
        raise UsageError(f"{path}: http_server.tensorflow.model_dir={model_dir} does not exist.")
    resolved = copy.deepcopy(content)
    resolved["http_server"]["tensorflow"]["model_dir"] = str(folder)
    return UaiConf(
        path=path,
        content=resolved,
        main_class=main_class,
        main_file=_near(path, f"{main_file.removesuffix('.py')}.py"),
        model_dir=folder,
        input_width=_number(tensorflow, "input_width", path, "http_server.tensorflow."),
        input_height=_number(tensorflow, "input_height", path, "http_server.tensorflow."),
        model_name=_text(info, "model_name", path, "infor."),
        preprocessing_name=_text(info, "preprocessing_name", path, "infor."),
        eval_image_size=_number(info, "eval_image_size", path, "infor."),
    )


def _near(conf: Path, name: str) -> Path | None:
    candidates = (conf.parent / name, conf.parent / _CODE / name)
    return next((path.resolve() for path in candidates if path.exists()), None)


def _section(content: Any, key: str, path: Path, where: str = "") -> dict[str, Any]:
    section = content.get(key)
    if section is None and key:
        raise UsageError(f"{path}: {where}{key} is missing; docs/serving.md shows a whole file.")
    if not isinstance(section, dict):
        raise UsageError(f"{path}: {where + key or 'the file'} must be an object, {{...}}.")
    return section


def _text(section: dict[str, Any], key: str, path: Path, where: str) -> str | None:
    """Text; the examples write "None" where they mean none."""
    value = section.get(key)
    if value in (None, "", "None"):
        return None
    if not isinstance(value, str):
        raise UsageError(f"{path}: {where}{key} must be text, got {value!r}.")
    return value


def _number(section: dict[str, Any], key: str, path: Path, where: str) -> int | None:
    """Return a whole number above 0, which the examples write as text."""
    value = section.get(key)
    if value in (None, "", "None"):
        return None
    text = str(value).strip() if isinstance(value, str | int) and not isinstance(value, bool) else ""
    if not (text.isascii() and text.isdecimal() and len(text) < 6 and int(text) > 0):
        raise UsageError(f"{path}: {where}{key} must be a number of pixels, such as 224, got {value!r}.")
    return int(text)
