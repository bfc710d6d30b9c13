"""The verb ``classify_images``. No TensorFlow before it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slim_train.api.flags import PathLike, one_usage_error, options_from, takes_flags
from slim_train.api.tensorflow import tensorflow_ready
from slim_train.bulk.classify_options import ClassifyOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from slim_train.api.keywords import ClassifyFlags
    from slim_train.bulk.classify import ClassifyReport


@takes_flags(ClassifyOptions(), "classify_images")
def classify_images(
    predictions_dir: PathLike | None = None, *, config: PathLike | None = None, **flags: Unpack[ClassifyFlags]
) -> ClassifyReport:
    """Write the likeliest classes of images to Parquet files and return the report, with metrics if labels are known.

    Args:
      predictions_dir: folder for the files. A second run classifies the images that are missing there.
      config: YAML file of flags; arguments override it.
      **flags: the flags of the command classify_images.

    Raises:
      UsageError: an argument is wrong, or images, classifier and folder do not fit.
      RunError: none of the images can be used, or the cluster failed.
    """
    options = options_from(
        ClassifyOptions(), "classify_images", flags, {"predictions_dir": predictions_dir}, config, ("predictions_dir",)
    )
    options.check()
    with one_usage_error(), tensorflow_ready():
        from slim_train.bulk.classify import classify

        return classify(options)
