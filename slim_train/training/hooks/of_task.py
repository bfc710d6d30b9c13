"""Which hooks a task runs."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any, NamedTuple

import slim_train
from datasets.storage import is_url
from deployment import tf_private
from deployment.threads import available_cpus
from slim_train import config
from slim_train.checkpoints import event_uploads
from slim_train.checkpoints.best_uploads import UploadedBest
from slim_train.checkpoints.metrics_file import MetricsFile
from slim_train.evaluation.evaluate import Evaluator
from slim_train.inputs.decoding_speed import measure_decoding
from slim_train.optim.losses import class_shares
from slim_train.tf_compat import tf
from slim_train.training import event_files
from slim_train.training.graph import TrainingGraph
from slim_train.training.hooks.accumulation import AccumulateGradients
from slim_train.training.hooks.input_bound import InputBound
from slim_train.training.hooks.last_evaluation import LastEvaluation
from slim_train.training.hooks.mlflow import MlflowHook
from slim_train.training.hooks.plateau import PlateauHook
from slim_train.training.hooks.profile import Profile
from slim_train.training.hooks.saving import CatchUp, SaveEverySteps
from slim_train.training.hooks.saving_at_loss import SaveAtLoss
from slim_train.training.hooks.step_metrics import StepMetrics
from slim_train.training.hooks.stopping import EndOfJob, StopAtStep, StopOnSignal
from slim_train.training.hooks.synchronous_replicas import SynchronousSteps
from slim_train.training.hooks.validation import Evaluated, ValidationHook
from slim_train.training.job import Job
from slim_train.training.job_phase import JobPhase
from slim_train.training.mlflow_run import MlflowRun, mlflow_client
from slim_train.training.saver import PatientSaver


class _EventFolders(NamedTuple):
    """Where TensorFlow writes the event files of a chief; what belongs to a URL is uploaded."""

    log_dir: str
    train_dir: str


@dataclasses.dataclass
class TaskHooks:
    """The hooks of a task; a context manager that releases what they hold.

    Attributes:
      metrics: what each step says.
      plateau: what notices that nothing is learned; None for workers, synthetic data and other losses than softmax.
      hooks: all of them, in the order in which they run.
      last_evaluation: what evaluations during training leave.
      trackers: closing it sends to a tracking server what is left, which may take seconds: do that when all is written.
    """

    metrics: StepMetrics
    plateau: PlateauHook | None
    hooks: list[Any]
    last_evaluation: LastEvaluation
    trackers: ExitStack
    _resources: ExitStack
    _stop_waiting: Callable[[], None]

    def __enter__(self) -> TaskHooks:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, KeyboardInterrupt):
            self._stop_waiting()
        self._resources.close()


def hooks_of_task(
    job: Job,
    graph: TrainingGraph,
    scaffold: Any,
    phase: JobPhase | None,
    stop: StopOnSignal,
    on_evaluation: Sequence[Callable[[Evaluated], None]] = (),
) -> TaskHooks:
    """Return the hooks that a task of ``job`` runs beside its steps."""
    trackers = ExitStack()
    with ExitStack() as resources:
        last = LastEvaluation()
        metrics, plateau, hooks = _make_hooks(
            job, graph, scaffold, phase, stop, on_evaluation, resources, trackers, last
        )
        return TaskHooks(metrics, plateau, hooks, last, trackers, resources.pop_all(), scaffold.saver.stop_waiting)


def _make_hooks(
    job: Job,
    graph: TrainingGraph,
    scaffold: Any,
    phase: JobPhase | None,
    stop: StopOnSignal,
    on_evaluation: Sequence[Callable[[Evaluated], None]],
    resources: ExitStack,
    trackers: ExitStack,
    last: LastEvaluation,
) -> tuple[StepMetrics, PlateauHook | None, list[Any]]:
    loop = job.options.loop
    events = None
    if job.is_chief:
        folders = {job.log_dir, loop.train_dir}
        writable = event_uploads.writable(
            folders,
            loop.save_summaries_secs,
            event_files.flush,
            lambda: scaffold.saver.secs_at_end,
            scaffold.saver.stop_waiting,
        )
        here = resources.enter_context(writable)
        events = _EventFolders(here[job.log_dir], here[loop.train_dir])
    metrics_file = None
    if job.is_chief:
        metrics_file = MetricsFile(job.train_dir, loop.save_summaries_secs, scaffold.saver.check_lead)
        resources.callback(_close, metrics_file.close, scaffold.saver)
        resources.callback(_close, lambda secs: scaffold.saver.close(), scaffold.saver)
    metrics = _step_metrics(job, graph, metrics_file, events)
    resources.callback(metrics.close)
    plateau = _plateau(job, graph) if _watches_for_plateau(job) else None
    hooks = [metrics, *_of_every_task(job, graph, phase)]
    if events:
        hooks += [plateau] if plateau else []
        if job.cache is None and not job.options.data.use_synthetic_data:
            hooks.append(_input_bound(job))
        hooks += _savers(job, graph, scaffold, events)
        if job.cluster.strategy == "parameter_servers":
            at_loss = _save_at_loss(job, graph, scaffold)
            resources.callback(at_loss.close)
            hooks.append(at_loss)
        # With an evaluator in the cluster, only stopping early needs evaluations of the chief's own.
        if job.validation_set and (job.options.validation.early_stopping_patience or not job.has_evaluator):
            hooks.append(_validation(job, graph, scaffold, stop, on_evaluation, resources, metrics_file, last, events))
        if loop.mlflow_uri and metrics_file:
            tracker = _mlflow(job, loop.mlflow_uri, metrics, list(hooks), stop)
            metrics_file.listeners.append(tracker.add_line)
            trackers.callback(tracker.close)
            hooks.append(tracker)
        hooks.append(CatchUp(graph, lambda: scaffold.saver, job.train_dir))
        profiled = loop.profiled_steps()
        if profiled:
            profile = Profile(*profiled, log_dir=events.log_dir)
            resources.callback(profile.close)
            hooks.append(profile)
        # TensorFlow keeps one writer per folder for as long as the process lives: a second training in the folder would
        # write to the file of the first, wherever that is by then.
        resources.enter_context(event_files.patient(set(events)))
        for folder in set(events):
            resources.callback(tf_private.close_event_writer, folder)
    return metrics, plateau, hooks


def _close(close: Callable[[float], Any], saver: PatientSaver) -> None:
    """Close what uploads in the time that is left for that. Who is interrupted or gives up leaves the next one none."""
    try:
        if close(saver.secs_at_end) is False:
            saver.stop_waiting()
    except KeyboardInterrupt:
        saver.stop_waiting()
        raise


def _step_metrics(
    job: Job, graph: TrainingGraph, metrics_file: MetricsFile | None, events: _EventFolders | None
) -> StepMetrics:
    return StepMetrics(
        graph,
        images_per_step=job.schedule.images_per_step,
        steps_per_epoch=job.schedule.steps_per_epoch,
        every_n_steps=job.options.loop.log_every_n_steps,
        last_step=job.schedule.last_step,
        metrics_file=metrics_file,
        log_dir=events.log_dir if events else None,
        is_asynchronous=job.schedule.is_asynchronous,
        loss_name=job.options.optimizer.loss,
    )


def _watches_for_plateau(job: Job) -> bool:
    """The loss of a constant answer is known of the cross entropy only."""
    return job.is_chief and not job.options.data.use_synthetic_data and job.options.optimizer.loss == "softmax"


def _plateau(job: Job, graph: TrainingGraph) -> PlateauHook:
    counts = job.dataset.class_counts or [1] * job.dataset.num_classes
    return PlateauHook(
        graph,
        class_shares(counts, job.model.num_classes, job.model.labels_offset),
        job.options.optimizer.label_smoothing,
        job.class_weights,
        is_asynchronous=job.schedule.is_asynchronous,
    )


def _input_bound(job: Job) -> InputBound:
    cpus = available_cpus()
    size, scaled = job.model.image_size, job.model.recipe.scaled_decoding
    return InputBound(
        job.options.data.batch_size * job.schedule.num_clones * job.options.optimizer.gradient_accumulation_steps,
        job.options.data.num_preprocessing_threads or cpus,
        cpus,
        size,
        scaled,
        job.deployment.clone_on_cpu,
        lambda: measure_decoding(job.dataset, size, scaled),
    )


def _of_every_task(job: Job, graph: TrainingGraph, phase: JobPhase | None) -> list[Any]:
    """Return what stops the loop at its last step or with the chief, and keeps synchronous workers in step."""
    schedule = job.schedule
    hooks: list[Any] = []
    release = None
    if graph.synchronizer:
        release = graph.synchronizer.get_init_tokens_op(max(schedule.num_replicas, schedule.replicas_to_aggregate))
        spare_tokens = max(0, schedule.replicas_to_aggregate - schedule.num_replicas)
        hooks.append(SynchronousSteps(graph.synchronizer, job.is_chief, spare_tokens))
    if phase:
        hooks.append(EndOfJob(phase, job.is_chief, release))
    if schedule.last_step is not None and not graph.synchronized:
        hooks.append(StopAtStep(graph.global_step, graph.step, schedule.last_step))
    if graph.accumulate_op is not None:
        hooks.append(AccumulateGradients(graph.accumulate_op, schedule.gradient_accumulation_steps - 1))
    return hooks


def _savers(job: Job, graph: TrainingGraph, scaffold: Any, events: _EventFolders) -> list[Any]:
    loop = job.options.loop
    hooks = [tf.train.CheckpointSaverHook(events.train_dir, save_secs=loop.save_interval_secs, scaffold=scaffold)]
    if loop.save_interval_steps:
        hooks.append(SaveEverySteps(graph, loop.save_interval_steps, lambda: scaffold.saver, job.train_dir))
    if loop.save_summaries_secs:
        hooks.append(
            tf.train.SummarySaverHook(save_secs=loop.save_summaries_secs, output_dir=events.log_dir, scaffold=scaffold)
        )
    return hooks


def _mlflow(job: Job, uri: str, metrics: StepMetrics, hooks: Sequence[Any], stop: StopOnSignal) -> MlflowHook:
    def final() -> tuple[int, dict[str, float]]:
        figures = {"final/images_per_second": metrics.images_per_second()}
        if math.isfinite(metrics.loss):
            figures["final/loss"] = metrics.loss
        for hook in hooks:
            if isinstance(hook, ValidationHook) and hook.best.step >= 0:
                figures |= {"best/accuracy": hook.best.value, "best/step": hook.best.step}
        return metrics.step, figures

    flags = {spec.name: spec.default for spec in config.flag_specs(job.options) if spec.info.saved}
    run = MlflowRun(
        mlflow_client(uri),
        uri,
        job.options.loop.mlflow_experiment,
        job.train_dir,
        {name: value for name, value in flags.items() if value is not None},
        {"slim_train.version": slim_train.__version__, "slim_train.train_dir": str(job.train_dir)},
    )
    return MlflowHook(run, final, lambda: stop.received is not None)


def _save_at_loss(job: Job, graph: TrainingGraph, scaffold: Any) -> SaveAtLoss:
    timeout_secs = job.options.cluster.task_timeout_secs
    return SaveAtLoss(graph, job.cluster.other_training_tasks, timeout_secs, lambda: scaffold.saver, job.train_dir)


def _validation(
    job: Job,
    graph: TrainingGraph,
    scaffold: Any,
    stop: StopOnSignal,
    on_evaluation: Sequence[Callable[[Evaluated], None]],
    resources: ExitStack,
    metrics_file: MetricsFile | None,
    last: LastEvaluation,
    events: _EventFolders,
) -> ValidationHook:
    validation = job.options.validation
    assert job.validation_set is not None
    best = None
    if is_url(job.train_dir):
        best = UploadedBest(job.train_dir, job.validation_set.split_name, scaffold.saver.check_lead)
        resources.callback(_close, best.close, scaffold.saver)
    evaluator = Evaluator(
        job.validation_set,
        job.model,
        batch_size=validation.eval_batch_size,
        use_averages=job.options.optimizer.moving_average_decay is not None,
        flip=validation.eval_flip,
    )
    resources.callback(evaluator.close)

    def is_interrupted() -> bool:
        return stop.received is not None

    return ValidationHook(
        graph,
        lambda: scaffold.saver,
        lambda checkpoint: last.evaluate(evaluator, checkpoint, is_interrupted),
        every_n_steps=validation.eval_every_n_steps or max(1, round(job.schedule.steps_per_epoch)),
        patience=validation.early_stopping_patience,
        split=job.validation_set.split_name,
        train_dir=job.train_dir,
        log_dir=events.log_dir,
        is_interrupted=is_interrupted,
        on_evaluation=on_evaluation,
        metrics_file=metrics_file,
        best=best,
    )
