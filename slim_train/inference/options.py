"""What label_image can be told. No TensorFlow."""

from __future__ import annotations

from dataclasses import dataclass, field

from slim_train.config import Options, option


@dataclass(frozen=True)
class ClassifierOptions(Options):
    """The classifier: one of the first three."""

    graph: str | None = option(None, "Frozen graph (.pb), of export_inference_graph, of retrain or another.")
    saved_model_dir: str | None = option(None, "SavedModel, or a folder with numbered ones: the newest is taken.")
    train_dir: str | None = option(
        None,
        "Training folder, whose latest checkpoint is taken, or one checkpoint.",
        aliases=("output_dir", "checkpoint_path"),
    )
    labels: str | None = option(None, "File of class names, one a line. Default: what is in the model or beside it.")
    input_layer: str | None = option(
        None,
        "Node of a graph, or key of a SavedModel's signature, that takes the images. Default: found by usual names.",
    )
    output_layer: str | None = option(None, "The same for the probabilities.")
    input_height: int | None = option(None, "In pixels. Default: what the model says.", at_least=1)
    input_width: int | None = option(None, "In pixels. Default: what the model says.", at_least=1)
    input_mean: float | None = option(
        None, "Subtracted from pixels, 0..255, where the model does not preprocess by itself. Default: 0."
    )
    input_std: float | None = option(None, "What they are divided by then. Default: 255.")


@dataclass(frozen=True)
class LabelImageOptions(Options):
    """Pictures and answers."""

    image: str | None = option(
        None, "Pictures: a file, a folder, a pattern such as '*.jpg', or several of them with commas."
    )
    top: int = option(5, "How many classes to show of each picture.", at_least=1)
    json: bool = option(False, "Answer in JSON.")
    output_file: str | None = option(None, "Also write the JSON to this file.")
    contact_sheet: str | None = option(None, "Draw the pictures with their labels to this file, such as sheet.png.")
    classifier: ClassifierOptions = field(default_factory=ClassifierOptions)
