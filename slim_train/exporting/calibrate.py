"""The temperature of an export: that of an evaluation of the same checkpoint, found in its folder."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path
from typing import Any

from slim_train.checkpoints import training_folder
from slim_train.errors import UsageError
from slim_train.inference.trained_model import TrainedModel, logits_identity

log = logging.getLogger(__name__)

# Splits whose evaluation is taken first. A temperature of images trained on says nothing about others.
_FIRST = ("validation", "test")


def calibrated(trained: TrainedModel) -> TrainedModel:
    """Return a trained model with the temperature of its evaluation.

    Raises:
      UsageError: no evaluation of exactly this checkpoint, on images not trained on, has a temperature.
    """
    evaluations = _evaluations(trained.folder)
    if not evaluations:
        raise UsageError(f"--calibrate: {trained.folder} holds no evaluation. {_command(trained)}")
    identity = logits_identity(trained.spec, trained.checkpoint, trained.use_averages)
    of_this = [values for values in evaluations if values.get("evaluated") == identity]
    if not of_this:
        found = ", ".join(
            sorted({f"{values.get('split')} of step {values.get('global_step')}" for values in evaluations})
        )
        raise UsageError(
            f"--calibrate: no evaluation in {trained.folder} is of {trained.checkpoint} as it is exported ({found}). "
            f"{_command(trained)}"
        )
    plain = [values for values in of_this if not values.get("eval_flip")]
    if not plain:
        raise UsageError(
            "--calibrate: the evaluation averages each image and its mirror image, which an export does not. "
            f"{_command(trained)}"
        )
    options = training_folder.read_options(trained.folder)
    trained_on = options.data.dataset_split_name if options else None
    for values in sorted(plain, key=_rank):
        temperature = _temperature(values)
        if temperature is not None and values.get("split") != trained_on:
            log.info("Temperature %.4f, from the evaluation of %s.", temperature, values["split"])
            return dataclasses.replace(trained, temperature=temperature)
    splits = ", ".join(str(values.get("split")) for values in plain)
    raise UsageError(
        f"--calibrate: the evaluation of {splits} gives no temperature: it is of the images trained on, or makes no "
        "mistakes. Evaluate another split."
    )


def _command(trained: TrainedModel) -> str:
    return f"Run eval_image_classifier --checkpoint_path={trained.checkpoint} --noeval_flip first."


def _evaluations(folder: Path) -> list[dict[str, Any]]:
    """Return what the eval_<split>.json of a training folder hold; damaged ones are ignored."""
    return [values for path in sorted(folder.glob("eval_*/eval_*.json")) if (values := training_folder.read_json(path))]


def _rank(values: dict[str, Any]) -> int:
    split = values.get("split")
    return _FIRST.index(split) if split in _FIRST else len(_FIRST)


def _temperature(values: dict[str, Any]) -> float | None:
    """Return the temperature of an evaluation; None if it has none, or one that is no positive number."""
    try:
        value = float(values["calibration"]["temperature"]["value"])
    except (KeyError, TypeError, ValueError):
        return None
    return value if 0 < value < float("inf") else None
