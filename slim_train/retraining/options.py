"""The options of retrain, named and defaulted as in TF-Hub's retrain script. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field

from slim_train.config import Options, option
from slim_train.errors import UsageError
from slim_train.spark_options import SparkOptions
from slim_train.training_options import PRECISIONS, SCALED_DECODING, TrustedCodeOptions


@dataclass(frozen=True)
class ImageOptions(Options):
    """Images and how they are divided."""

    image_dir: str | None = option(None, "Folder with one folder of images per class.", takes_urls=True)
    testing_percentage: int = option(10, "Percentage of images for the final test.", at_least=0, at_most=99)
    validation_percentage: int = option(10, "Percentage of images for validation.", at_least=0, at_most=99)


@dataclass(frozen=True)
class ModuleOptions(Options):
    """The trained net that sees the images: a module, or one of our own."""

    tfhub_module: str = option(
        "https://tfhub.dev/google/imagenet/inception_v3/feature_vector/3",
        "Folder of a module in TF1 Hub or SavedModel format, or a handle to download (extra [hub]; cached in "
        "TFHUB_CACHE_DIR).",
        is_address=True,
    )
    model_name: str | None = option(None, "Use a net instead of a module. Requires --checkpoint_path.")
    checkpoint_path: str | None = option(
        None,
        "Checkpoint or training folder of --model_name. Ignored without --model_name.",
        takes_urls=True,
    )
    preprocessing_name: str | None = option(
        None, "Preprocessing recipe of --model_name. Default: as in training, else the recipe of the net."
    )
    image_size: int | None = option(
        None, "Image height and width in pixels. Default: that of the module, else 224.", at_least=1
    )
    average_flip: bool = option(
        False,
        "Average the features of each image and its mirror image. Doubles the time, also of the written graph; usually "
        "more accurate for photos.",
    )
    precision: str = option(
        "auto",
        "Precision of the features; the written graph is float32. bf16 is for CPUs, fp16 for GPUs. auto: 16 "
        "bits if this machine computes in them, else fp32.",
        choices=PRECISIONS,
    )
    scaled_decoding: str = option(
        "auto",
        "auto: decode large JPEGs smaller than they are, to at least twice the image size. never: decode all pixels.",
        choices=SCALED_DECODING,
    )
    bottleneck_dir: str = option(
        "/tmp/bottleneck", "Folder in which features are cached for later runs.", takes_urls=True
    )


@dataclass(frozen=True)
class HeadOptions(Options):
    """Training of the last layer."""

    how_many_training_steps: int = option(4000, "Training steps.", at_least=1)
    learning_rate: float = option(0.01, "Learning rate of plain gradient descent.", at_least=0)
    weight_decay: float | None = option(
        None,
        "L2 penalty of the weights of the last layer. Default: 0; on Spark, the one with the lowest validation loss.",
        at_least=0,
    )
    train_batch_size: int = option(100, "Images per step: a random class, then a random image of it.", at_least=1)
    validation_batch_size: int = option(
        100, "Images per evaluation during training, drawn in the same way. -1: all.", at_least=-1
    )
    test_batch_size: int = option(-1, "Images of the final test, drawn at random. -1: all.", at_least=-1)
    eval_step_interval: int = option(10, "Steps between evaluations.", at_least=1)
    seed: int | None = option(
        None, "Random seed of initial values, draws and augmentation. Default: different in each run."
    )


@dataclass(frozen=True)
class DistortionOptions(Options):
    """Distortions of training images. Features are computed again in every step, which is slow."""

    flip_left_right: bool = option(False, "Mirror half of the images.")
    random_crop: int = option(0, "Percentage by which an image is larger than the crop.", at_least=0)
    random_scale: int = option(0, "Maximum percentage by which an image is scaled up.", at_least=0)
    random_brightness: int = option(0, "Maximum percentage by which brightness changes.", at_least=0)

    @property
    def any(self) -> bool:
        """Whether images are distorted at all."""
        return self.flip_left_right or any((self.random_crop, self.random_scale, self.random_brightness))


@dataclass(frozen=True)
class OutputOptions(Options):
    """Results."""

    output_graph: str = option(
        "/tmp/output_graph.pb",
        "File for the frozen graph. Results as JSON and a sheet of mistakes are written beside it.",
        takes_urls=True,
    )
    output_labels: str = option("/tmp/output_labels.txt", "File for the class names, one per line.", takes_urls=True)
    final_tensor_name: str = option("final_result", "Name of the probabilities in the graph.")
    saved_model_dir: str | None = option(
        None, "Folder for a SavedModel. Must not exist. Default: no SavedModel.", takes_urls=True
    )
    summaries_dir: str = option(
        "/tmp/retrain_logs", "Folder for TensorBoard. Event files of earlier runs are deleted.", takes_urls=True
    )
    intermediate_output_graphs_dir: str = option(
        "/tmp/intermediate_graph/", "Folder for intermediate graphs.", takes_urls=True
    )
    intermediate_store_frequency: int = option(0, "Steps between intermediate graphs. 0: none.", at_least=0)
    print_misclassified_test_images: bool = option(False, "List the misclassified test images.")
    logging_verbosity: str = option(
        "INFO", "For old command lines.", choices=("DEBUG", "INFO", "WARN", "ERROR", "FATAL"), saved=False
    )


@dataclass(frozen=True)
class FeatureOptions(Options):
    """Features that are there."""

    features: str | None = option(
        None,
        "Output folder of extract_features to train on, instead of --image_dir. The net is the one of the features, "
        "unless flags name it.",
    )


@dataclass(frozen=True)
class RetrainOptions(Options):
    """Everything that retrain can be told."""

    images: ImageOptions = field(default_factory=ImageOptions)
    features: FeatureOptions = field(default_factory=FeatureOptions)
    module: ModuleOptions = field(default_factory=ModuleOptions)
    code: TrustedCodeOptions = field(default_factory=TrustedCodeOptions)
    head: HeadOptions = field(default_factory=HeadOptions)
    distortions: DistortionOptions = field(default_factory=DistortionOptions)
    output: OutputOptions = field(default_factory=OutputOptions)
    spark: SparkOptions = field(default_factory=SparkOptions)

    def __post_init__(self) -> None:
        super().__post_init__()
        held_back = self.images.testing_percentage + self.images.validation_percentage
        if held_back >= 100:
            raise UsageError(
                f"--testing_percentage={self.images.testing_percentage} and --validation_percentage="
                f"{self.images.validation_percentage} leave no images to train on: together they must be below 100."
            )
        if self.module.model_name and not self.module.checkpoint_path:
            raise UsageError(f"--model_name={self.module.model_name} requires --checkpoint_path.")
        if self.module.preprocessing_name and not self.module.model_name:
            raise UsageError(f"--preprocessing_name={self.module.preprocessing_name} requires --model_name.")
        for flag in ("validation_batch_size", "test_batch_size"):
            if getattr(self.head, flag) == 0:
                raise UsageError(f"--{flag}=0 must be a number of images, or -1 for all.")
        given = self.features.features
        if given and self.images.image_dir:
            raise UsageError(f"--features={given} and --image_dir={self.images.image_dir} cannot be combined.")
        if self.distortions.any and (given or self.spark.uses_spark):
            raise UsageError("Distorted images cannot be trained on with --features or --spark_master.")
