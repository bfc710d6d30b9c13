"""The options of evaluation, named and defaulted as in research/slim. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field

from slim_train.config import Options, option
from slim_train.options import ComputeOptions


@dataclass(frozen=True)
class EvalOptions(Options):
    """Evaluation."""

    checkpoint_path: str = option(
        "/tmp/tfmodel/",
        "Training folder, whose latest checkpoint is evaluated, or one checkpoint.",
        aliases=("train_dir", "output_dir"),
    )
    eval_dir: str | None = option(None, "Folder for the results. Default: eval_<split> in the checkpoint's folder.")
    dataset_dir: str | None = option(
        None, "Folder with the TFRecord files. Default: the one trained on.", aliases=("data_dir",)
    )
    dataset_name: str | None = option(None, "Name of the data set. Default: what info.json says.")
    dataset_split_name: str = option("test", "Which split to evaluate.", aliases=("split",))
    labels_offset: int | None = option(None, "As in training. Default: the training folder's.")
    num_classes: int | None = option(None, "As in training. Default: the training folder's.", at_least=1)
    model_name: str | None = option(None, "Name of the net. Default: the training folder's, else inception_v3.")
    preprocessing_name: str | None = option(None, "Preprocessing recipe. Default: the training folder's.")
    eval_image_size: int | None = option(None, "Height and width in pixels. Default: as trained.", at_least=1)
    eval_image_channels: int | None = option(None, "1 or 3. Default: as trained.", choices=(1, 3))
    use_grayscale: bool = option(False, "The same as --eval_image_channels=1.")
    quantize: bool = option(False, "For old command lines: no quantization.", choices=(False,), saved=False)
    batch_size: int = option(100, "Images per step.", at_least=1)
    eval_flip: bool | None = option(
        None,
        "Average the probabilities of each image and of its mirror image. Default: as the training evaluated itself.",
    )
    max_num_batches: int | None = option(None, "Evaluate only so many batches. Default: all images.", at_least=1)
    num_preprocessing_threads: int | None = option(None, "Threads that decode images.", at_least=1)
    moving_average_decay: float | None = option(
        None,
        "Evaluate the moving averages kept with this decay instead of the variables. Default: as in the training "
        "folder's config.yaml; 0 evaluates the variables.",
        at_least=0,
        at_most=1,
    )
    eval_interval_secs: int = option(
        0,
        "Follow a running training: evaluate each new checkpoint, looking this often; 0 evaluates once.",
        at_least=0,
    )
    keep_best: bool = option(
        False, "Keep a copy of the checkpoint with the best accuracy in best/ of the training folder."
    )
    mistakes: int = option(36, "How many of the worst mistakes to draw; 0 draws none.", at_least=0)
    master: str = option("", "Address of a TensorFlow server started by hand.", saved=False)
    compute: ComputeOptions = field(default_factory=ComputeOptions)
