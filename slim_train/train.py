"""Training: from options to a training folder. The story is :func:`run`, top to bottom."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets.factory import get_dataset
from datasets.spec import DatasetSpec
from deployment import model_deploy
from slim_train import checkpoints, config, inputs, losses, plan, reports, scopes, training_folder
from slim_train.errors import UsageError
from slim_train.evaluate import Evaluator
from slim_train.graph import TrainingGraph, build_training_graph
from slim_train.hooks import Profile, StepMetrics, StopOnSignal, ValidationHook
from slim_train.model import ModelSpec, resolve_model
from slim_train.nets import factory as nets
from slim_train.options import TrainOptions
from slim_train.steps import Schedule
from slim_train.tf_compat import tf

log = logging.getLogger(__name__)


def run(options: TrainOptions) -> None:
    """Train or fine-tune until the last step, a signal, or a loss that is not finite.

    Raises:
      UsageError: an option, the data set or the checkpoint does not fit.
      RunError: a record of the data set is broken, or training diverged.
    """
    train_dir = Path(options.loop.train_dir)

    # Cluster.
    deployment = _deployment(options)
    is_chief = options.cluster.task == 0

    # Data and model.
    assert options.data.dataset_dir, "the command requires it"
    dataset = get_dataset(options.data.dataset_name, options.data.dataset_split_name, options.data.dataset_dir)
    model = _model(options, dataset)
    schedule = _schedule(options, dataset)
    log.info("%s, %s split: %d images of %d classes.", dataset.name, dataset.split_name, dataset.num_samples,
             dataset.num_classes)  # fmt: skip
    log.info("%s", schedule.describe())

    # Where to start: a checkpoint in the training folder, else --checkpoint_path, else initial values.
    resumed = _checkpoint_to_resume(options, train_dir, is_chief)
    if resumed and schedule.last_step is not None and checkpoints.step_of(resumed) >= schedule.last_step:
        log.warning(
            "Nothing to do: %s is already at step %d of %d. A higher --max_number_of_steps or --num_epochs would go on "
            "from there, --restart would start fresh.", resumed, checkpoints.step_of(resumed), schedule.last_step,
        )  # fmt: skip
        return

    with tf.Graph().as_default():
        if options.loop.seed is not None:
            tf.set_random_seed(options.loop.seed)
        with tf.device(deployment.inputs_device()):
            next_batch = inputs.batch_source(_training_batches(options, dataset, model), deployment.num_clones)

        # Model, losses and optimizer, once for each clone.
        graph = build_training_graph(
            model,
            options.model,
            options.optimizer,
            schedule,
            deployment,
            next_batch,
            trainable_scopes=scopes.split_scopes(options.restore.trainable_scopes),
            class_weights=_class_weights(options, dataset, model),
            histogram_summaries=options.loop.histogram_summaries,
        )
        restore = None if resumed else _plan_restore(options, model, graph)

        if options.loop.dry_run:
            plan.show(graph, restore, resumed, model, schedule)
            return

        # Loop.
        scaffold = _scaffold(options, restore, resumed)
        metrics = _step_metrics(options, graph, schedule, deployment, is_chief)
        hooks = [metrics, *_stop_hooks(schedule)]
        if is_chief:
            hooks += _chief_hooks(options, dataset, model, graph, schedule, scaffold)
            _start_folder(options, dataset, model)
        began = time.monotonic()
        with StopOnSignal() as stop:
            try:
                with _session(options, scaffold, [stop, *hooks], is_chief, deployment) as session:
                    while not session.should_stop():
                        session.run(graph.train_op)
            except tf.errors.OpError as error:
                explained = inputs.explain_input_error(error, dataset)
                raise (explained or error) from (None if explained else error.__cause__)
            finally:
                metrics.close()
        if is_chief:
            _finish(train_dir, metrics, time.monotonic() - began, stop)


def _deployment(options: TrainOptions) -> model_deploy.DeploymentConfig:
    cluster = options.cluster
    try:
        return model_deploy.DeploymentConfig(
            num_clones=cluster.num_clones or 1,
            clone_on_cpu=cluster.clone_on_cpu,
            replica_id=cluster.task,
            num_replicas=cluster.worker_replicas,
            num_ps_tasks=cluster.num_ps_tasks,
        ).for_this_machine()
    except ValueError as error:
        raise UsageError(f"{error}.") from error


def _model(options: TrainOptions, dataset: DatasetSpec) -> ModelSpec:
    return resolve_model(
        options.model.model_name,
        dataset,
        num_classes=options.data.num_classes,
        labels_offset=options.data.labels_offset,
        image_size=options.model.train_image_size,
        channels=options.model.train_image_channels,
        preprocessing_name=options.model.preprocessing_name,
    )


def _schedule(options: TrainOptions, dataset: DatasetSpec) -> Schedule:
    decays_by_epochs = options.optimizer.learning_rate_decay_type in ("exponential", "polynomial")
    return Schedule(
        num_samples=dataset.num_samples,
        batch_size=options.data.batch_size,
        num_clones=options.cluster.num_clones or 1,
        num_replicas=options.cluster.worker_replicas,
        sync_replicas=options.cluster.sync_replicas,
        replicas_to_aggregate=options.cluster.replicas_to_aggregate,
        num_epochs=options.loop.num_epochs,
        max_number_of_steps=options.loop.max_number_of_steps,
        num_epochs_per_decay=options.optimizer.num_epochs_per_decay if decays_by_epochs else None,
        warmup_steps=options.optimizer.warmup_steps,
    )


def _checkpoint_to_resume(options: TrainOptions, train_dir: Path, is_chief: bool) -> str | None:
    """The checkpoint of the training folder that goes on, said loudly, or None for a fresh start."""
    if options.loop.restart:
        return None
    may_write = is_chief and not options.loop.dry_run
    resumed = checkpoints.repair_state(train_dir) if may_write else checkpoints.latest_checkpoint(train_dir)
    if resumed:
        ignored = " and ignoring --checkpoint_path" if options.restore.checkpoint_path else ""
        log.warning("RESUMING from %s%s; --restart would start fresh.", resumed, ignored)
    return resumed


def _training_batches(options: TrainOptions, dataset: DatasetSpec, model: ModelSpec) -> Any:
    return inputs.training_batches(
        dataset,
        batch_size=options.data.batch_size,
        image_size=model.image_size,
        channels=model.channels,
        preprocessing=model.preprocessing,
        num_classes=model.num_classes,
        labels_offset=model.labels_offset,
        seed=options.loop.seed,
        num_readers=options.data.num_readers,
        num_preprocessing_threads=options.data.num_preprocessing_threads,
        shard_index=options.cluster.task,
        num_shards=options.cluster.worker_replicas,
    )


def _class_weights(options: TrainOptions, dataset: DatasetSpec, model: ModelSpec) -> Sequence[float] | None:
    if options.optimizer.class_weights == "none":
        return None
    if dataset.class_counts is None:
        raise UsageError(
            f"--class_weights=balanced needs the images per class, and {dataset.dataset_dir}/info.json does not hold "
            "them; convert the data set again with download_and_convert_data."
        )
    return losses.balanced_class_weights(dataset.class_counts, model.num_classes, model.labels_offset)


def _plan_restore(options: TrainOptions, model: ModelSpec, graph: TrainingGraph) -> checkpoints.RestorePlan | None:
    excluded = scopes.split_scopes(options.restore.checkpoint_exclude_scopes)
    if not options.restore.checkpoint_path:
        return None
    restore = checkpoints.plan_restore(
        checkpoints.resolve_checkpoint(options.restore.checkpoint_path),
        graph.model_variables,
        exclude_scopes=excluded,
        ignore_missing=options.restore.ignore_missing_vars,
        head_scopes=nets.get_record(model.name).head_scopes,
    )
    log.info("%s", restore.describe())
    return restore


def _resolved(options: TrainOptions, dataset: DatasetSpec, model: ModelSpec) -> TrainOptions:
    """The options with every default that depends on the net or the data filled in: what config.yaml records."""
    return config.with_values(
        options,
        {
            "dataset_dir": str(Path(dataset.dataset_dir).absolute()),
            "dataset_name": dataset.name,
            "num_classes": model.num_classes,
            "train_image_size": model.image_size,
            "train_image_channels": model.channels,
            "preprocessing_name": model.preprocessing,
        },
    )


def _scaffold(options: TrainOptions, restore: checkpoints.RestorePlan | None, resumed: str | None) -> Any:
    saver = tf.train.Saver(max_to_keep=options.loop.max_checkpoints_to_keep, save_relative_paths=True)
    if resumed:
        # So that --max_checkpoints_to_keep counts those of the runs before.
        saver.recover_last_checkpoints(checkpoints.saved_checkpoints(options.loop.train_dir))
    return tf.train.Scaffold(saver=saver, init_fn=restore.init_fn() if restore else None)


def _start_folder(options: TrainOptions, dataset: DatasetSpec, model: ModelSpec) -> None:
    """Make the training folder ready for the first step; with --restart, put what an earlier run left aside."""
    train_dir = Path(options.loop.train_dir)
    if options.loop.restart:
        aside = checkpoints.set_aside(train_dir)
        if aside:
            log.warning("--restart: the old checkpoints and logs of %s are now in %s.", train_dir, aside)
    training_folder.start(train_dir, _resolved(options, dataset, model), dataset.dataset_dir)


def _step_metrics(
    options: TrainOptions,
    graph: TrainingGraph,
    schedule: Schedule,
    deployment: model_deploy.DeploymentConfig,
    is_chief: bool,
) -> StepMetrics:
    return StepMetrics(
        graph,
        images_per_step=options.data.batch_size * deployment.num_clones,
        steps_per_epoch=schedule.steps_per_epoch,
        every_n_steps=options.loop.log_every_n_steps,
        last_step=schedule.last_step,
        train_dir=Path(options.loop.train_dir) if is_chief else None,
        log_dir=_log_dir(options) if is_chief else None,
    )


def _stop_hooks(schedule: Schedule) -> list[Any]:
    return [] if schedule.last_step is None else [tf.train.StopAtStepHook(last_step=schedule.last_step)]


def _chief_hooks(
    options: TrainOptions,
    dataset: DatasetSpec,
    model: ModelSpec,
    graph: TrainingGraph,
    schedule: Schedule,
    scaffold: Any,
) -> list[Any]:
    hooks: list[Any] = []
    if options.validation.eval_split_name:
        evaluator = Evaluator(
            get_dataset(dataset.name, options.validation.eval_split_name, dataset.dataset_dir),
            model,
            batch_size=options.validation.eval_batch_size,
            moving_average_decay=options.optimizer.moving_average_decay,
        )
        hooks.append(
            ValidationHook(
                graph,
                lambda: scaffold.saver,
                lambda checkpoint: evaluator.evaluate(checkpoint).headline(),
                every_n_steps=options.validation.eval_every_n_steps or round(schedule.steps_per_epoch),
                patience=options.validation.early_stopping_patience,
                train_dir=Path(options.loop.train_dir),
                log_dir=_log_dir(options),
            )
        )
    profiled = options.loop.profiled_steps()
    if profiled:
        hooks.append(Profile(*profiled, log_dir=_log_dir(options)))
    return hooks


def _session(
    options: TrainOptions,
    scaffold: Any,
    hooks: list[Any],
    is_chief: bool,
    deployment: model_deploy.DeploymentConfig,
) -> Any:
    return tf.train.MonitoredTrainingSession(
        master=options.cluster.master,
        is_chief=is_chief,
        checkpoint_dir=options.loop.train_dir,
        scaffold=scaffold,
        hooks=hooks,
        save_checkpoint_secs=options.loop.save_interval_secs,
        save_summaries_steps=None,
        save_summaries_secs=options.loop.save_summaries_secs or None,
        log_step_count_steps=None,
        summary_dir=_log_dir(options),
        config=model_deploy.session_config(deployment),
    )


def _finish(train_dir: Path, metrics: StepMetrics, seconds: float, stop: StopOnSignal) -> None:
    """Write result.json and say where things are."""
    checkpoint = checkpoints.latest_checkpoint(train_dir)
    best = checkpoints.BestCheckpoint(train_dir)
    result = {
        "global_step": metrics.step,
        "loss": metrics.loss,
        "seconds": round(seconds, 3),
        "images_per_second": round(metrics.images_per_second(), 3),
        "checkpoint": checkpoint,
        "best_checkpoint": best.path,
        "best_accuracy": best.value if best.path else None,
        "stopped_by": stop.received.name if stop.received else None,
    }
    reports.draw_training_curves(train_dir / training_folder.METRICS, train_dir / "curves.png")
    training_folder.write_json(train_dir / training_folder.RESULT, result)
    log.info(
        "Trained to step %d in %.0f s, %.1f images/s over all; checkpoint %s.",
        metrics.step, seconds, metrics.images_per_second(), checkpoint,
    )  # fmt: skip
    if best.path:
        log.info("Best: accuracy %.4f at step %d, %s.", best.value, best.step, best.path)


def _log_dir(options: TrainOptions) -> str:
    return options.loop.log_dir or options.loop.train_dir
