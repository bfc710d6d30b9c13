"""The features.json that TensorFlow Datasets writes beside its records. No TensorFlow."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

log = logging.getLogger(__name__)

FEATURES_FILE = "features.json"
INFO_FILE = "dataset_info.json"


@dataclass(frozen=True)
class Features:
    """The features of a data set of TensorFlow Datasets.

    Attributes:
      image_key: key of the image; None if there is none, or several.
      label_key: key of the class label; None if there is none, or several.
      num_classes: the number of classes by key of a class label; None if it is not stated.
    """

    image_key: str | None = None
    label_key: str | None = None
    num_classes: Mapping[str, int | None] = field(default_factory=dict)


def labels_file(label_key: str) -> str:
    """Return the name of the file that names the classes of a label."""
    return f"{label_key.replace('/', '-')}.labels.txt"


def read_features(folder: Path) -> Features:
    """Return what features.json and dataset_info.json say of image and label; nothing if they are missing or damaged.

    With several images or labels, the two that dataset_info.json names for supervised learning are taken.
    """
    held = dict(_features(_read(folder / FEATURES_FILE)))
    images = [key for key, (kind, _) in held.items() if kind == "Image"]
    labels = {key: _num_classes(feature) for key, (kind, feature) in held.items() if kind == "ClassLabel"}
    supervised = _supervised_keys(_read(folder / INFO_FILE))
    return Features(_one_of(images, supervised), _one_of(labels, supervised), labels)


def _one_of(keys: Iterable[str], preferred: Sequence[str]) -> str | None:
    named = [key for key in keys if key in preferred] or list(keys)
    return named[0] if len(named) == 1 else None


def _features(feature: Any, prefix: str = "") -> Iterator[tuple[str, tuple[str, Mapping[str, Any]]]]:
    """Yield key -> (class of the feature, its description), of new and old files: {type, content} was their form."""
    if not isinstance(feature, dict):
        return
    content = feature.get("featuresDict", feature.get("content"))
    within = content.get("features", content) if isinstance(content, dict) else None
    for name, inner in within.items() if isinstance(within, dict) else ():
        if not isinstance(inner, dict):
            continue
        kind = str(inner.get("pythonClassName", inner.get("type", ""))).rpartition(".")[2]
        if kind == "FeaturesDict":
            yield from _features(inner, f"{prefix}{name}/")
        else:
            yield f"{prefix}{name}", (kind, inner)


def _num_classes(label: Mapping[str, Any]) -> int | None:
    content = label.get("classLabel", label.get("content"))
    stated = str(content.get("numClasses", content.get("num_classes"))) if isinstance(content, dict) else ""
    return (int(stated) or None) if stated.isdecimal() else None


def _supervised_keys(info: Any) -> list[str]:
    try:
        return [str(item["featureKey"]) for item in info["supervisedKeys"]["tuple"]["items"]]
    except (KeyError, TypeError):
        return []


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("Ignoring %s, which cannot be read: %s", path, error)
        return None
