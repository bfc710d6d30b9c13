"""What a user knows better than the files of a model, or what these do not say. No TensorFlow."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from slim_train.errors import UsageError
from slim_train.training_options import UserCodeOptions


@dataclasses.dataclass(frozen=True)
class ModelOverrides:
    """Properties of a model that its files do not decide; None leaves them to the files.

    The first group describes checkpoints, the second exported graphs.

    Attributes:
      labels: class names, one for each score.
      input_height: in pixels.
      input_width: in pixels.
      model_name: the net.
      preprocessing_name: the recipe.
      channels: color channels of the input.
      num_classes: width of the logits.
      labels_offset: subtracted from the labels of the data set.
      labels_folder: another folder with labels.txt or info.json, for a checkpoint whose own folder has neither.
      code: files of the net and its preprocessing, for what was trained with a user's.
      scaled_decoding: auto or never, see :mod:`datasets.scaled_jpeg`; of exported graphs, too.
      use_averages: True takes the moving averages of the variables, False the variables; None takes the averages that
        the checkpoint holds.
      input_layer: node (frozen graph) or key of the signature (SavedModel) of the float images.
      output_layer: node or key of the probabilities.
      input_mean: subtracted from pixels, 0..255, if the model does not preprocess by itself.
      input_std: what they are divided by then.

    Raises:
      UsageError: ``input_std`` is 0.
    """

    labels: tuple[str, ...] | None = None
    input_height: int | None = None
    input_width: int | None = None

    model_name: str | None = None
    preprocessing_name: str | None = None
    channels: int | None = None
    num_classes: int | None = None
    labels_offset: int | None = None
    labels_folder: str | Path | None = None
    code: UserCodeOptions = dataclasses.field(default_factory=UserCodeOptions)
    scaled_decoding: str | None = None
    use_averages: bool | None = None

    input_layer: str | None = None
    output_layer: str | None = None
    input_mean: float | None = None
    input_std: float | None = None

    def __post_init__(self) -> None:
        if self.input_std == 0:
            raise UsageError("--input_std=0 must not be 0: pixels are divided by it.")

    @property
    def describes_input(self) -> bool:
        """Whether the input is described, which then is not the one that the files name."""
        given = (self.input_layer, self.output_layer, self.input_mean, self.input_std)
        return any(value is not None for value in given)

    def image_size(self) -> int | None:
        """Return height and width of a net of ours.

        Raises:
          UsageError: they differ.
        """
        if self.input_height != self.input_width:
            raise UsageError(
                "A net of a checkpoint takes square images: --input_height and --input_width must be equal."
            )
        return self.input_height
