"""A training run of one task: everything that is decided before its graph is built."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets.record_format import RecordFormat
from datasets.spec import INFO_FILE, DatasetSpec
from datasets.storage import path_of
from deployment.cluster import ClusterConfig
from deployment.devices import DeploymentConfig
from slim_train import config
from slim_train.checkpoints import scopes, training_folder
from slim_train.checkpoints.find import step_of
from slim_train.errors import UsageError
from slim_train.model.spec import ModelSpec
from slim_train.optim import losses
from slim_train.optim.schedule import Schedule
from slim_train.training.feature_cache import FeatureCache
from slim_train.training_options import OptimizerOptions, TrainOptions


@dataclasses.dataclass(frozen=True)
class Job:
    """What one task of a training is to do; made by :func:`slim_train.training.prepare.prepare`.

    Attributes:
      options: the flags.
      cluster: the tasks, and which of them this is.
      deployment: where variables and clones are.
      dataset: the split to train on.
      validation_set: the split that checkpoints are evaluated on meanwhile; None for no evaluation, and for workers.
      model: the net.
      schedule: what is counted in steps.
      session_config: options of the session.
      master: address of the TensorFlow server to train on; "" for a session in this process.
      resumed: the checkpoint of the training folder that training goes on from, or None.
      precision: fp32, bf16 or fp16.
      cache: features of a frozen trunk to train the head on, or None.
    """

    options: TrainOptions
    cluster: ClusterConfig
    deployment: DeploymentConfig
    dataset: DatasetSpec
    validation_set: DatasetSpec | None
    model: ModelSpec
    schedule: Schedule
    session_config: Any
    master: str
    resumed: str | None
    precision: str = "fp32"
    cache: FeatureCache | None = None

    @property
    def train_dir(self) -> Path:
        """The training folder."""
        return path_of(self.options.loop.train_dir)

    @property
    def log_dir(self) -> str:
        """The folder of event files."""
        return self.options.loop.log_dir or self.options.loop.train_dir

    @property
    def is_chief(self) -> bool:
        """Whether this task leads: it restores, saves and evaluates."""
        return self.cluster.role == "chief"

    @property
    def restores(self) -> bool:
        """Whether this task looks for checkpoints."""
        return self.is_chief or self.options.loop.dry_run

    @property
    def has_evaluator(self) -> bool:
        """Whether a task of the cluster evaluates checkpoints."""
        return any(task.type == "evaluator" for task in self.cluster.tasks)

    @property
    def head_scopes(self) -> tuple[str, ...]:
        """Scopes of the net's classification heads, which ``auto`` stands for."""
        return self.model.net.head_scopes

    @property
    def trainable_scopes(self) -> tuple[str, ...]:
        """Scopes to train; none means everything."""
        return scopes.split_scopes(self.options.restore.trainable_scopes, self.head_scopes)

    @property
    def optimizer_options(self) -> OptimizerOptions:
        """The options of the optimizer.

        Tasks of a sparse cluster each know another number of workers. Momentum corrected for it would differ between
        them.
        """
        if self.cluster.is_complete:
            return self.options.optimizer
        return dataclasses.replace(self.options.optimizer, correct_async_momentum=False)

    @property
    def class_weights(self) -> Sequence[float] | None:
        """Weight of each class in the loss, or None.

        Raises:
          UsageError: they depend on the images per class, and the data set does not say these.
        """
        if self.options.optimizer.class_weights == "none":
            return None
        if self.dataset.class_counts is None:
            raise UsageError(
                "--class_weights=balanced needs the images per class, and "
                f"{self.dataset.dataset_dir}/info.json does not hold them; convert the data set again with "
                "download_and_convert_data."
            )
        return losses.balanced_class_weights(
            self.dataset.class_counts, self.model.num_classes, self.model.labels_offset
        )

    @property
    def is_over(self) -> bool:
        """Whether the checkpoint to go on from is the last of this training."""
        last_step = self.schedule.last_step
        return self.resumed is not None and last_step is not None and step_of(self.resumed) >= last_step

    def is_complete(self) -> bool:
        """Return whether the training folder says that the run with these options has ended."""
        return training_folder.is_complete(self.train_dir, self.options)

    def _resolved_records(self) -> dict[str, str | None]:
        """Return the flags that name the files and the keys of records of other tools, however they were found.

        A user's module may have named them, which evaluation then does without.
        """
        records, usual = self.dataset.records, RecordFormat()
        values: dict[str, str | None] = {"file_pattern": self.dataset.file_pattern}
        if records.image_key != usual.image_key:
            values["image_key"] = records.image_key
        if records.label_kind == "text":
            values["text_key"] = records.label_key
        elif records.label_key != usual.label_key:
            values["label_key"] = records.label_key
        # Records of other tools may be without a name: then the data set is called as its folder is.
        is_named = (path_of(self.dataset.dataset_dir) / INFO_FILE).is_file()
        return {**values, "dataset_name": self.dataset.name if is_named else self.options.data.dataset_name}

    def resolved_options(self) -> TrainOptions:
        """Return the options with defaults that depend on the net or the data filled in: what config.yaml records."""
        return config.with_values(
            self.options,
            {
                "dataset_dir": str(path_of(self.dataset.dataset_dir).absolute()),
                **self._resolved_records(),
                "num_classes": self.model.num_classes,
                "train_image_size": self.model.image_size,
                "train_image_channels": self.model.channels,
                "preprocessing_name": None if self.model.recipe.files else self.model.preprocessing,
            },
        )
