"""Training: from options to a training folder. The story is :func:`run`, top to bottom."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from datasets.spec import DatasetSpec
from deployment import model_deploy, parameter_server, servers
from deployment.cluster import ClusterConfig
from slim_train import config
from slim_train.checkpoints import scopes, training_folder
from slim_train.checkpoints.find import latest_checkpoint, repair_state, resolve_checkpoint, saved_checkpoints, step_of
from slim_train.checkpoints.restore import RestorePlan, check_resume, plan_restore
from slim_train.checkpoints.training_folder import set_aside
from slim_train.errors import RunError, UsageError
from slim_train.evaluation import evaluate
from slim_train.evaluation.options import EvalOptions
from slim_train.inputs import pipeline
from slim_train.model import precision
from slim_train.model.spec import ModelSpec
from slim_train.nets import factory as nets
from slim_train.optim import losses
from slim_train.optim.schedule import Schedule
from slim_train.options import TrainOptions
from slim_train.tf_compat import tf
from slim_train.training import all_reduce, data, dry_run, hook_list, result, roles, sessions, startup_delay
from slim_train.training.feature_cache import FeatureCache
from slim_train.training.graph import TrainingGraph, build_training_graph
from slim_train.training.hooks import StopOnSignal

log = logging.getLogger(__name__)

_EVALUATOR_LOOKS_EVERY_SECS = 2


def run(options: TrainOptions) -> None:
    """Play this process's role in the cluster that TF_CONFIG describes; without one, train in this process.

    Raises:
      ClusterError: TF_CONFIG is malformed, or this task's port is taken.
      UsageError: an option, the data set or the checkpoint does not fit.
      RunError: a record of the data set is broken, training diverged, or other tasks of the cluster are missing.
    """
    cluster = roles.resolve_cluster(options.cluster)
    with roles.role_in_log(cluster):
        if len(cluster.tasks) > 1:
            log.info("%s", cluster.describe())
        try:
            if options.loop.dry_run and cluster.role in ("evaluator", "ps"):
                log.info("--dry_run: %s trains nothing; the plan is that of the chief.", cluster.own.name)
            elif cluster.role == "evaluator":
                _evaluate(options)
            elif cluster.role != "chief" and not options.loop.restart and _is_complete(options):
                log.info("Nothing to do: %s says that training is complete.", options.loop.train_dir)
            elif cluster.role == "ps":
                parameter_server.serve_parameters(
                    cluster, options.cluster.cluster_wait_secs, options.cluster.ps_idle_timeout_secs
                )
            else:
                train(options, cluster)
        except servers.LostTaskError as error:
            raise RunError(f"{cluster.own.name}: {error}.") from error


def train(options: TrainOptions, cluster: ClusterConfig) -> None:
    """Train or fine-tune until the last step, a signal, or a loss that is not finite, alone or with other tasks."""
    train_dir = Path(options.loop.train_dir)

    # Cluster.
    deployment = _deployment(options, cluster)
    _check_precision(options, cluster, deployment)
    data.check_feature_cache(options, cluster)
    is_chief = cluster.role == "chief"
    session_config = servers.training_config(cluster, deployment)
    master = _start_server(options, cluster, session_config)

    # Data and model.
    dataset = data.open_dataset(options)
    validation_set = data.open_validation_set(options, dataset) if is_chief else None
    model = data.choose_model(options, dataset)
    schedule = _schedule(options, dataset, cluster)
    log.info("%s, %s split: %d images of %d classes.", dataset.name, dataset.split_name, dataset.num_samples,
             dataset.num_classes)  # fmt: skip
    log.info("%s", schedule.describe())

    # Where to start: a checkpoint in the training folder, else --checkpoint_path, else initial values.
    restores = is_chief or options.loop.dry_run
    resumed = _checkpoint_to_resume(options, train_dir) if restores else None
    if resumed and schedule.last_step is not None and step_of(resumed) >= schedule.last_step:
        log.warning(
            "Nothing to do: %s is already at step %d of %d. A higher --max_number_of_steps or --num_epochs would go on "
            "from there, --restart would start fresh.", resumed, step_of(resumed), schedule.last_step,
        )  # fmt: skip
        if not options.loop.dry_run:
            result.finish_again(train_dir, resumed, schedule)
            parameter_server.report_done(cluster, master)
        return

    # Precision: measured before, where it is to be the fastest.
    chosen = _precision(options, dataset, model, schedule, deployment, session_config)
    session_config = precision.session_config(session_config, chosen, options.compute.xla, master)

    # Features that a frozen trunk computes once, where that is wanted; the first step waits for them.
    cache = data.feature_cache(options, dataset, model, chosen)

    with tf.Graph().as_default():
        if options.loop.seed is not None:
            tf.set_random_seed(options.loop.seed)

        # Model, losses and optimizer, once for each clone.
        graph = _build_graph(
            options,
            dataset,
            model,
            schedule,
            deployment,
            lambda: _batches(options, dataset, model, cluster, cache),
            scale_loss=chosen == "fp16",
        )
        restore = _plan_restore(options, model, graph) if restores and not resumed else None
        if resumed:
            training_folder.check_labels(train_dir, dataset.labels)
            check_resume(
                resumed,
                tf.global_variables(),
                lambda: training_folder.describe_changes(train_dir, _resolved(options, dataset, model)),
            )
        if cache:
            cache.locate(graph.model_variables, graph.trained, resumed, restore)

        if options.loop.dry_run:
            dry_run.show(graph, restore, resumed, model, schedule, deployment, cache=cache)
            return

        # Loop.
        with tf.device(sessions.checkpoint_device(deployment)):
            scaffold = _scaffold(options, restore, resumed)
        stop = StopOnSignal()
        metrics = hook_list.step_metrics(options, graph, schedule, is_chief)
        phase = sessions.JobPhase(deployment) if deployment.num_ps_tasks else None
        hooks = [metrics, *hook_list.of_every_task(graph, schedule, phase, is_chief)]
        if is_chief:
            _start_folder(options, dataset, model)
            plateau = hook_list.plateau(
                options, dataset, model, graph, schedule, _class_weights(options, dataset, model)
            )
            hooks += [plateau] if plateau else []
            hooks += hook_list.of_chief(options, cluster, validation_set, model, graph, schedule, scaffold, stop)
        began = time.monotonic()
        with stop.listening():
            creator = _session_creator(
                options,
                graph,
                schedule,
                cluster=cluster,
                scaffold=scaffold,
                train_dir=train_dir,
                config=session_config,
                master=master,
                phase=phase,
                wait_secs=options.cluster.cluster_wait_secs,
                first_step=startup_delay.joining_step(
                    cluster.own.number, options.cluster.startup_delay_steps, schedule
                ),
                is_interrupted=lambda: stop.received is not None or (not is_chief and _is_complete(options)),
            )
            hooks = creator.coordinate([stop, *hooks])
            try:
                if cache:
                    cache.fill(session_config, deployment.clone_device(0), lambda: stop.received is not None)
                with (
                    creator.naming_losses(),
                    tf.train.MonitoredSession(creator, hooks, sessions.STOP_GRACE_SECS) as session,
                ):
                    while not session.should_stop():
                        session.run(graph.train_op)
            except servers.Interrupted:
                log.info("Stopped while getting ready to train.")
            except tf.errors.OpError as error:
                explained = pipeline.explain_input_error(error, dataset)
                raise (explained or error) from (None if explained else error.__cause__)
            finally:
                metrics.close()
        if is_chief:
            seconds = time.monotonic() - began
            result.finish(train_dir, schedule, chosen, metrics, seconds, stop, plateau and plateau.plateau)
        else:
            log.info("Contributed %d gradients; the job is at step %d.", metrics.own_steps, metrics.step)
        parameter_server.report_done(cluster, master)


def _evaluate(options: TrainOptions) -> None:
    """The evaluator's role: every new checkpoint of the training folder, the best one kept, until training ends."""
    train_dir = Path(options.loop.train_dir)

    def missing() -> list[str]:
        has_begun = (train_dir / training_folder.CONFIG).is_file()
        # A result may be an earlier run's: the chief removes it when it starts.
        is_earlier = training_folder.has_ended(train_dir) and not _is_complete(options)
        return [] if has_begun and not is_earlier else [f"a training to begin in {train_dir}"]

    servers.wait_until_none_missing(missing, options.cluster.cluster_wait_secs)
    evaluate.run(
        EvalOptions(
            checkpoint_path=str(train_dir),
            dataset_dir=options.data.dataset_dir,
            dataset_name=options.data.dataset_name,
            dataset_split_name=options.validation.eval_split_name or EvalOptions.dataset_split_name,
            batch_size=options.validation.eval_batch_size,
            moving_average_decay=options.optimizer.moving_average_decay,
            eval_flip=options.validation.eval_flip,
            eval_interval_secs=_EVALUATOR_LOOKS_EVERY_SECS,
            keep_best=True,
        )
    )


