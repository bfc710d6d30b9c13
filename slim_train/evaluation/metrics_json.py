"""Metrics of an evaluation as JSON: for scripts and dashboards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from datasets.files import replacing
from slim_train.evaluation.report import EvaluationReport


def write_metrics_json(path: Path, report: EvaluationReport) -> None:
    """Write all figures of ``report``, with what was evaluated."""
    with replacing(path) as temporary:
        temporary.write_text(_one_item_a_line(report.to_dict()), encoding="utf-8")


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
