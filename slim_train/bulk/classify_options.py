"""What classify_images can be told. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field

from slim_train.bulk.options import ListedImages, refuse_url_on_spark
from slim_train.config import Options, option
from slim_train.errors import UsageError
from slim_train.inference.options import ClassifierOptions
from slim_train.spark_options import SparkOptions


@dataclass(frozen=True)
class PredictionOptions(Options):
    """Predictions."""

    predictions_dir: str | None = option(
        None,
        "Folder for the Parquet files and _metrics.json. A second run classifies the images that are missing.",
        takes_urls=True,
    )
    csv_file: str | None = option(
        None, "Also write the predictions to this CSV file, for example predictions.csv.", takes_urls=True
    )
    top: int = option(5, "Number of classes per image.", at_least=1)
    images_per_file: int | None = option(
        None, "Images per Parquet file, and per Spark task. Default: 250 to 1000, equal parts.", at_least=1
    )
    overwrite: bool = option(False, "Delete the predictions in --predictions_dir first.")


@dataclass(frozen=True)
class ClassifyOptions(Options):
    """Everything that classify_images can be told."""

    images: ListedImages = field(default_factory=ListedImages)
    classifier: ClassifierOptions = field(default_factory=ClassifierOptions)
    predictions: PredictionOptions = field(default_factory=PredictionOptions)
    spark: SparkOptions = field(default_factory=SparkOptions)

    def check(self) -> None:
        """Check that what is needed is there.

        Raises:
          UsageError: a flag is missing, or two exclude each other.
        """
        self.images.check()
        if not self.predictions.predictions_dir:
            raise UsageError("--predictions_dir is required (--help lists the flags).")
        refuse_url_on_spark("predictions_dir", self.predictions.predictions_dir, self.spark)
        if self.predictions.csv_file:
            _check_csv_file(self.predictions.csv_file)


def _check_csv_file(csv_file: str) -> None:
    from datasets.storage import is_url, path_of  # not at the top: commands check first that this package is ours

    path = path_of(csv_file)
    if not is_url(path) and not path.absolute().parent.is_dir():
        raise UsageError(f"--csv_file: there is no folder {path.parent}.")
    if path.is_dir():
        raise UsageError(f"--csv_file={path} is a folder: name a file, for example {path / 'predictions.csv'}.")