def _is_complete(options: TrainOptions) -> bool:
    return training_folder.is_complete(Path(options.loop.train_dir), options)


def _deployment(options: TrainOptions, cluster: ClusterConfig) -> model_deploy.DeploymentConfig:
    try:
        return model_deploy.DeploymentConfig(
            num_clones=options.cluster.num_clones or 1,
            clone_on_cpu=options.cluster.clone_on_cpu,
            replica_id=cluster.own.number,
            num_replicas=cluster.num_replicas,
            num_ps_tasks=cluster.num_ps_tasks,
            partition_min_bytes=options.cluster.partition_min_bytes,
        ).for_this_machine()
    except ValueError as error:
        raise UsageError(f"{error}.") from error


def _start_server(options: TrainOptions, cluster: ClusterConfig, config: Any) -> str:
    """The address of the TensorFlow server to train on, started here unless by hand; "" where none is needed."""
    if options.cluster.master or cluster.strategy == "local" or options.loop.dry_run:
        return options.cluster.master
    return servers.start_server(cluster, config).target


def _schedule(options: TrainOptions, dataset: DatasetSpec, cluster: ClusterConfig) -> Schedule:
    decays_by_epochs = options.optimizer.learning_rate_decay_type in ("exponential", "polynomial")
    is_all_reduced = cluster.strategy == "all_reduce"
    schedule = Schedule(
        num_samples=dataset.num_samples,
        batch_size=options.data.batch_size,
        num_clones=options.cluster.num_clones or 1,
        num_replicas=cluster.num_replicas,
        sync_replicas=is_all_reduced or (options.cluster.sync_replicas and cluster.num_ps_tasks > 0),
        replicas_to_aggregate=(not is_all_reduced and options.cluster.replicas_to_aggregate) or cluster.num_replicas,
        num_epochs=options.loop.num_epochs,
        max_number_of_steps=options.loop.max_number_of_steps,
        num_epochs_per_decay=options.optimizer.num_epochs_per_decay if decays_by_epochs else None,
        warmup_steps=options.optimizer.warmup_steps,
        gradient_accumulation_steps=options.optimizer.gradient_accumulation_steps,
    )
    if schedule.last_step is not None and schedule.warmup_steps >= schedule.last_step:
        log.warning(
            "--warmup_steps=%d is no shorter than the training, %d steps: the rate never reaches --learning_rate.",
            schedule.warmup_steps, schedule.last_step,
        )  # fmt: skip
    return schedule


