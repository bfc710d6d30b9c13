"""The options of retrain, named and defaulted as in TF-Hub's retrain script. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field

from slim_train.config import Options, option
from slim_train.errors import UsageError
from slim_train.options import PRECISIONS


@dataclass(frozen=True)
class ImageOptions(Options):
    """Images and how they are divided."""

    image_dir: str | None = option(None, "Folder with one folder of pictures per class.")
    testing_percentage: int = option(10, "Percent of the pictures kept for the test.", at_least=0, at_most=99)
    validation_percentage: int = option(10, "Percent of the pictures kept for validation.", at_least=0, at_most=99)


@dataclass(frozen=True)
class ModuleOptions(Options):
    """The trained net that sees the pictures: a module, or one of our own."""

    tfhub_module: str = option(
        "https://tfhub.dev/google/imagenet/inception_v3/feature_vector/3",
        "Folder of a module, in TF1 Hub format or as SavedModel, or the handle of one on the web (extra [hub]; kept "
        "under TFHUB_CACHE_DIR).",
    )
    model_name: str | None = option(
        None, "Use a net of slim_train.nets.factory instead, with the weights of --checkpoint_path."
    )
    checkpoint_path: str | None = option(
        None,
        "Checkpoint or training folder of --model_name. Without that it has no use: retrain.py kept its own variables "
        "there.",
    )
    image_size: int | None = option(
        None, "Height and width in pixels that the net sees. Default: its own; 224 where it has none.", at_least=1
    )
    precision: str = option(
        "auto",
        "Of the features; the written graph is float32. bf16 is for CPUs, fp16 for GPUs, auto takes them where this "
        "machine computes in them, else fp32.",
        choices=PRECISIONS,
    )
    bottleneck_dir: str = option("/tmp/bottleneck", "Folder where the features of pictures are kept for later runs.")


@dataclass(frozen=True)
class HeadOptions(Options):
    """Training of the last layer."""

    how_many_training_steps: int = option(4000, "Training steps.", at_least=1)
    learning_rate: float = option(0.01, "Learning rate of plain gradient descent.", at_least=0)
    train_batch_size: int = option(100, "Pictures per step, each of a class and then a picture by chance.", at_least=1)
    validation_batch_size: int = option(
        100, "Pictures per evaluation while training, drawn likewise; -1 takes all there are.", at_least=-1
    )
    test_batch_size: int = option(-1, "Pictures of the final test, drawn by chance; -1 takes all.", at_least=-1)
    eval_step_interval: int = option(10, "Steps between evaluations.", at_least=1)
    seed: int | None = option(None, "Seed of initial values, draws and distortions. Default: different each run.")


@dataclass(frozen=True)
class DistortionOptions(Options):
    """Distortions of training pictures. Each makes features anew in every step, which is slow."""

    flip_left_right: bool = option(False, "Mirror half of the pictures.")
    random_crop: int = option(0, "Percent by which a picture is larger than the part that is seen.", at_least=0)
    random_scale: int = option(0, "Largest percent by which a picture is scaled up.", at_least=0)
    random_brightness: int = option(0, "Largest percent by which pixels are made lighter or darker.", at_least=0)

    @property
    def any(self) -> bool:
        """Whether pictures are distorted at all."""
        return self.flip_left_right or any((self.random_crop, self.random_scale, self.random_brightness))


@dataclass(frozen=True)
class OutputOptions(Options):
    """Results."""

    output_graph: str = option(
        "/tmp/output_graph.pb", "File for the frozen graph; results as JSON and the mistakes as a picture go beside it."
    )
    output_labels: str = option("/tmp/output_labels.txt", "File for the class names, one a line.")
    final_tensor_name: str = option("final_result", "Name of the probabilities in the graph.")
    saved_model_dir: str | None = option(None, "Folder for a SavedModel, which must not exist. Default: none.")
    summaries_dir: str = option("/tmp/retrain_logs", "Folder for TensorBoard; event files of an earlier run go.")
    intermediate_output_graphs_dir: str = option("/tmp/intermediate_graph/", "Folder for graphs written on the way.")
    intermediate_store_frequency: int = option(0, "Steps between graphs written on the way; 0 writes none.", at_least=0)
    print_misclassified_test_images: bool = option(False, "List the test pictures that were taken for another class.")
    logging_verbosity: str = option(
        "INFO", "For old command lines.", choices=("DEBUG", "INFO", "WARN", "ERROR", "FATAL"), saved=False
    )


@dataclass(frozen=True)
class RetrainOptions(Options):
    """Everything that retrain can be told."""

    images: ImageOptions = field(default_factory=ImageOptions)
    module: ModuleOptions = field(default_factory=ModuleOptions)
    head: HeadOptions = field(default_factory=HeadOptions)
    distortions: DistortionOptions = field(default_factory=DistortionOptions)
    output: OutputOptions = field(default_factory=OutputOptions)

    def __post_init__(self) -> None:
        super().__post_init__()
        held_back = self.images.testing_percentage + self.images.validation_percentage
        if held_back >= 100:
            raise UsageError(
                f"--testing_percentage={self.images.testing_percentage} and --validation_percentage="
                f"{self.images.validation_percentage} leave no pictures to train on: together they must be below 100."
            )
        if self.module.model_name and not self.module.checkpoint_path:
            raise UsageError(f"--model_name={self.module.model_name} takes a --checkpoint_path with its weights.")
        for flag in ("validation_batch_size", "test_batch_size"):
            if getattr(self.head, flag) == 0:
                raise UsageError(f"--{flag}=0 must be a number of pictures, or -1 for all.")
