"""The training folder: what a run leaves behind, and all that evaluation and export need of it. No TensorFlow."""

from __future__ import annotations

import errno
import itertools
import json
import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets.files import replacing
from datasets.spec import INFO_FILE, LABELS_FILE, DatasetInfo, DatasetSpec, SplitInfo, read_labels, write_info
from datasets.storage import copy_file, path_of
from slim_train import config
from slim_train.errors import UsageError
from slim_train.training_options import TrainOptions

log = logging.getLogger(__name__)

PREFIX = "model.ckpt"
BEST = "best"
CONFIG = "config.yaml"
RESULT = "result.json"
METRICS = "metrics.jsonl"
MLFLOW_RUN = "mlflow_run.json"
REPORT = "report.html"
_OF_THE_DATA_SET = (LABELS_FILE, INFO_FILE)
# Of the metrics of an evaluation, which hold a line for each class and each pair of classes that was confused.
_MOST_BYTES_OF_JSON = 256 * 2**20
# What a fresh start puts aside.
_OF_A_RUN = ("checkpoint", f"{PREFIX}*", "events.out.tfevents.*", METRICS, MLFLOW_RUN, REPORT, BEST, "graph.pbtxt")
# Flags that decide which variables there are, and their shapes.
_OF_THE_VARIABLES = (
    "model_name",
    "num_classes",
    "train_image_channels",
    "optimizer",
    "trainable_scopes",
    "learning_rate_multipliers",
    "moving_average_decay",
)