def _checkpoint_to_resume(options: TrainOptions, train_dir: Path) -> str | None:
    """The checkpoint of the training folder that goes on, said loudly, or None for a fresh start."""
    if options.loop.restart:
        return None
    find = latest_checkpoint if options.loop.dry_run else repair_state
    resumed = find(train_dir)
    if resumed:
        ignored = " and ignoring --checkpoint_path" if options.restore.checkpoint_path else ""
        log.warning("RESUMING from %s%s; --restart would start fresh.", resumed, ignored)
    return resumed


def _check_precision(options: TrainOptions, cluster: ClusterConfig, deployment: model_deploy.DeploymentConfig) -> None:
    precision.check(options.compute, _device(deployment))
    if options.compute.precision == "auto" and (cluster.strategy != "local" or options.cluster.master):
        raise UsageError(
            "--precision=auto measures one machine, and this is a cluster: name the precision. A training of a few "
            "steps on one of the machines, with auto, tells which is the fastest."
        )


def _device(deployment: model_deploy.DeploymentConfig) -> str:
    return "CPU" if deployment.clone_on_cpu else "GPU"


def _precision(
    options: TrainOptions,
    dataset: DatasetSpec,
    model: ModelSpec,
    schedule: Schedule,
    deployment: model_deploy.DeploymentConfig,
    config: Any,
) -> str:
    """fp32, bf16 or fp16; auto tries steps of this training on noise, so that reading data counts for nothing."""
    if options.loop.dry_run and options.compute.precision == "auto":
        return "fp32"

    def step() -> Any:
        graph = _build_graph(
            options,
            dataset,
            model,
            schedule,
            deployment,
            lambda: data.synthetic_batches(options, model),
            scale_loss=False,
        )
        return graph.train_op

    def measure(precisions: Sequence[str]) -> dict[str, float]:
        images_per_step = schedule.batch_size * schedule.num_clones
        return precision.measure_rates(step, images_per_step, config, precisions)

    return precision.resolve(options.compute, _device(deployment), config, measure)


