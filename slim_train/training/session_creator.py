"""Which sessions a job is trained in."""

from __future__ import annotations

from typing import Any

from slim_train.training import all_reduce, sessions, startup_delay, synchronous
from slim_train.training.graph import TrainingGraph
from slim_train.training.hooks.stopping import StopOnSignal
from slim_train.training.job import Job
from slim_train.training.job_phase import JobPhase
from slim_train.training.lease import Lease


def for_job(
    job: Job,
    graph: TrainingGraph,
    scaffold: Any,
    phase: JobPhase | None,
    stop: StopOnSignal,
    lease: Lease | None = None,
) -> sessions.SessionCreator:
    """Return what makes the sessions of a task: alone, with parameter servers or by all-reduce."""
    options = job.options.cluster
    arguments: dict[str, Any] = {
        "cluster": job.cluster,
        "scaffold": scaffold,
        "train_dir": job.train_dir,
        "config": job.session_config,
        "master": job.master,
        "phase": phase,
        "wait_secs": options.cluster_wait_secs,
        "is_interrupted": lambda: stop.received is not None or (not job.is_chief and job.is_complete()),
        "check_lead": lease.check if lease else lambda: None,
        "task_timeout_secs": options.task_timeout_secs,
        "first_step": startup_delay.joining_step(job.cluster.own.number, options.startup_delay_steps, job.schedule),
    }
    if graph.synchronizer is not None:
        return synchronous.SessionCreator(job.schedule.replicas_to_aggregate, **arguments)
    if graph.synchronized is None:
        return sessions.SessionCreator(**arguments)
    return all_reduce.SessionCreator(
        graph=graph, last_step=job.schedule.last_step, timeout_secs=options.collective_timeout_secs, **arguments
    )
