"""What extract_features can be told. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field

from slim_train.config import Options, option
from slim_train.errors import UsageError
from slim_train.retraining.options import ImageOptions
from slim_train.spark_options import SparkOptions
from slim_train.training_options import PRECISIONS, SCALED_DECODING, TrustedCodeOptions

POOLING = ("mean", "none")
LIST = "?"
_NETS = ("checkpoint_path", "tfhub_module", "graph", "saved_model_dir")


@dataclass(frozen=True)
class ListedImages(ImageOptions):
    """Images: class folders, a list, or records."""

    image_dir: str | None = option(None, "Folder with one folder of images per class.", takes_urls=True)
    image_list: str | None = option(
        None,
        "Text file with one image path per line; a .csv file with a column path, and optional columns label, class "
        "and split; or a table: a .parquet file, a folder of them or a Delta table, with a column path, or with the "
        "bytes of the images in a column content or image.",
        takes_urls=True,
    )
    dataset_dir: str | None = option(None, "Folder of TFRecords.", aliases=("data_dir",), takes_urls=True)
    dataset_name: str | None = option(None, "Name of the data set, if the folder of TFRecords holds several.")

    def given(self) -> tuple[str, ...]:
        """Return the flags that name images."""
        return tuple(name for name in ("image_dir", "image_list", "dataset_dir") if getattr(self, name))

    def check(self) -> None:
        """Check that the images are named, once.

        Raises:
          UsageError: they are not.
        """
        if len(self.given()) != 1:
            found = " and ".join(f"--{name}" for name in self.given()) or "none"
            raise UsageError(f"Name the images with one of --image_dir, --image_list, --dataset_dir; given: {found}.")


@dataclass(frozen=True)
class FeatureNetOptions(Options):
    """The net that computes the features: a net with its checkpoint, a training folder, a module or an export."""

    model_name: str | None = option(
        None, "Net. Requires --checkpoint_path. Default: the net of the training folder --checkpoint_path."
    )
    checkpoint_path: str | None = option(None, "Checkpoint or training folder.", aliases=("train_dir",))
    preprocessing_name: str | None = option(
        None, "With --checkpoint_path: preprocessing recipe. Default: as in training, else the recipe of the net."
    )
    tfhub_module: str | None = option(
        None,
        "Folder of a module in TF1 Hub or SavedModel format, or a handle to download (extra [hub]).",
        is_address=True,
    )
    graph: str | None = option(None, "Frozen graph (.pb) from export_inference_graph, retrain or elsewhere.")
    saved_model_dir: str | None = option(
        None, "SavedModel from export_inference_graph or retrain, or another that takes float images."
    )
    input_layer: str | None = option(None, "With --graph: node that takes images. Default: found by common names.")
    input_mean: float | None = option(
        None, "With --graph or --saved_model_dir: number to subtract from pixels, 0..255. Default: 0."
    )
    input_std: float | None = option(
        None,
        "With --graph or --saved_model_dir: number to divide pixels by, after --input_mean. Default: 255; 1 for "
        "exports of slim-train, which scale pixels themselves.",
    )
    image_size: int | None = option(
        None, "Image height and width in pixels. Default: that of the net or module, else 224.", at_least=1
    )
    end_points: str | None = option(
        None,
        "End points to extract, comma-separated, for example global_pool,Mixed_5c, or names of tensors. ?: list them "
        "with their shapes. Default: features, the input of the classification layer.",
    )
    pooling: str = option(
        "mean",
        "How maps become one vector per image. mean: average over height and width. none: all values, row by row.",
        choices=POOLING,
    )
    average_flip: bool = option(
        False,
        "Average the features of each image and its mirror image. Doubles the time. Requires --pooling=mean.",
    )
    precision: str = option(
        "auto",
        "Precision of the computation; features are stored in float32. bf16 is for CPUs, fp16 for GPUs. auto: 16 "
        "bits if this machine computes in them, else fp32.",
        choices=PRECISIONS,
    )
    scaled_decoding: str = option(
        "auto",
        "auto: decode large JPEGs smaller than they are, to at least twice the image size. never: decode all pixels.",
        choices=SCALED_DECODING,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.input_std == 0:
            raise UsageError("--input_std=0 must not be 0: pixels are divided by it.")
        if self.average_flip and self.pooling != "mean":
            raise UsageError(f"--average_flip and --pooling={self.pooling} cannot be combined: maps have sides.")

    @property
    def lists_end_points(self) -> bool:
        """Whether end points are to be listed."""
        return self.end_points == LIST

    @property
    def is_graph(self) -> bool:
        """Whether the net is a frozen graph or an export."""
        return bool(self.graph or self.saved_model_dir)

    def check(self) -> None:
        """Check that the net is named, once.

        Raises:
          UsageError: it is not, or a flag belongs to another kind of net.
        """
        given = [name for name in _NETS if getattr(self, name)]
        if len(given) != 1:
            found = " and ".join(f"--{name}" for name in given) or "none"
            raise UsageError(
                "Name the net with --checkpoint_path (and --model_name), or with one of --tfhub_module, --graph, "
                f"--saved_model_dir; given: {found}."
            )
        if self.model_name and given != ["checkpoint_path"]:
            raise UsageError(f"--model_name={self.model_name} and --{given[0]} cannot be combined: name one net.")
        if self.preprocessing_name and not self.checkpoint_path:
            raise UsageError(f"--preprocessing_name={self.preprocessing_name} requires --checkpoint_path.")
        if self.input_layer and not self.graph:
            raise UsageError("--input_layer requires --graph.")
        if (self.input_mean, self.input_std) != (None, None) and not self.is_graph:
            raise UsageError("--input_mean and --input_std require --graph or --saved_model_dir.")


def refuse_url_on_spark(flag: str, folder: str, spark: SparkOptions) -> None:
    """Check that the workers of a cluster see the output folder as files.

    Raises:
      UsageError: it is a URL.
    """
    if spark.runs_on_spark and "://" in folder:
        raise UsageError(f"--{flag}={folder} must be a folder that all workers see as files: mount the store.")


@dataclass(frozen=True)
class FeatureOutputOptions(Options):
    """Output."""

    output_dir: str | None = option(
        None,
        "Folder for the Parquet files and _model.json. A second run computes what is missing there.",
        takes_urls=True,
    )
    images_per_file: int | None = option(
        None, "Images per Parquet file, and per Spark task. Default: 250 to 1000, equal parts.", at_least=1
    )
    overwrite: bool = option(False, "Delete the features in --output_dir first.")


@dataclass(frozen=True)
class ExtractOptions(Options):
    """Everything that extract_features can be told."""

    images: ListedImages = field(default_factory=ListedImages)
    net: FeatureNetOptions = field(default_factory=FeatureNetOptions)
    code: TrustedCodeOptions = field(default_factory=TrustedCodeOptions)
    output: FeatureOutputOptions = field(default_factory=FeatureOutputOptions)
    spark: SparkOptions = field(default_factory=SparkOptions)

    def check(self) -> None:
        """Check that what is needed is there.

        Raises:
          UsageError: a flag is missing, or two exclude each other.
        """
        self.net.check()
        if self.net.lists_end_points:
            return
        self.images.check()
        if not self.output.output_dir:
            raise UsageError("--output_dir is required (--help lists the flags).")
        refuse_url_on_spark("output_dir", self.output.output_dir, self.spark)