def _build_graph(
    options: TrainOptions,
    dataset: DatasetSpec,
    model: ModelSpec,
    schedule: Schedule,
    deployment: model_deploy.DeploymentConfig,
    batches: Callable[[], Any],
    scale_loss: bool,
) -> TrainingGraph:
    with tf.device(deployment.inputs_device()):
        next_batch = pipeline.batch_source(batches(), deployment.num_clones)
    return build_training_graph(
        model,
        options.model,
        options.optimizer,
        schedule,
        deployment,
        next_batch,
        trainable_scopes=scopes.split_scopes(options.restore.trainable_scopes, nets.get_record(model.name).head_scopes),
        class_weights=_class_weights(options, dataset, model),
        histogram_summaries=options.loop.histogram_summaries,
        scale_loss=scale_loss,
    )


def _batches(
    options: TrainOptions, dataset: DatasetSpec, model: ModelSpec, cluster: ClusterConfig, cache: FeatureCache | None
) -> Any:
    if options.data.use_synthetic_data:
        return data.synthetic_batches(options, model)
    if cache:
        return cache.batches(options.data.batch_size, options.loop.seed)
    return data.batches(options, dataset, model, cluster.own.number, cluster.num_replicas)


def _class_weights(options: TrainOptions, dataset: DatasetSpec, model: ModelSpec) -> Sequence[float] | None:
    if options.optimizer.class_weights == "none":
        return None
    if dataset.class_counts is None:
        raise UsageError(
            f"--class_weights=balanced needs the images per class, and {dataset.dataset_dir}/info.json does not hold "
            "them; convert the data set again with download_and_convert_data."
        )
    return losses.balanced_class_weights(dataset.class_counts, model.num_classes, model.labels_offset)


def _plan_restore(options: TrainOptions, model: ModelSpec, graph: TrainingGraph) -> RestorePlan | None:
    head_scopes = nets.get_record(model.name).head_scopes
    excluded = scopes.split_scopes(options.restore.checkpoint_exclude_scopes, head_scopes)
    if not options.restore.checkpoint_path:
        return None
    restore = plan_restore(
        resolve_checkpoint(options.restore.checkpoint_path),
        graph.model_variables,
        exclude_scopes=excluded,
        ignore_missing=options.restore.ignore_missing_vars,
        head_scopes=head_scopes,
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


def _scaffold(options: TrainOptions, restore: RestorePlan | None, resumed: str | None) -> Any:
    saver = tf.train.Saver(max_to_keep=options.loop.max_checkpoints_to_keep, save_relative_paths=True)
    if resumed:
        # So that --max_checkpoints_to_keep counts those of the runs before.
        saver.recover_last_checkpoints(saved_checkpoints(options.loop.train_dir))
    return tf.train.Scaffold(saver=saver, init_fn=restore.init_fn() if restore else None)


def _start_folder(options: TrainOptions, dataset: DatasetSpec, model: ModelSpec) -> None:
    """Make the training folder ready for the first step; with --restart, put what an earlier run left aside."""
    train_dir = Path(options.loop.train_dir)
    if options.loop.restart:
        aside = set_aside(train_dir)
        if aside:
            log.warning("--restart: the old checkpoints and logs of %s are now in %s.", train_dir, aside)
    training_folder.start(train_dir, _resolved(options, dataset, model), dataset.dataset_dir)


def _session_creator(
    options: TrainOptions, graph: TrainingGraph, schedule: Schedule, **kwargs: Any
) -> sessions.SessionCreator:
    if graph.synchronized is None:
        return sessions.SessionCreator(**kwargs)
    timeout_secs = options.cluster.collective_timeout_secs
    return all_reduce.SessionCreator(graph=graph, last_step=schedule.last_step, timeout_secs=timeout_secs, **kwargs)
