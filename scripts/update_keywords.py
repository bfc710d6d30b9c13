#!/usr/bin/env python3
"""Write slim_train/api/keywords.py, from which type checkers and editors know the keywords of the Python functions.

Run it after a change to the options of a command. A test compares the file with what this writes.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slim_train import config
from slim_train.api.compare_runs import CompareOptions
from slim_train.api.convert import ConvertOptions
from slim_train.api.inspect_dataset import InspectOptions
from slim_train.api.load import SOURCES
from slim_train.bulk.classify_options import ClassifyOptions
from slim_train.bulk.options import ExtractOptions
from slim_train.evaluation.options import EvalOptions
from slim_train.exporting.options import ExportOptions
from slim_train.inference.options import ClassifierOptions
from slim_train.retraining.options import RetrainOptions
from slim_train.training_options import TrainOptions

FILE = Path(__file__).resolve().parents[1] / "slim_train" / "api" / "keywords.py"

# Name of the class, the command, its options, and the flags that are arguments of their own or are not taken.
CLASSES: tuple[tuple[str, str, Any, tuple[str, ...]], ...] = (
    ("ConvertFlags", "download_and_convert_data", ConvertOptions(), ("pic_path", "dataset_dir")),
    ("InspectFlags", "inspect_dataset", InspectOptions(), ("dataset_dir", "json")),
    ("TrainFlags", "train_image_classifier", TrainOptions(), ("dataset_dir", "train_dir")),
    ("EvalFlags", "eval_image_classifier", EvalOptions(), ("checkpoint_path",)),
    ("CompareFlags", "compare_runs", CompareOptions(), ("json",)),
    ("ExportFlags", "export_inference_graph", ExportOptions(), ("checkpoint_path",)),
    ("RetrainFlags", "retrain", RetrainOptions(), ("image_dir",)),
    ("ExtractFlags", "extract_features", ExtractOptions(), ("output_dir",)),
    ("ClassifyFlags", "classify_images", ClassifyOptions(), ("predictions_dir",)),
    ("LoadFlags", "label_image", ClassifierOptions(), ("labels", *SOURCES)),
)

HEAD = '''"""The keywords of the Python functions and their types, for type checkers and editors. No TensorFlow.

Written by scripts/update_keywords.py from the options of the commands: do not edit.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TypedDict

# Where a command takes text, a function also takes a path, or a sequence instead of text with commas.
Text = str | os.PathLike[str] | Sequence[str]
'''


def source() -> str:
    """Return the content of the file."""
    return "\n\n".join([HEAD, *(("\n".join(_class(*entry))) + "\n" for entry in CLASSES)])


def _class(name: str, command: str, options: Any, without: tuple[str, ...]) -> Iterator[str]:
    yield f"class {name}(TypedDict, total=False):"
    yield f'    """Flags of {command}."""'
    yield ""
    for spec in config.flag_specs(options):
        for flag in (spec.name, *spec.info.aliases):
            if flag not in without:
                written = "Text" if spec.type is str else spec.type.__name__
                yield f"    {flag}: {written}{' | None' if spec.optional else ''}"


if __name__ == "__main__":
    FILE.write_text(source(), encoding="utf-8")
