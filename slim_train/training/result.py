"""The end of a training: result.json and the picture of its curves, and what is said of them."""

from __future__ import annotations

import dataclasses
import logging
from pathlib import Path

from slim_train import reports
from slim_train.checkpoints import training_folder
from slim_train.checkpoints.best import BestCheckpoint
from slim_train.checkpoints.find import latest_checkpoint, step_of
from slim_train.optim.schedule import Schedule
from slim_train.training.hooks import StepMetrics, StopOnSignal
from slim_train.training.plateau import Plateau

log = logging.getLogger(__name__)


def finish(
    train_dir: Path,
    schedule: Schedule,
    chosen: str,
    metrics: StepMetrics,
    seconds: float,
    stop: StopOnSignal,
    plateau: Plateau | None = None,
) -> None:
    """Write result.json and say where things are."""
    checkpoint = latest_checkpoint(train_dir)
    best = BestCheckpoint(train_dir)
    # Other workers may have made steps since this one's last.
    step = step_of(checkpoint) if checkpoint else metrics.step
    result = {
        "global_step": step,
        "last_step": schedule.last_step,
        "own_steps": metrics.own_steps,
        "loss": metrics.loss,
        "seconds": round(seconds, 3),
        "images_per_second": round(metrics.images_per_second(), 3),
        "precision": chosen,
        "checkpoint": checkpoint,
        "best_checkpoint": best.path,
        "best_accuracy": best.value if best.path else None,
        "plateau": dataclasses.asdict(plateau) if plateau else None,
        "stopped_by": stop.received.name if stop.received else None,
    }
    reports.draw_training_curves(train_dir / training_folder.METRICS, train_dir / "curves.png")
    training_folder.write_json(train_dir / training_folder.RESULT, result)
    log.info(
        "Trained to step %d in %.0f s, %.1f images/s over all; checkpoint %s.",
        step, seconds, metrics.images_per_second(), checkpoint,
    )  # fmt: skip
    if best.path:
        log.info("Best: accuracy %.4f at step %d, %s.", best.value, best.step, best.path)


def finish_again(train_dir: Path, checkpoint: str, schedule: Schedule) -> None:
    """Write result.json where a run that had made its last step was cut off before."""
    if not training_folder.has_ended(train_dir):
        step = step_of(checkpoint)
        result = {"global_step": step, "last_step": schedule.last_step, "checkpoint": checkpoint}
        training_folder.write_json(train_dir / training_folder.RESULT, result)
