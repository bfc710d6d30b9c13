"""What label_image can be told. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field

from slim_train.config import Options, option
from slim_train.training_options import SCALED_DECODING, TrustedCodeOptions


@dataclass(frozen=True)
class ClassifierOptions(Options):
    """The classifier: one of the first three."""

    graph: str | None = option(
        None,
        "Frozen graph (.pb) from export_inference_graph, retrain or elsewhere, or an ONNX (.onnx), "
        "Keras (.keras) or TFLite (.tflite) model from export_inference_graph, or weights of timm (.safetensors).",
        takes_urls=True,
    )
    saved_model_dir: str | None = option(
        None, "SavedModel, or a folder of numbered SavedModels, of which the newest is used.", takes_urls=True
    )
    train_dir: str | None = option(
        None,
        "Training folder, whose latest checkpoint is used, or a checkpoint.",
        aliases=("output_dir", "checkpoint_path"),
        takes_urls=True,
    )
    labels: str | None = option(
        None, "File of class names, one per line. Default: the names in the model or beside it.", takes_urls=True
    )
    input_layer: str | None = option(
        None,
        "Image input: node of a graph, or key in a SavedModel's signature. Default: found by common names.",
    )
    output_layer: str | None = option(
        None, "Probabilities: node of a graph, or key in a SavedModel's signature. Default: found by common names."
    )
    input_height: int | None = option(None, "Image height in pixels. Default: the size in the model.", at_least=1)
    input_width: int | None = option(None, "Image width in pixels. Default: the size in the model.", at_least=1)
    input_mean: float | None = option(
        None, "Number to subtract from pixels, 0..255, if the model does not preprocess images itself. Default: 0."
    )
    input_std: float | None = option(None, "Number to divide pixels by, after --input_mean. Default: 255.")
    scaled_decoding: str | None = option(
        None,
        "auto: decode large JPEGs smaller than they are. never: decode all pixels. Default: as in training or export.",
        choices=SCALED_DECODING,
    )
    code: TrustedCodeOptions = field(default_factory=TrustedCodeOptions)


@dataclass(frozen=True)
class LabelImageOptions(Options):
    """Images and answers."""

    image: str | None = option(
        None,
        "Images: a file, a folder, a pattern such as '*.jpg', or a comma-separated list of these.",
        takes_urls=True,
    )
    top: int = option(5, "Number of classes to show per image.", at_least=1)
    json: bool = option(False, "Print JSON.")
    output_file: str | None = option(None, "Also write the JSON to this file.", takes_urls=True)
    contact_sheet: str | None = option(
        None, "Draw the images with their labels to this file, for example sheet.png.", takes_urls=True
    )
    explain: bool = option(
        False, "Show where the net looks (Grad-CAM of the likeliest class), beside each image of --contact_sheet."
    )
    explain_dir: str | None = option(
        None, "Folder for an image per input image that shows where the net looks. Implies --explain.", takes_urls=True
    )
    classifier: ClassifierOptions = field(default_factory=ClassifierOptions)
