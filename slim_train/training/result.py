"""The end of a training: its result as a value and as result.json, its curves, and what is said of them."""

from __future__ import annotations

import dataclasses
import logging
import math
from pathlib import Path
from typing import Any

from deployment import parameter_server
from slim_train import reports
from slim_train.checkpoints import training_folder
from slim_train.checkpoints.best import BestCheckpoint
from slim_train.checkpoints.find import latest_checkpoint, step_of
from slim_train.errors import UsageError
from slim_train.evaluation.run_page import write_run_report
from slim_train.reports import html
from slim_train.training.hooks.of_task import TaskHooks
from slim_train.training.hooks.stopping import StopOnSignal
from slim_train.training.job import Job
from slim_train.training.plateau import Plateau

log = logging.getLogger(__name__)

_CURVES = "curves.png"


@dataclasses.dataclass(frozen=True)
class TrainingResult:
    """What a training run leaves.

    Attributes:
      folder: the training folder.
      global_step: step of the last checkpoint.
      last_step: where the training was to end, or None.
      own_steps: steps of this process.
      loss: of the last step, regularization included; None if this process made none.
      seconds: duration of the run.
      images_per_second: over the whole run.
      precision: fp32, bf16 or fp16.
      checkpoint: prefix of the last checkpoint, or None.
      best_checkpoint: prefix of the checkpoint with the best accuracy; None without evaluation.
      best_accuracy: of that checkpoint on the validation split.
      best_step: of that checkpoint.
      plateau: where the loss stayed at that of a constant answer, or None.
      stopped_by: name of the signal that stopped the run, or None.
      resumed_step: step of the checkpoint that this process went on from, or None.
      history: the lines of metrics.jsonl: for each logged step ``step``, ``loss``, ``learning_rate`` and
        ``images_per_second``; for each evaluation ``step`` and metrics whose names begin with ``eval_``.
    """

    folder: Path
    global_step: int
    last_step: int | None
    own_steps: int = 0
    loss: float | None = None
    seconds: float = 0.0
    images_per_second: float = 0.0
    precision: str | None = None
    checkpoint: str | None = None
    best_checkpoint: str | None = None
    best_accuracy: float | None = None
    best_step: int | None = None
    plateau: Plateau | None = None
    stopped_by: str | None = None
    resumed_step: int | None = None
    history: tuple[dict[str, float], ...] = ()

    @property
    def evaluations(self) -> tuple[dict[str, float], ...]:
        """The lines of ``history`` that are evaluations."""
        return tuple(line for line in self.history if "eval_accuracy" in line)

    @property
    def files(self) -> dict[str, Path]:
        """The files that were written, by what they hold."""
        names = {
            "config": training_folder.CONFIG,
            "metrics": training_folder.METRICS,
            "result": training_folder.RESULT,
            "curves": _CURVES,
            "report": training_folder.REPORT,
        }
        return {name: path for name, file in names.items() if (path := self.folder / file).is_file()}

    def to_dict(self) -> dict[str, Any]:
        """Return the result as result.json holds it."""
        values = dataclasses.asdict(self)
        for name in ("folder", "history", "best_step"):
            del values[name]
        return values

    def _repr_html_(self) -> str:
        best = f"accuracy {self.best_accuracy:.4f} at step {self.best_step}" if self.best_checkpoint else None
        facts = {
            "folder": self.folder,
            "steps": f"{self.global_step:,}{f' of {self.last_step:,}' if self.last_step else ''}",
            "loss": None if self.loss is None else f"{self.loss:.4f}",
            "best": best,
            "speed": f"{self.images_per_second:,.0f} images/s" if self.images_per_second else None,
            "stopped by": self.stopped_by,
        }
        note = f"{self.seconds:,.0f} s" if self.seconds else ""
        return html.report("Training", note, html.facts(facts), html.training_curves(self.history))


def finish(job: Job, hooks: TaskHooks, seconds: float, stop: StopOnSignal) -> TrainingResult:
    """Write result.json, the curves and report.html, and say where things are."""
    metrics = hooks.metrics
    checkpoint = latest_checkpoint(job.train_dir)
    best = BestCheckpoint(job.train_dir)
    result = TrainingResult(
        folder=job.train_dir,
        # Other workers may have made steps since this one's last.
        global_step=step_of(checkpoint) if checkpoint else metrics.step,
        last_step=job.schedule.last_step,
        own_steps=metrics.own_steps,
        loss=metrics.loss if math.isfinite(metrics.loss) else None,
        seconds=round(seconds, 3),
        images_per_second=round(metrics.images_per_second(), 3),
        precision=job.precision,
        checkpoint=checkpoint,
        best_checkpoint=best.path,
        best_accuracy=best.value if best.path else None,
        best_step=best.step if best.path else None,
        plateau=hooks.plateau.plateau if hooks.plateau else None,
        stopped_by=stop.received.name if stop.received else None,
        resumed_step=step_of(job.resumed) if job.resumed else None,
        history=tuple(training_folder.read_metrics(job.train_dir)),
    )
    (job.train_dir / _CURVES).unlink(missing_ok=True)  # without matplotlib none is drawn, and this one is old
    reports.draw_training_curves(job.train_dir / training_folder.METRICS, job.train_dir / _CURVES)
    training_folder.write_json(job.train_dir / training_folder.RESULT, result.to_dict())
    if not job.has_evaluator:  # which writes it with its own evaluations
        write_run_report(job.train_dir, hooks.last_evaluation.report, hooks.last_evaluation.mistakes)
    log.info(
        "Trained to step %d in %.0f s, %.1f images/s over all; checkpoint %s.",
        result.global_step, seconds, result.images_per_second, checkpoint,
    )  # fmt: skip
    if best.path:
        log.info("Best: accuracy %.4f at step %d, %s.", best.value, best.step, best.path)
    return result


def finish_again(job: Job) -> TrainingResult | None:
    """End a run that had made its last step before; write result.json if it was cut off. None for ``--dry_run``.

    Raises:
      UsageError: that run trained another net.
    """
    assert job.resumed is not None
    changes = training_folder.describe_changes(job.train_dir, job.resolved_options())
    if changes:
        raise UsageError(
            f"The training in {job.train_dir} has ended, and is another than the one asked for. {changes} Name another "
            "--train_dir, or --restart."
        )
    if job.options.loop.dry_run:
        return None
    step, best = step_of(job.resumed), BestCheckpoint(job.train_dir)
    if not training_folder.has_ended(job.train_dir):
        written = {"global_step": step, "last_step": job.schedule.last_step, "checkpoint": job.resumed}
        training_folder.write_json(job.train_dir / training_folder.RESULT, written)
    parameter_server.report_done(job.cluster, job.master)
    return TrainingResult(
        folder=job.train_dir,
        global_step=step,
        last_step=job.schedule.last_step,
        checkpoint=job.resumed,
        best_checkpoint=best.path,
        best_accuracy=best.value if best.path else None,
        best_step=best.step if best.path else None,
        history=tuple(training_folder.read_metrics(job.train_dir)),
    )
