"""Metrics of an evaluation as JSON: for scripts and dashboards."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets.files import replacing
from slim_train.evaluation.metrics import ClassificationReport


def write_metrics_json(
    path: Path,
    report: ClassificationReport,
    labels: Sequence[str],
    *,
    checkpoint: str,
    global_step: int,
    split: str,
    seconds: float,
) -> None:
    """Write all figures of ``report``, with what was evaluated.

    Args:
      labels: a name for each class.
      checkpoint: prefix of the checkpoint.
      global_step: step of the checkpoint.
      split: name of the split.
      seconds: how long the evaluation took.
    """
    values = {
        "split": split,
        "checkpoint": checkpoint,
        "global_step": global_step,
        "images": report.images,
        "seconds": round(seconds, 3),
        "images_per_second": round(report.images / max(seconds, 1e-9), 2),
        "loss": report.loss,
        "accuracy": report.accuracy,
        "top_5_accuracy": report.top_5_accuracy,
        "balanced_accuracy": report.balanced_accuracy,
        "macro_average": report.macro._asdict(),
        "weighted_average": report.weighted._asdict(),
        "labels": list(labels),
        "per_class": _per_class(report, labels),
        "confusion_matrix": report.confusion_matrix.tolist(),
    }
    with replacing(path) as temporary:
        temporary.write_text(_one_item_a_line(values), encoding="utf-8")


def _per_class(report: ClassificationReport, labels: Sequence[str]) -> list[dict[str, Any]]:
    columns = (report.precision.tolist(), report.recall.tolist(), report.f1.tolist(), report.support.tolist())
    return [
        {"class": index, "label": label, "precision": precision, "recall": recall, "f1": f1, "support": support}
        for index, (label, precision, recall, f1, support) in enumerate(zip(labels, *columns, strict=True))
    ]


def _one_item_a_line(values: dict[str, Any]) -> str:
    """JSON with one line for each value and for each item of a list.

    ``json.dumps(indent=2)`` would write a million lines for the confusion matrix of 1,000 classes.
    """

    def encode(value: Any) -> str:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)

    def lines(value: Any) -> str:
        if not isinstance(value, list):
            return encode(value)
        return "[\n" + ",\n".join(f"    {encode(item)}" for item in value) + "\n  ]"

    return "{\n" + ",\n".join(f"  {encode(name)}: {lines(value)}" for name, value in values.items()) + "\n}\n"
