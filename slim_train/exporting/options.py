"""What export_inference_graph can be told. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field

from slim_train.config import Options, option
from slim_train.errors import UsageError, unknown
from slim_train.training_options import SCALED_DECODING, TrustedCodeOptions

# Written unless --formats says otherwise; the others must be asked for.
DEFAULT_FORMATS = ("saved_model", "frozen", "tflite")
FORMATS = (*DEFAULT_FORMATS, "tflite_int8_full", "onnx", "keras", "torch")


@dataclass(frozen=True)
class SourceOptions(Options):
    """What to export. A training folder knows all of it; flags override it."""

    checkpoint_path: str | None = option(
        None,
        "Training folder, whose latest checkpoint is exported, or a checkpoint. Without it, the graph of the "
        "net without weights is written to --output_file, as research/slim does.",
        aliases=("train_dir", "output_dir"),
        takes_urls=True,
    )
    model_name: str | None = option(
        None,
        "Name of the net. Default: that of the training folder, else the one that fits the checkpoint; without a "
        "checkpoint, inception_v3.",
    )
    dataset_name: str | None = option(None, "Name of the data set. Default: the name in info.json.")
    dataset_dir: str | None = option(
        None,
        "Folder of the data set: class names for a checkpoint without labels.txt, and images for the check. "
        "Default: that of the training.",
        aliases=("data_dir",),
        takes_urls=True,
    )
    labels: str | None = option(
        None, "File of class names, one per line. Default: labels.txt of the training folder.", takes_urls=True
    )
    num_classes: int | None = option(None, "As in training. Default: that of the training folder.", at_least=1)
    labels_offset: int | None = option(None, "As in training. Default: that of the training folder.")
    preprocessing_name: str | None = option(None, "Preprocessing recipe. Default: that of the training folder.")
    image_size: int | None = option(
        None, "Image height and width in pixels. Default: as in training.", aliases=("eval_image_size",), at_least=1
    )
    use_grayscale: bool = option(False, "The net takes one channel. Default: as in training.")
    scaled_decoding: str | None = option(
        None,
        "auto: decode large JPEGs smaller than they are. never: decode all pixels. Default: as in training.",
        choices=SCALED_DECODING,
    )
    moving_average_decay: float | None = option(
        None,
        "Above 0: export the moving averages; the checkpoint must hold averages of all variables. 0: export "
        "the variables. Default: the averages in the checkpoint, if any.",
        at_least=0,
        at_most=1,
    )


@dataclass(frozen=True)
class ResultOptions(Options):
    """What to write."""

    export_dir: str | None = option(
        None, "Folder for the files. Default: export/ in the checkpoint's folder.", takes_urls=True
    )
    formats: str = option(
        ",".join(DEFAULT_FORMATS),
        f"What to write: comma-separated, of {', '.join(FORMATS)}. onnx and torch require the extras of that name.",
    )
    precision: str = option(
        "fp32",
        "fp16 or bf16: store the weights of the SavedModel and the frozen graph in 16 bits, which halves the "
        "files. Computation stays float32. auto is fp32. TFLite models are written in each precision anyway, ONNX "
        "models and PyTorch weights in 32 bits.",
        choices=("fp32", "bf16", "fp16", "auto"),
    )
    calibrate: bool = option(
        False,
        "Divide the logits by the temperature of an evaluation of the checkpoint, so that scores are calibrated. "
        "Requires eval_image_classifier --noeval_flip first. The predicted classes stay the same.",
    )
    output_file: str | None = option(
        None,
        "Write only the frozen graph, to this file.",
        takes_urls=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.wanted_formats()

    def wanted_formats(self) -> tuple[str, ...]:
        """Return the formats, or UsageError where one is unknown."""
        names = tuple(dict.fromkeys(name.strip() for name in self.formats.split(",") if name.strip()))
        for name in names:
            if name not in FORMATS:
                raise unknown("--formats entry", name, FORMATS)
        if not names:
            raise UsageError(f"--formats is empty: give some of {', '.join(FORMATS)}.")
        if self.output_file is None:
            return names
        if names not in (DEFAULT_FORMATS, ("frozen",)):
            raise UsageError("--output_file takes the frozen graph alone: leave --formats out, or give --export_dir.")
        return ("frozen",)


@dataclass(frozen=True)
class CheckOptions(Options):
    """The check of the files against the checkpoint."""

    check_images: str | None = option(
        None,
        "Images to compare answers on: a file, a folder, a pattern or a comma-separated list. Default: images "
        "of the data set, else generated images.",
    )
    num_check_images: int = option(16, "Number of images to compare. 0: no check.", at_least=0)


@dataclass(frozen=True)
class QuantizationOptions(Options):
    """Of --formats=tflite_int8_full."""

    representative_images: str | None = option(
        None,
        "Required for tflite_int8_full: images that show the range of activations. A split of the data set, such as "
        "train, or a file, a folder, a pattern or a comma-separated list. Use images that the net was trained on.",
        takes_urls=True,
    )
    num_representative_images: int = option(200, "Number of these images to use.", at_least=1)
    check_accuracy: str | None = option(
        None, "Split on which to compare the accuracy of the checkpoint and of the model in 8 bits. Default: no check."
    )
    max_accuracy_drop: float = option(
        0.02, "With --check_accuracy: the export fails if the accuracy drops by more than this.", at_least=0, at_most=1
    )


@dataclass(frozen=True)
class GraphOptions(Options):
    """The graph alone, without a checkpoint, as research/slim writes it."""

    batch_size: int | None = option(None, "Images per batch. Default: any number.", at_least=1)
    is_training: bool = option(False, "Write the training graph: dropout, and statistics of the batch.")
    write_text_graphdef: bool = option(False, "Write text instead of binary.")
    default_image_size: int = option(224, "For old command lines. Ignored: each net has its image size.", at_least=1)
    quantize: bool = option(False, "For old command lines. Must be false. --formats=tflite writes an int8 model.")
    is_video_model: bool = option(False, "For old command lines. Must be false: there are no video nets.")
    num_frames: int | None = option(None, "For old command lines, video nets only. Must not be set.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.quantize:
            raise UsageError(
                "--quantize: nets are not trained for quantization here; --formats=tflite writes one in 8 bits."
            )
        if self.is_video_model or self.num_frames is not None:
            raise UsageError("--is_video_model and --num_frames: there are no nets for video here.")


@dataclass(frozen=True)
class ExportOptions(Options):
    """Everything that export_inference_graph can be told."""

    source: SourceOptions = field(default_factory=SourceOptions)
    code: TrustedCodeOptions = field(default_factory=TrustedCodeOptions)
    result: ResultOptions = field(default_factory=ResultOptions)
    check: CheckOptions = field(default_factory=CheckOptions)
    quantization: QuantizationOptions = field(default_factory=QuantizationOptions)
    graph: GraphOptions = field(default_factory=GraphOptions)
