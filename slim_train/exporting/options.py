"""What export_inference_graph can be told. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field

from slim_train.config import Options, option
from slim_train.errors import UsageError, unknown

FORMATS = ("saved_model", "frozen", "tflite")


@dataclass(frozen=True)
class SourceOptions(Options):
    """What to export. A training folder knows all of it; flags override it."""

    checkpoint_path: str | None = option(
        None,
        "Training folder, whose latest checkpoint is exported, or one checkpoint. Without it --output_file gets the "
        "graph of the net alone, no weights in it, as research/slim writes it.",
        aliases=("train_dir", "output_dir"),
    )
    model_name: str | None = option(None, "Name of the net. Default: the training folder's, else inception_v3.")
    dataset_name: str | None = option(None, "Name of the data set. Default: what its info.json says.")
    dataset_dir: str | None = option(
        None,
        "Folder of the data set: class names of a checkpoint that has no labels.txt beside it, and images for the "
        "check. Default: the one trained on.",
        aliases=("data_dir",),
    )
    labels: str | None = option(None, "File of class names, one a line. Default: the training folder's labels.txt.")
    num_classes: int | None = option(None, "As in training. Default: the training folder's.", at_least=1)
    labels_offset: int | None = option(None, "As in training. Default: the training folder's.")
    preprocessing_name: str | None = option(None, "Preprocessing recipe. Default: the training folder's.")
    image_size: int | None = option(
        None, "Height and width in pixels. Default: as trained.", aliases=("eval_image_size",), at_least=1
    )
    use_grayscale: bool = option(False, "The net takes one channel. Default: as trained.")
    moving_average_decay: float | None = option(
        None,
        "Above 0: the checkpoint must hold moving averages of all variables, and they are exported. 0: the variables "
        "themselves. Default: the moving averages that the checkpoint holds.",
        at_least=0,
        at_most=1,
    )


@dataclass(frozen=True)
class ResultOptions(Options):
    """What to write."""

    export_dir: str | None = option(None, "Folder for the files. Default: export/ in the checkpoint's folder.")
    formats: str = option(",".join(FORMATS), f"What to write: comma-separated, of {', '.join(FORMATS)}.")
    precision: str = option(
        "fp32",
        "fp16 or bf16: the weights of SavedModel and frozen graph are stored in 16 bits, which halves the files; "
        "computing stays in 32, and auto is fp32. Of TFLite models there is one of each kind anyway.",
        choices=("fp32", "bf16", "fp16", "auto"),
    )
    output_file: str | None = option(
        None,
        "Write the frozen graph alone, to this file.",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        self.wanted_formats()

    def wanted_formats(self) -> tuple[str, ...]:
        """The formats, or UsageError where one is unknown."""
        names = tuple(dict.fromkeys(name.strip() for name in self.formats.split(",") if name.strip()))
        for name in names:
            if name not in FORMATS:
                raise unknown("--formats entry", name, FORMATS)
        if not names:
            raise UsageError(f"--formats is empty: give some of {', '.join(FORMATS)}.")
        if self.output_file is None:
            return names
        if names not in (FORMATS, ("frozen",)):
            raise UsageError("--output_file takes the frozen graph alone: leave --formats out, or give --export_dir.")
        return ("frozen",)


@dataclass(frozen=True)
class CheckOptions(Options):
    """The check of the files against the checkpoint."""

    check_images: str | None = option(
        None, "Pictures: a file, a folder, a pattern or several with commas. Default: of the data set, else made ones."
    )
    num_check_images: int = option(16, "How many pictures to compare; 0 checks nothing.", at_least=0)


@dataclass(frozen=True)
class GraphOptions(Options):
    """The graph alone, without a checkpoint, as research/slim writes it."""

    batch_size: int | None = option(None, "Images in a batch. Default: any number.", at_least=1)
    is_training: bool = option(False, "The training form of the net: dropout, statistics of the batch.")
    write_text_graphdef: bool = option(False, "Write text instead of binary.")
    default_image_size: int = option(224, "For old command lines: every net here knows its image size.", at_least=1)
    quantize: bool = option(False, "For old command lines; only false. TFLite's int8 is --formats=tflite.")
    is_video_model: bool = option(False, "For old command lines; only false: there are no nets for video.")
    num_frames: int | None = option(None, "For old command lines: of nets for video, which there are none of.")

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
    result: ResultOptions = field(default_factory=ResultOptions)
    check: CheckOptions = field(default_factory=CheckOptions)
    graph: GraphOptions = field(default_factory=GraphOptions)
