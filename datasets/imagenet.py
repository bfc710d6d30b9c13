"""ImageNet (ILSVRC 2012) as research/slim's build_imagenet_data.py writes it: found and read, never made here."""

from __future__ import annotations

from pathlib import Path

from datasets.spec import LABELS_FILE, DatasetInfo, SplitInfo, read_labels

NAME = "imagenet"

# Label 0 is a background class without images; the thousand classes are 1 to 1000.
_NUM_CLASSES = 1001
_SPLITS = {"train": SplitInfo(1_281_167), "validation": SplitInfo(50_000)}


def published_info(folder: Path) -> DatasetInfo:
    """Return the published sizes, for folders without info.json; labels.txt is read if there is one."""
    path = folder / LABELS_FILE
    labels = read_labels(path) if path.exists() else tuple(str(label) for label in range(_NUM_CLASSES))
    return DatasetInfo(NAME, labels, _SPLITS)
