"""The options of evaluation, named and defaulted as in research/slim. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field

from slim_train.config import Options, option
from slim_train.training_options import SCALED_DECODING, ComputeOptions, RecordCacheOptions, TrustedCodeOptions


@dataclass(frozen=True)
class EvalOptions(Options):
    """Evaluation."""

    checkpoint_path: str = option(
        "/tmp/tfmodel/",
        "Training folder, whose latest checkpoint is evaluated, or a checkpoint.",
        aliases=("train_dir", "output_dir"),
        takes_urls=True,
    )
    eval_dir: str | None = option(
        None, "Folder for the results. Default: eval_<split> in the checkpoint's folder.", takes_urls=True
    )
    dataset_dir: str | None = option(
        None, "Folder with the TFRecord files. Default: that of the training.", aliases=("data_dir",), takes_urls=True
    )
    dataset_name: str | None = option(None, "Name of the data set. Default: the name in info.json.")
    dataset_split_name: str = option("test", "Split to evaluate.", aliases=("split",))
    file_pattern: str | None = option(
        None,
        "Pattern of the names of the record files, such as train-*. %s stands for the split. Default: as in training.",
    )
    image_key: str | None = option(None, "Key of the encoded image in records of other tools. Default: as in training.")
    label_key: str | None = option(None, "Key of the label in records of other tools. Default: as in training.")
    text_key: str | None = option(
        None, "Key of the class name in records, if that is to be the label. Default: as in training."
    )
    dataset_file: str | None = option(
        None,
        "Python file that describes the records, as a data set module of research/slim does. The file runs: use only "
        "code you trust.",
        saved=False,
        runs_code=True,
    )
    labels_offset: int | None = option(None, "As in training. Default: that of the training folder.")
    num_classes: int | None = option(None, "As in training. Default: that of the training folder.", at_least=1)
    model_name: str | None = option(
        None, "Name of the net. Default: that of the training folder, else the one that fits the checkpoint."
    )
    preprocessing_name: str | None = option(None, "Preprocessing recipe. Default: that of the training folder.")
    eval_image_size: int | None = option(None, "Image height and width in pixels. Default: as in training.", at_least=1)
    eval_image_channels: int | None = option(None, "Color channels, 1 or 3. Default: as in training.", choices=(1, 3))
    use_grayscale: bool = option(False, "Same as --eval_image_channels=1.")
    scaled_decoding: str | None = option(
        None,
        "auto: decode large JPEGs smaller than they are. never: decode all pixels. Default: as in training.",
        choices=SCALED_DECODING,
    )
    quantize: bool = option(
        False, "For old command lines. Must be false: no quantization.", choices=(False,), saved=False
    )
    batch_size: int = option(100, "Images per step.", at_least=1)
    eval_flip: bool | None = option(
        None,
        "Average the probabilities of each image and its mirror image. Default: as in training.",
    )
    max_num_batches: int | None = option(None, "Number of batches to evaluate. Default: all images.", at_least=1)
    num_preprocessing_threads: int | None = option(
        None, "Threads that decode images. Default: chosen by TensorFlow.", at_least=1
    )
    moving_average_decay: float | None = option(
        None,
        "Evaluate the moving averages kept with this decay instead of the variables. 0: evaluate the "
        "variables. Default: those that the checkpoint holds.",
        at_least=0,
        at_most=1,
    )
    eval_interval_secs: int = option(
        0,
        "Follow a training run: evaluate each new checkpoint, checking at this interval in seconds. 0: evaluate once.",
        at_least=0,
    )
    keep_best: bool = option(
        False, "Keep a copy of the checkpoint with the best accuracy in best/ of the training folder."
    )
    report_by: str | None = option(
        None,
        "Columns that accuracy is reported by, separated by commas: short_side, height, width, aspect_ratio and "
        "kilobytes of the images as the records hold them, or columns of --report_columns. Empty: none. Default: "
        "short_side and all columns of --report_columns.",
    )
    report_columns: str | None = option(
        None,
        "CSV file with a column file, which names images as predictions_<split>.csv does, and columns that accuracy is "
        "reported by, such as a camera or a date.",
        takes_urls=True,
    )
    mistakes: int = option(36, "Number of the worst mistakes to draw. 0: no drawing.", at_least=0)
    master: str = option("", "Address of a TensorFlow server that you started.", saved=False, is_address=True)
    record_cache: RecordCacheOptions = field(default_factory=RecordCacheOptions)
    code: TrustedCodeOptions = field(default_factory=TrustedCodeOptions)
    compute: ComputeOptions = field(default_factory=ComputeOptions)
