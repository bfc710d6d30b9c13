"""Training: from options to a training folder. The story is :func:`train`, top to bottom."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import Any

from datasets.storage import path_of
from deployment import parameter_server, servers
from deployment.cluster import ClusterConfig
from slim_train.checkpoints import training_folder
from slim_train.errors import RunError, UsageError
from slim_train.tf_compat import tf
from slim_train.training import dry_run, evaluator, failures, roles, session_creator, sessions, starting_point
from slim_train.training.graph import TrainingGraph
from slim_train.training.hooks.of_task import hooks_of_task
from slim_train.training.hooks.stopping import StopOnSignal
from slim_train.training.hooks.validation import Evaluated
from slim_train.training.job import Job
from slim_train.training.job_graph import build_graph
from slim_train.training.lease import HoldsLease
from slim_train.training.prepare import prepare
from slim_train.training.result import TrainingResult, finish, finish_again
from slim_train.training_options import TrainOptions

log = logging.getLogger(__name__)


def run(
    options: TrainOptions,
    *,
    hooks: Sequence[Any] = (),
    on_evaluation: Sequence[Callable[[Evaluated], None]] = (),
) -> TrainingResult | None:
    """Play this process's role in the cluster that TF_CONFIG describes; without one, train in this process.

    May be called any number of times in a process, and from any thread. Ctrl-C and SIGTERM stop after the current step
    if it is called from the main thread.

    Args:
      options: the flags of train_image_classifier.
      hooks: ``tf.train.SessionRunHook`` instances to run beside those of the training.
      on_evaluation: functions to call after each evaluation during training; the chief's only.

    Returns:
      The result; None for tasks other than the chief, and for ``--dry_run``.

    Raises:
      ClusterError: TF_CONFIG is malformed, or this task's port is taken.
      UsageError: an option, the data set or the checkpoint does not fit.
      RunError: a record of the data set is broken, training diverged, or other tasks of the cluster are missing.
    """
    for hook in hooks:
        if not isinstance(hook, tf.train.SessionRunHook):
            raise UsageError(f"hooks takes tf.train.SessionRunHook instances, not {type(hook).__name__}.")
    cluster = roles.resolve_cluster(options.cluster)
    with roles.role_in_log(cluster):
        if len(cluster.tasks) > 1:
            log.info("%s", cluster.describe())
        try:
            if _trains(options, cluster):
                return train(prepare(options, cluster), hooks, on_evaluation)
        except servers.LostTaskError as error:
            raise RunError(f"{cluster.own.name}: {error}.") from error
    return None


def _trains(options: TrainOptions, cluster: ClusterConfig) -> bool:
    """Play the role of a task that does not train, and say whether this one is to."""
    if options.loop.dry_run and cluster.role in ("evaluator", "ps"):
        log.info("--dry_run: %s trains nothing; the plan is that of the chief.", cluster.own.name)
        return False
    if cluster.role == "evaluator":
        evaluator.follow(options)
        return False
    if cluster.role != "chief" and not options.loop.restart and _is_complete(options):
        log.info("Nothing to do: %s says that training is complete.", options.loop.train_dir)
        return False
    if cluster.role == "ps":
        waits = options.cluster
        parameter_server.serve_parameters(
            cluster, waits.cluster_wait_secs, waits.ps_idle_timeout_secs, waits.task_timeout_secs
        )
        return False
    return True


def _is_complete(options: TrainOptions) -> bool:
    return training_folder.is_complete(path_of(options.loop.train_dir), options)


def train(
    job: Job, hooks: Sequence[Any] = (), on_evaluation: Sequence[Callable[[Evaluated], None]] = ()
) -> TrainingResult | None:
    """Train or fine-tune until the last step, a signal, or a loss that is not finite, alone or with other tasks."""
    if job.is_over:
        return finish_again(job)
    with tf.Graph().as_default():
        if job.options.loop.seed is not None:
            tf.set_random_seed(job.options.loop.seed)

        # Model, losses and optimizer, once for each clone.
        graph = build_graph(job)

        # Where its variables come from.
        restore = starting_point.plan(job, graph)
        if job.options.loop.dry_run:
            dry_run.show(graph, restore, job.resumed, job.model, job.schedule, job.deployment, cache=job.cache)
            return None

        # What happens beside the steps: metrics, checkpoints, evaluation, stopping.
        stop = StopOnSignal()
        lease = starting_point.lease(job)
        scaffold = starting_point.scaffold(job, restore, lease)
        phase = sessions.JobPhase(job.deployment) if job.deployment.num_ps_tasks else None
        if job.is_chief:
            starting_point.start_folder(job, lease)
        beside = hooks_of_task(job, graph, scaffold, phase, stop, on_evaluation)

        # Loop.
        began = time.monotonic()
        with beside.trackers:
            with stop.listening(), beside:
                creator = session_creator.for_job(job, graph, scaffold, phase, stop, lease)
                first = [stop, *([HoldsLease(lease)] if lease else [])]
                _loop(job, graph, creator, creator.coordinate([*first, *beside.hooks, *hooks]), stop)
                if not stop.received:
                    beside.last_evaluation.explain()

            # End.
            if lease:
                lease.check()
            result = finish(job, beside, time.monotonic() - began, stop) if job.is_chief else None
            if result is None:
                own_steps, step = beside.metrics.own_steps, beside.metrics.step
                log.info("Contributed %d gradients; the job is at step %d.", own_steps, step)
            parameter_server.report_done(job.cluster, job.master)
            return result


def _loop(
    job: Job, graph: TrainingGraph, creator: sessions.SessionCreator, hooks: Sequence[Any], stop: StopOnSignal
) -> None:
    """Make steps until a hook says stop."""
    try:
        if job.cache:
            job.cache.fill(job.session_config, job.deployment.clone_device(0), lambda: stop.received is not None)
        with (
            creator.naming_losses(),
            tf.train.MonitoredSession(creator, hooks, sessions.STOP_GRACE_SECS) as session,
        ):
            while not session.should_stop():
                session.run(graph.train_op)
    except servers.Interrupted:
        log.info("Stopped while getting ready to train.")
    except tf.errors.OpError as error:
        explained = failures.explain(error, job)
        raise (explained or error) from (None if explained else error.__cause__)
