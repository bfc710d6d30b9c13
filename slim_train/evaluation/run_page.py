"""report.html of a training folder: how it was trained, its curves, and an evaluation. No TensorFlow."""

from __future__ import annotations

import logging
import platform
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from datasets.files import replacing
from deployment.threads import available_cpus
from slim_train.checkpoints import training_folder
from slim_train.config import flag_specs
from slim_train.evaluation.evaluation_page import evaluation_html
from slim_train.evaluation.mistakes import Mistake
from slim_train.evaluation.report import EvaluationReport
from slim_train.reports import html
from slim_train.training_options import TrainOptions

log = logging.getLogger(__name__)

_PACKAGES = ("slim-train", "tensorflow", "tf-slim", "tf-keras", "numpy", "pillow")


def write_run_report(
    folder: Path,
    evaluation: EvaluationReport | Callable[[], EvaluationReport | None] | None = None,
    mistakes: Sequence[Mistake] = (),
) -> Path | None:
    """Write report.html of a training folder.

    Args:
      folder: the training folder.
      evaluation: the figures of a split, or a function that computes them; None shows none.
      mistakes: the worst mistakes, the most confident first.

    Returns:
      The file; None if it cannot be written, which the log says: a run is not lost for its report.
    """
    path = folder / training_folder.REPORT
    try:
        figures = evaluation() if callable(evaluation) else evaluation
        text = html.page(f"Run {folder.name}", run_html(folder, figures, mistakes))
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError as error:
        log.warning("Cannot write %s: %s.", path, error.strerror or error)
        return None
    except Exception as error:  # such as of a damaged line of metrics.jsonl, which nothing else of the run needs
        log.debug("No report:", exc_info=True)
        log.warning("Cannot draw %s: %s: %s.", path, type(error).__name__, error)
        return None
    log.info("The report of the run is %s.", path)
    return path


def run_html(folder: Path, evaluation: EvaluationReport | None = None, mistakes: Sequence[Mistake] = ()) -> str:
    """Return what report.html shows, as one block."""
    options = training_folder.read_options(folder)
    result = training_folder.read_json(folder / training_folder.RESULT)  # empty while a run goes on
    parts = [html.facts(_run_facts(folder, options, result))]
    curves = html.training_curves(training_folder.read_metrics(folder))
    if curves:
        parts += [html.heading("Training curves"), curves]
    if evaluation:
        parts.append(evaluation_html(evaluation, mistakes))
    else:
        parts += [html.heading("Evaluation"), html.paragraph("None yet: eval_image_classifier adds one.")]
    if options:
        parts += _flags(options)
    parts += [html.heading("Versions and machine of this report"), html.facts(machine())]
    note = f"accuracy {evaluation.accuracy:.2%} on {evaluation.split}" if evaluation else ""
    return html.report(f"Run {folder.name}", note, *parts)


def machine() -> dict[str, str]:
    """Return versions and this machine, by name."""
    versions = {}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return {
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "Python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "CPUs": str(available_cpus()),
    }


def _run_facts(folder: Path, options: TrainOptions | None, result: Mapping[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {"folder": folder}
    if options:
        labels = training_folder.trained_labels(folder)
        classes = f", {len(labels):,} classes" if labels else ""
        data = options.data.dataset_dir or options.data.dataset_name or "synthetic"
        values |= {
            "net": options.model.model_name,
            "data": f"{data}, split {options.data.dataset_split_name}{classes}",
        }
    step, last = result.get("global_step"), result.get("last_step")
    if step is not None:
        values["steps"] = f"{step:,} of {last:,}" if last else f"{step:,}"
    resumed = result.get("resumed_step")
    if resumed is not None:
        values["resumed"] = f"at step {resumed:,}; time and speed are from there"
    if result.get("seconds"):
        speed = f", {result['images_per_second']:,.0f} images/s" if result.get("images_per_second") else ""
        values["time"] = f"{result['seconds']:,.0f} s{speed}"
    values["precision"] = result.get("precision")
    values["stopped by"] = result.get("stopped_by")
    if result.get("best_accuracy") is not None:
        values["best accuracy"] = f"{result['best_accuracy']:.2%} in evaluations during training"
    return values


def _flags(options: TrainOptions) -> list[str]:
    """Return the flags that differ from the defaults, and the others, folded."""
    defaults = {spec.name: spec.default for spec in flag_specs(TrainOptions())}
    given = {spec.name: spec.default for spec in flag_specs(options)}
    changed = {name: value for name, value in given.items() if value != defaults[name]}
    others = {name: value for name, value in given.items() if name not in changed and value is not None}
    return [
        html.heading("Flags that differ from the defaults"),
        html.facts(changed),
        html.details(f"{len(others):,} flags at their defaults", html.facts(others), is_open=False),
    ]
