"""The verb ``extract_features``. No TensorFlow before it is called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slim_train.api.flags import PathLike, one_usage_error, options_from, takes_flags
from slim_train.api.tensorflow import tensorflow_ready
from slim_train.bulk.options import ExtractOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from slim_train.api.keywords import ExtractFlags
    from slim_train.bulk.extract import ExtractionReport


@takes_flags(ExtractOptions(), "extract_features")
def extract_features(
    output_dir: PathLike | None = None, *, config: PathLike | None = None, **flags: Unpack[ExtractFlags]
) -> ExtractionReport:
    """Write the features of images to Parquet files and return the report.

    Args:
      output_dir: folder for the files. A second run computes what is missing there.
      config: YAML file of flags; arguments override it.
      **flags: the flags of the command extract_features.

    Raises:
      UsageError: an argument is wrong, or images, net and folder do not fit.
      RunError: none of the images can be used, or the cluster failed.
    """
    options = options_from(
        ExtractOptions(), "extract_features", flags, {"output_dir": output_dir}, config, ("output_dir",)
    )
    options.check()
    with one_usage_error(), tensorflow_ready():
        from slim_train.bulk.extract import extract

        return extract(options)
