"""What happens beside the steps of the training loop: which hooks a task runs, from the options."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets.spec import DatasetSpec
from deployment.cluster import ClusterConfig
from slim_train.evaluation.evaluate import Evaluator
from slim_train.model.spec import ModelSpec
from slim_train.optim.losses import class_shares
from slim_train.optim.schedule import Schedule
from slim_train.options import TrainOptions
from slim_train.tf_compat import tf
from slim_train.training import sessions
from slim_train.training.graph import TrainingGraph
from slim_train.training.hooks import AccumulateGradients, Profile, StepMetrics, StopOnSignal, ValidationHook
from slim_train.training.plateau_hook import PlateauHook


def step_metrics(options: TrainOptions, graph: TrainingGraph, schedule: Schedule, is_chief: bool) -> StepMetrics:
    """The log lines, metrics and summaries of the steps."""
    return StepMetrics(
        graph,
        images_per_step=schedule.images_per_step,
        steps_per_epoch=schedule.steps_per_epoch,
        every_n_steps=options.loop.log_every_n_steps,
        last_step=schedule.last_step,
        train_dir=Path(options.loop.train_dir) if is_chief else None,
        log_dir=_log_dir(options) if is_chief else None,
        is_asynchronous=schedule.is_asynchronous,
    )


def plateau(
    options: TrainOptions,
    dataset: DatasetSpec,
    model: ModelSpec,
    graph: TrainingGraph,
    schedule: Schedule,
    class_weights: Sequence[float] | None,
) -> PlateauHook | None:
    """What notices that nothing is learned; None for synthetic data, of which nothing is to be learned."""
    if options.data.use_synthetic_data:
        return None
    return PlateauHook(
        graph,
        class_shares(dataset.class_counts or [1] * dataset.num_classes, model.num_classes, model.labels_offset),
        options.optimizer.label_smoothing,
        class_weights,
        is_asynchronous=schedule.is_asynchronous,
    )


def of_every_task(
    graph: TrainingGraph, schedule: Schedule, phase: sessions.JobPhase | None, is_chief: bool
) -> list[Any]:
    """What stops the loop at its last step or with the chief, and keeps synchronous workers in step."""
    hooks: list[Any] = []
    release = None
    if graph.synchronizer:
        release = graph.synchronizer.get_init_tokens_op(max(schedule.num_replicas, schedule.replicas_to_aggregate))
        spare_tokens = max(0, schedule.replicas_to_aggregate - schedule.num_replicas)
        hooks.append(sessions.SynchronousSteps(graph.synchronizer, is_chief, spare_tokens))
    if phase:
        hooks.append(sessions.EndOfJob(phase, is_chief, release))
    if schedule.last_step is not None and not graph.synchronized:
        hooks.append(sessions.StopAtStep(graph.global_step, graph.step, schedule.last_step))
    if graph.accumulate_op is not None:
        hooks.append(AccumulateGradients(graph.accumulate_op, schedule.gradient_accumulation_steps - 1))
    return hooks


def of_chief(
    options: TrainOptions,
    cluster: ClusterConfig,
    validation_set: DatasetSpec | None,
    model: ModelSpec,
    graph: TrainingGraph,
    schedule: Schedule,
    scaffold: Any,
    stop: StopOnSignal,
) -> list[Any]:
    """What only the chief does: checkpoints, summaries, evaluation, profiles."""
    loop, validation = options.loop, options.validation
    hooks = [tf.train.CheckpointSaverHook(loop.train_dir, save_secs=loop.save_interval_secs, scaffold=scaffold)]
    if loop.save_summaries_secs:
        hooks.append(
            tf.train.SummarySaverHook(
                save_secs=loop.save_summaries_secs, output_dir=_log_dir(options), scaffold=scaffold
            )
        )
    has_evaluator = any(task.type == "evaluator" for task in cluster.tasks)
    if validation_set and (validation.early_stopping_patience or not has_evaluator):
        evaluator = Evaluator(
            validation_set,
            model,
            batch_size=validation.eval_batch_size,
            moving_average_decay=options.optimizer.moving_average_decay,
            flip=validation.eval_flip,
        )
        hooks.append(
            ValidationHook(
                graph,
                lambda: scaffold.saver,
                lambda checkpoint: evaluator.evaluate(checkpoint).headline(),
                every_n_steps=validation.eval_every_n_steps or max(1, round(schedule.steps_per_epoch)),
                patience=validation.early_stopping_patience,
                train_dir=Path(loop.train_dir),
                log_dir=_log_dir(options),
                is_interrupted=lambda: stop.received is not None,
            )
        )
    profiled = loop.profiled_steps()
    if profiled:
        hooks.append(Profile(*profiled, log_dir=_log_dir(options)))
    return hooks


def _log_dir(options: TrainOptions) -> str:
    return options.loop.log_dir or options.loop.train_dir
