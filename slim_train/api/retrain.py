"""The verb ``retrain``. No TensorFlow before it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slim_train.api.flags import PathLike, one_usage_error, options_from, takes_flags
from slim_train.api.tensorflow import tensorflow_ready
from slim_train.errors import UsageError
from slim_train.retraining.options import RetrainOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from slim_train.api.keywords import RetrainFlags
    from slim_train.retraining.report import RetrainReport


@takes_flags(RetrainOptions(), "retrain")
def retrain(
    image_dir: PathLike | None = None, *, config: PathLike | None = None, **flags: Unpack[RetrainFlags]
) -> RetrainReport:
    """Train a new last layer on a trained net for the classes of an image folder, and return the report.

    Args:
      image_dir: folder with one folder of images per class.
      config: YAML file of flags; arguments override it.
      **flags: the flags of the command retrain. ``load`` takes what ``output_graph`` names.

    Raises:
      UsageError: an argument, the image folder or the module is wrong.
      RunError: training diverged, or a module could not be downloaded.
    """
    options = options_from(RetrainOptions(), "retrain", flags, {"image_dir": image_dir}, config)
    if not (options.images.image_dir or options.features.features):
        raise UsageError("retrain(): image_dir is missing.")
    with one_usage_error(), tensorflow_ready():
        if options.features.features or options.spark.runs_on_spark:
            from slim_train.bulk.retrain import run
        else:
            from slim_train.retraining.run import run

        return run(options)
