"""Where the variables of a training come from: its own checkpoint, ``--checkpoint_path``, or initial values."""

from __future__ import annotations

import logging
from typing import Any

from datasets.storage import path_of
from slim_train.checkpoints import scopes, training_folder, unfinished
from slim_train.checkpoints.find import saved_checkpoints
from slim_train.checkpoints.resolve import resolve_checkpoint
from slim_train.checkpoints.restore import RestorePlan, check_resume, plan_restore
from slim_train.errors import UsageError
from slim_train.interchange.converted import read_facts
from slim_train.tf_compat import tf
from slim_train.training import sessions
from slim_train.training.graph import TrainingGraph
from slim_train.training.job import Job
from slim_train.training.lease import Lease, LeasedSaver
from slim_train.training.saver import PatientSaver
from slim_train.user_code.copies import keep_copies

log = logging.getLogger(__name__)


def plan(job: Job, graph: TrainingGraph) -> RestorePlan | None:
    """Return what is restored from ``--checkpoint_path``; None if nothing is, or if the run is resumed.

    Raises:
      UsageError: the checkpoint fits neither the graph nor the data set; the message says what was changed.
    """
    restore = None
    if job.resumed:
        training_folder.check_labels(job.train_dir, job.dataset.labels)
        check_resume(
            job.resumed,
            tf.global_variables(),
            lambda: training_folder.describe_changes(job.train_dir, job.resolved_options()),
        )
    elif job.restores and job.options.restore.checkpoint_path:
        checkpoint = resolve_checkpoint(job.options.restore.checkpoint_path)
        _warn_of_other_preprocessing(checkpoint, job.model.recipe.name)
        if job.options.loop.restart and training_folder.is_set_aside(job.train_dir, checkpoint):
            raise UsageError(
                f"--restart puts the checkpoints of {job.train_dir} aside, and --checkpoint_path={checkpoint} is "
                "one of them: name another --train_dir, and the checkpoint as it is."
            )
        restore = plan_restore(
            checkpoint,
            graph.model_variables,
            exclude_scopes=scopes.split_scopes(job.options.restore.checkpoint_exclude_scopes, job.head_scopes),
            ignore_missing=job.options.restore.ignore_missing_vars,
            head_scopes=job.head_scopes,
        )
        log.info("%s", restore.describe())
    if job.cache:
        job.cache.locate(graph.model_variables, graph.trained, job.resumed, restore)
    return restore


def _warn_of_other_preprocessing(checkpoint: str, recipe: str) -> None:
    facts = read_facts(path_of(checkpoint).parent)
    if facts and facts.preprocessing not in (None, recipe):
        log.warning(
            "The weights of --checkpoint_path are for preprocessing %s, and this training uses %s: add "
            "--preprocessing_name=%s.",
            facts.preprocessing, recipe, facts.preprocessing,
        )  # fmt: skip


def lease(job: Job) -> Lease | None:
    """Return the right of the chief of a cluster to write to the training folder; None for other tasks."""
    return Lease(job.train_dir, job.cluster.own.name) if job.is_chief and job.cluster.strategy != "local" else None


def scaffold(job: Job, restore: RestorePlan | None, lease: Lease | None = None) -> Any:
    """Return the ``tf.train.Scaffold`` of the session: initialization, and the saver of all variables."""
    loop = job.options.loop
    keeping: dict[str, Any] = {"max_to_keep": loop.max_checkpoints_to_keep, "save_relative_paths": True}
    keeping["retry_secs"] = loop.save_retry_secs
    with tf.device(sessions.checkpoint_device(job.deployment)):
        saver = LeasedSaver(lease, **keeping) if lease else PatientSaver(job.train_dir, **keeping)
        if job.resumed:
            # So that --max_checkpoints_to_keep counts those of the runs before.
            saver.recover_last_checkpoints(saved_checkpoints(job.train_dir))
        return tf.train.Scaffold(saver=saver, init_fn=restore.init_fn() if restore else None)


def start_folder(job: Job, lease: Lease | None = None) -> None:
    """Make the training folder ready for the first step; with --restart, put what an earlier run left aside."""
    if lease:
        try:
            lease.take()
        except OSError as error:
            raise UsageError(f"--train_dir: cannot write to {job.train_dir}: {error.strerror}.") from error
    if job.options.loop.restart:
        aside = training_folder.set_aside(job.train_dir)
        if aside:
            log.warning("--restart: the old checkpoints and logs of %s are now in %s.", job.train_dir, aside)
    training_folder.start(job.train_dir, job.resolved_options(), job.dataset)
    unfinished.remove_temporary_files(job.train_dir)
    unfinished.remove_parts_without_index(job.train_dir)
    keep_copies(job.train_dir, job.options.code, job.model.net, job.model.recipe)
