"""The evaluator's role: every new checkpoint of the training folder, the best one kept, until training ends."""

from __future__ import annotations

import dataclasses

from datasets.storage import path_of
from deployment import servers, task_status
from slim_train.checkpoints import training_folder
from slim_train.evaluation import evaluate
from slim_train.evaluation.options import EvalOptions
from slim_train.training_options import TrainOptions, TrustedCodeOptions

_LOOKS_EVERY_SECS = 2


def follow(options: TrainOptions) -> None:
    """Wait for the training to begin, and evaluate its checkpoints until it ends."""
    train_dir = path_of(options.loop.train_dir)

    def missing() -> list[str]:
        has_begun = (train_dir / training_folder.CONFIG).is_file()
        # A result may be an earlier run's: the chief removes it when it starts.
        is_earlier = training_folder.has_ended(train_dir) and not training_folder.is_complete(train_dir, options)
        return [] if has_begun and not is_earlier else [f"a training to begin in {train_dir}"]

    servers.wait_until_none_missing(missing, options.cluster.cluster_wait_secs)
    task_status.report(state="evaluating")
    evaluate.run(
        EvalOptions(
            checkpoint_path=str(train_dir),
            dataset_dir=options.data.dataset_dir,
            dataset_name=options.data.dataset_name,
            dataset_split_name=options.validation.eval_split_name or EvalOptions.dataset_split_name,
            batch_size=options.validation.eval_batch_size,
            moving_average_decay=options.optimizer.moving_average_decay,
            eval_flip=options.validation.eval_flip,
            eval_interval_secs=_LOOKS_EVERY_SECS,
            keep_best=True,
            record_cache=options.record_cache,
            code=TrustedCodeOptions(**dataclasses.asdict(options.code)),
        )
    )
