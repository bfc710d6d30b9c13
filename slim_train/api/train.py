"""The verb ``train``. No TensorFlow before it is called."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from slim_train.api.flags import PathLike, one_usage_error, options_from, takes_flags
from slim_train.api.tensorflow import tensorflow_ready
from slim_train.extensions import check_names
from slim_train.training_options import TrainOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from slim_train.api.keywords import TrainFlags
    from slim_train.training.hooks.validation import Evaluated
    from slim_train.training.result import TrainingResult


@takes_flags(TrainOptions(), "train_image_classifier")
def train(
    dataset_dir: PathLike | None = None,
    train_dir: PathLike | None = None,
    *,
    config: PathLike | None = None,
    hooks: Iterable[Any] = (),
    on_evaluation: Callable[[Evaluated], None] | Iterable[Callable[[Evaluated], None]] = (),
    **flags: Unpack[TrainFlags],
) -> TrainingResult | Any:
    """Train or fine-tune an image classifier, and return its result.

    A training folder that holds a checkpoint is resumed. Ctrl-C, or interrupting a notebook's cell, stops after the
    current step, saves a checkpoint and returns the result so far.

    Args:
      dataset_dir: folder with the TFRecord files, info.json and labels.txt.
      train_dir: folder for checkpoints, logs and config.yaml. Default: /tmp/tfmodel/.
      config: YAML file of flags; arguments override it.
      hooks: ``tf.train.SessionRunHook`` instances to run beside those of the training.
      on_evaluation: function, or several, to call with an ``Evaluated`` after each evaluation during training.
      **flags: the flags of the command train_image_classifier.

    Returns:
      The result. None with ``dry_run=True``, and for tasks of a cluster other than the chief.

    Raises:
      UsageError: an argument, the data set or the checkpoint is wrong.
      RunError: a record is broken, or training diverged.
    """
    positional = {"dataset_dir": dataset_dir, "train_dir": train_dir}
    options = options_from(TrainOptions(), "train", flags, positional, config, required=("dataset_dir",))
    check_names(options)
    with one_usage_error(), tensorflow_ready():
        from slim_train.training.train import run

        callbacks = [on_evaluation] if callable(on_evaluation) else list(on_evaluation or ())
        return run(options, hooks=list(hooks or ()), on_evaluation=callbacks)
