"""From options to a job: cluster, data, model, schedule, where to start, precision."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any

from datasets.spec import DatasetSpec
from datasets.storage import path_of
from deployment import servers
from deployment.cluster import ClusterConfig
from deployment.devices import DeploymentConfig
from slim_train import extensions
from slim_train.checkpoints.find import latest_checkpoint, repair_state, step_of
from slim_train.errors import UsageError
from slim_train.model import precision
from slim_train.optim.loss_functions import make_loss
from slim_train.optim.schedule import Schedule
from slim_train.training import batches, cached_features
from slim_train.training.dataset_and_model import choose_model, open_dataset, open_validation_set
from slim_train.training.job import Job
from slim_train.training.job_graph import build_graph
from slim_train.training.mlflow_run import mlflow_client
from slim_train.training_options import TrainOptions

log = logging.getLogger(__name__)


def prepare(options: TrainOptions, cluster: ClusterConfig) -> Job:
    """Decide what this task of ``cluster`` is to do, and start its server.

    Raises:
      ClusterError: this task's port is taken.
      DataError: the data set is missing or malformed.
      UsageError: options contradict each other, or do not fit the data set.
    """
    # Cluster.
    deployment = _deployment(options, cluster)
    _check_precision(options, cluster, deployment)
    cached_features.check_options(options, cluster)
    is_chief = cluster.role == "chief"
    if is_chief and options.loop.mlflow_uri:
        mlflow_client(options.loop.mlflow_uri)  # before the training folder changes
    session_config = servers.training_config(cluster, deployment)

    # Data and model.
    dataset = open_dataset(options)
    validation_set = open_validation_set(options, dataset) if is_chief else None
    if options.validation.early_stopping_patience and not options.validation.eval_split_name:
        raise UsageError(
            f"--early_stopping_patience={options.validation.early_stopping_patience} needs evaluations: name the "
            "split with --eval_split_name."
        )
    model = choose_model(options, dataset)
    extensions.load(options)  # what --model_file registers, too
    make_loss(options.optimizer)
    schedule = _schedule(options, dataset, cluster)
    log.info("%s, %s split: %d images of %d classes.", dataset.name, dataset.split_name, dataset.num_samples,
             dataset.num_classes)  # fmt: skip
    log.info("%s", schedule.describe())

    if not cluster.is_complete and options.optimizer.correct_async_momentum:
        log.warning(
            "The number of workers is unknown in a sparse cluster: momentum is not corrected for it. Set a lower "
            "--momentum or --rmsprop_momentum, see docs/distributed.md."
        )

    # Where to start: a checkpoint in the training folder, else --checkpoint_path, else initial values.
    resumed = _checkpoint_to_resume(options) if is_chief or options.loop.dry_run else None
    master = _start_server(options, cluster, session_config)  # after what refuses a job: a server lives on
    job = Job(options, cluster, deployment, dataset, validation_set, model, schedule, session_config, master, resumed)
    if job.is_over:
        log.warning(
            "Nothing to do: %s is already at step %d of %d. A higher --max_number_of_steps or --num_epochs would "
            "continue from there; --restart would start over.", resumed, step_of(str(resumed)), schedule.last_step,
        )  # fmt: skip
        return job

    # Precision, measured first if the fastest is wanted; features that a frozen trunk computes once.
    chosen = _precision(job)
    return dataclasses.replace(
        job,
        precision=chosen,
        session_config=precision.session_config(session_config, chosen, options.compute.xla, master),
        cache=cached_features.make_cache(options, dataset, model, chosen),
    )


def _deployment(options: TrainOptions, cluster: ClusterConfig) -> DeploymentConfig:
    try:
        return DeploymentConfig(
            num_clones=options.cluster.num_clones or 1,
            clone_on_cpu=options.cluster.clone_on_cpu,
            replica_id=cluster.own.number,
            num_replicas=cluster.num_replicas,
            num_ps_tasks=cluster.num_ps_tasks,
            partition_min_bytes=options.cluster.partition_min_bytes,
            wire_dtype=options.cluster.ps_wire_dtype,
        ).for_this_machine()
    except ValueError as error:
        raise UsageError(f"{error}.") from error


def _start_server(options: TrainOptions, cluster: ClusterConfig, config: Any) -> str:
    """Return the address of the TensorFlow server to train on, started here unless by hand; "" if none is needed."""
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
            "--warmup_steps=%d is not shorter than the training, %d steps: the rate never reaches --learning_rate.",
            schedule.warmup_steps, schedule.last_step,
        )  # fmt: skip
    return schedule


def _checkpoint_to_resume(options: TrainOptions) -> str | None:
    """Return the checkpoint of the training folder that goes on, said loudly, or None for a fresh start."""
    if options.loop.restart:
        return None
    find = latest_checkpoint if options.loop.dry_run else repair_state
    resumed = find(path_of(options.loop.train_dir))
    if resumed:
        ignored = " and ignoring --checkpoint_path" if options.restore.checkpoint_path else ""
        log.warning("RESUMING from %s%s; --restart would start over.", resumed, ignored)
    return resumed


def _check_precision(options: TrainOptions, cluster: ClusterConfig, deployment: DeploymentConfig) -> None:
    precision.check(options.compute, _device(deployment))
    if options.compute.precision == "auto" and (cluster.strategy != "local" or options.cluster.master):
        raise UsageError(
            "--precision=auto measures one machine, and this is a cluster: name the precision. A training of a few "
            "steps on one of the machines, with auto, tells which is the fastest."
        )


def _device(deployment: DeploymentConfig) -> str:
    return "CPU" if deployment.clone_on_cpu else "GPU"


def _precision(job: Job) -> str:
    """fp32, bf16 or fp16; auto tries steps of this training on noise, so that reading data counts for nothing."""
    options = job.options
    if options.loop.dry_run and options.compute.precision == "auto":
        return "fp32"

    def step() -> Any:
        return build_graph(job, batches.synthetic_batches(options, job.model)).train_op

    def measure(precisions: Sequence[str]) -> dict[str, float]:
        images_per_step = job.schedule.batch_size * job.schedule.num_clones
        return precision.measure_rates(step, images_per_step, job.session_config, precisions)

    return precision.resolve(options.compute, _device(job.deployment), job.session_config, measure)
