"""Evaluations found on disk: predictions, figures, and the training folder they belong to. No TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets.storage import path_of
from slim_train.checkpoints import training_folder
from slim_train.errors import UsageError

_PREFIX, _SUFFIX = "predictions_", ".csv"


@dataclasses.dataclass(frozen=True)
class EvaluatedRun:
    """An evaluation.

    Attributes:
      name: short, and different from those of the other runs.
      predictions: the predictions file.
      split: the split; "" if the name of the file does not say it.
      net: name of the net, or None.
      step: global step of the checkpoint, or None.
      loss, top_5_accuracy: or None.
      history: lines of metrics.jsonl; none if the training folder is not known.
    """

    name: str
    predictions: Path
    split: str
    net: str | None = None
    step: int | None = None
    loss: float | None = None
    top_5_accuracy: float | None = None
    history: tuple[dict[str, Any], ...] = dataclasses.field(default=(), repr=False)


def find_runs(paths: Sequence[str], split: str | None = None) -> list[EvaluatedRun]:
    """Return the evaluations at paths: training folders, folders of evaluations, predictions files.

    Args:
      paths: at least two.
      split: of folders with several evaluations; None takes the only one.

    Raises:
      UsageError: there is none at a path, or several.
    """
    files = [_predictions_file(path_of(path), split) for path in paths]
    names = _short_names(paths)
    return [_described(name, file) for name, file in zip(names, files, strict=True)]


def _predictions_file(path: Path, split: str | None) -> Path:
    if path.is_file():
        return path
    if not path.is_dir():
        raise UsageError(f"{path} does not exist: name a training folder, a folder of an evaluation or its CSV file.")
    pattern = f"{_PREFIX}{split or '*'}{_SUFFIX}"
    found = sorted([*path.glob(pattern), *path.glob(f"eval_*/{pattern}")])
    if not found:
        of_split = f" of the split {split}" if split else ""
        raise UsageError(f"{path} holds no predictions{of_split}: run eval_image_classifier --checkpoint_path={path}.")
    if len(found) > 1:
        listed = ", ".join(str(file.relative_to(path)) for file in found)
        raise UsageError(f"{path} holds several evaluations, {listed}: choose with --split, or name a file.")
    return found[0]


def _short_names(paths: Sequence[str]) -> list[str]:
    """Return the last parts of the paths, as many as tell them apart; numbers if nothing does."""
    parts = [str(path_of(path)).split("/") for path in paths]
    for count in range(1, max(map(len, parts)) + 1):
        names = ["/".join(of_path[-count:]) for of_path in parts]
        if len(set(names)) == len(names):
            return names
    return [f"{path} ({number})" for number, path in enumerate(paths, start=1)]


def _described(name: str, file: Path) -> EvaluatedRun:
    is_named = file.name.startswith(_PREFIX) and file.name.endswith(_SUFFIX)
    split = file.name[len(_PREFIX) : -len(_SUFFIX)] if is_named else ""
    figures = _figures(file.with_name(f"eval_{split}.json")) if split else {}
    folder = _training_folder(file, figures)
    options = training_folder.read_options(folder) if folder else None
    return EvaluatedRun(
        name,
        file,
        split,
        net=options.model.model_name if options else None,
        step=figures.get("global_step"),
        loss=figures.get("loss"),
        top_5_accuracy=figures.get("top_5_accuracy"),
        history=tuple(training_folder.read_metrics(folder)) if folder else (),
    )


def _figures(path: Path) -> dict[str, Any]:
    """Return what is known of an evaluation; nothing if the file is missing or damaged."""
    values = training_folder.read_json(path)
    numbers = {"global_step": int, "loss": float, "top_5_accuracy": float}
    kept: dict[str, Any] = {name: kind(values[name]) for name, kind in numbers.items() if _is_number(values.get(name))}
    return kept | ({"checkpoint": values["checkpoint"]} if isinstance(values.get("checkpoint"), str) else {})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _training_folder(file: Path, figures: dict[str, Any]) -> Path | None:
    """Return the nearest folder with config.yaml: above the file, else above the checkpoint that was evaluated."""
    candidates = list(file.absolute().parents[:3])
    if "checkpoint" in figures:
        candidates += path_of(figures["checkpoint"]).parents[:2]
    return next((folder for folder in candidates if (folder / training_folder.CONFIG).is_file()), None)