def start(folder: Path, options: TrainOptions, dataset: DatasetSpec) -> None:
    """Make the folder and write what it needs before the first step: labels.txt, info.json, config.yaml.

    Raises:
      UsageError: the folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in (RESULT, REPORT):
            (folder / old).unlink(missing_ok=True)
        if not (path_of(dataset.dataset_dir) / INFO_FILE).is_file():  # records of another tool
            split = SplitInfo(dataset.num_samples, dataset.class_counts)
            write_info(folder, DatasetInfo(dataset.name, dataset.labels, {dataset.split_name: split}))
        else:
            _copy_description(path_of(dataset.dataset_dir), folder)
        config.write_yaml(folder / CONFIG, options)  # last: an evaluator that waits for it reads the class names too
    except OSError as error:
        raise UsageError(f"--train_dir: cannot write to {folder}: {error.strerror}.") from error


def _copy_description(dataset_dir: Path, folder: Path) -> None:
    for name in _OF_THE_DATA_SET:
        if (dataset_dir / name).is_file():
            copy_file(dataset_dir / name, folder / name)


def set_aside(train_dir: str | Path) -> Path | None:
    """Move the checkpoints and logs of a training folder into a new ``previous-<n>`` below it, for a fresh start.

    Raises:
      UsageError: they cannot be moved.
    """
    folder = path_of(train_dir)
    old = [path for pattern in _OF_A_RUN for path in folder.glob(pattern)]
    if not old:
        return None
    aside = next(path for number in itertools.count(1) if not (path := folder / f"previous-{number}").exists())
    try:
        aside.mkdir()
        for path in old:
            path.rename(aside / path.name)
    except OSError as error:
        raise UsageError(f"--restart: cannot move {folder}'s checkpoints to {aside}: {error.strerror}.") from error
    return aside


def is_set_aside(train_dir: str | Path, checkpoint: str) -> bool:
    """Return whether :func:`set_aside` would move the checkpoint with the prefix ``checkpoint``."""
    folder, path = path_of(train_dir).resolve(), path_of(checkpoint).resolve()
    return path.parent in (folder, folder / BEST) and (path.parent.name == BEST or path.name.startswith(PREFIX))


def has_ended(folder: Path) -> bool:
    """Return whether the training in ``folder`` has written its result."""
    return (folder / RESULT).is_file()


def trained_labels(folder: Path) -> tuple[str, ...] | None:
    """Return the names of the classes that a folder was trained on; None if it does not hold them."""
    path = folder / LABELS_FILE
    return read_labels(path) if path.is_file() and (folder / CONFIG).is_file() else None


def check_labels(folder: Path, labels: Sequence[str]) -> None:
    """Check that the classes a folder was trained on are those of a data set, in the same order.

    Raises:
      UsageError: they are not; the message names the first that differs.
    """
    path = folder / LABELS_FILE
    trained = read_labels(path) if path.is_file() else tuple(labels)
    if trained == tuple(map(str, range(len(labels)))):
        return  # numbers: the classes had no names yet
    if differing := first_difference(trained, labels):
        label, ours, theirs = differing
        raise UsageError(
            f"The data set is not the one that {folder} was trained on: label {label} is {ours!r} in its labels.txt "
            f"and {theirs!r} in the data set's."
        )


def first_difference(names: Sequence[str], others: Sequence[str]) -> tuple[int, str, str] | None:
    """Return the number and both names of the first class that differs, "missing" beyond an end; None if none does."""
    pairs = enumerate(itertools.zip_longest(names, others, fillvalue="missing"))
    return next(((number, name, other) for number, (name, other) in pairs if name != other), None)


def is_complete(folder: Path, options: TrainOptions) -> bool:
    """Return whether the run that ``options`` describe has reached its last step, for tasks that hold no checkpoint."""
    trained = read_options(folder) if has_ended(folder) else None
    if trained is None:
        return False
    result = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    ends = [(run.loop.max_number_of_steps, run.loop.num_epochs) for run in (trained, options)]
    return ends[0] == ends[1] and result.get("last_step") is not None and result["global_step"] >= result["last_step"]


def describe_changes(folder: Path, options: TrainOptions) -> str:
    """Which flags that decide on the variables of a training are others than those in ``folder``; "" if none is."""
    trained = read_options(folder)
    if trained is None:
        return ""
    before, now = ({spec.name: spec.default for spec in config.flag_specs(of)} for of in (trained, options))
    changed = [name for name in _OF_THE_VARIABLES if before[name] != now[name]]
    if not changed:
        return ""
    flags = (" ".join(f"--{name}={of[name] or ''}" for name in changed) for of in (before, now))
    return "It was trained with {}, which is {} now.".format(*flags)


def read_metrics(folder: Path) -> list[dict[str, Any]]:
    """Return the lines of metrics.jsonl, without one that a killed process left unfinished."""
    return parse_metrics(metrics_text(folder))


def parse_metrics(text: str) -> list[dict[str, Any]]:
    """Return what :func:`read_metrics` does, of the text of a metrics.jsonl."""
    return [values for line in text.splitlines() if (values := _values(line)) is not None]


def add_metrics(folder: Path, values: dict[str, Any]) -> None:
    """Append a line to metrics.jsonl on this machine.

    Raises:
      OSError: the line cannot be written; no part of it stays.
    """
    line = (json.dumps(values) + "\n").encode()
    with (folder / METRICS).open("ab", buffering=0) as file:
        size = file.tell()
        if file.write(line) != len(line):
            file.truncate(size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder / METRICS))


def forget_metrics_after(folder: Path, step: int) -> int:
    """Drop the lines of steps beyond ``step`` from metrics.jsonl, and say how many there were.

    What was measured after a checkpoint is void once training goes on from there: those steps come again.
    """
    text = metrics_text(folder)
    kept = metrics_until(text, step)
    if kept != text:
        write_metrics(folder, kept)
    return len(text.splitlines()) - len(kept.splitlines())


def metrics_until(text: str, step: int) -> str:
    """Return the lines of the text of a metrics.jsonl up to ``step``."""
    lines = text.splitlines(keepends=True)
    return "".join(line for line in lines if (values := _values(line)) is not None and float(values["step"]) <= step)


def read_options(folder: Path) -> TrainOptions | None:
    """The options a folder was trained with, or None if it holds no config.yaml (a released checkpoint's, say)."""
    path = folder / CONFIG
    if not path.is_file():
        return None
    values = config.read_yaml(path, TrainOptions())
    # Trainings from before this flag decoded all pixels. Every later config.yaml holds it.
    return config.with_values(TrainOptions(), {"scaled_decoding": "never", **values})


def write_json(path: Path, values: dict[str, Any]) -> None:
    """Write ``values`` as JSON, atomically."""
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(values, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file of a training or an evaluation.

    It is empty if the file is missing, damaged or larger than 256 MB. The last two are logged.
    """
    try:
        if path.stat().st_size > _MOST_BYTES_OF_JSON:
            log.warning("%s is larger than %d MB, and is ignored.", path, _MOST_BYTES_OF_JSON >> 20)
            return {}
        values = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        log.warning("%s cannot be read, and is ignored: %s.", path, error)
        return {}
    return values if isinstance(values, dict) else {}


def metrics_text(folder: Path) -> str:
    """Return what metrics.jsonl holds; "" if there is none."""
    path = folder / METRICS
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def write_metrics(folder: Path, text: str) -> None:
    """Write metrics.jsonl as a whole."""
    with replacing(folder / METRICS) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _values(line: str) -> dict[str, Any] | None:
    """Return what a line of metrics.jsonl holds; None for a line that a killed process left unfinished."""
    try:
        values = json.loads(line)
        float(values["step"])
    except (ValueError, KeyError, TypeError):
        return None
    return values
