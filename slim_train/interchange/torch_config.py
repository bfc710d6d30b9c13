"""The ``config.json`` that timm keeps beside weights: model, arguments, classes and images. No TensorFlow."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from slim_train.errors import UsageError
from slim_train.interchange.torch_names import TimmModel

FILE = "config.json"
# Where slim-train keeps what timm does not ask for.
OURS = "slim_train"


@dataclasses.dataclass(frozen=True)
class Transform:
    """What a preprocessing recipe does in evaluation, in timm's terms: (pixels / 255 - mean) / std.

    Attributes:
      mean: by channel.
      std: by channel.
      grey_mean: for images of one channel.
      grey_std: for images of one channel.
      crop_mode: ``squash`` resizes height and width separately, ``center`` keeps their ratio.
      crop_pct: share of each side, after resizing, that the net sees.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    grey_mean: float
    grey_std: float
    crop_mode: str
    crop_pct: float = 0.875

    def of_channels(self, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Return mean and standard deviation of images with 1 or 3 channels."""
        return (self.mean, self.std) if channels == 3 else ((self.grey_mean,), (self.grey_std,))


TRANSFORMS = {
    "imagenet": Transform((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), 0.459, 0.226, "squash"),
    "inception": Transform((0.5,) * 3, (0.5,) * 3, 0.5, 0.5, "squash"),
    "vgg": Transform(
        (123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255,) * 3, 117.38 / 255, 1 / 255, crop_mode="center"
    ),
}


def recipe_of(mean: Sequence[float], std: Sequence[float]) -> str | None:
    """Return the recipe with this mean and standard deviation by channel; None if there is none."""
    found = np.array([mean, std], np.float64)
    for name, transform in TRANSFORMS.items():
        for channels in (1, 3):
            wanted = np.array(transform.of_channels(channels), np.float64)
            if found.shape == wanted.shape and np.allclose(found, wanted, atol=1e-3):
                return name
    return None


def timm_config(
    model: TimmModel, labels: Sequence[str], image_size: int, channels: int, preprocessing: str
) -> dict[str, Any]:
    """Return the config as timm reads it from a folder (``local-dir:``) or from its hub.

    Args:
      model: the pair.
      labels: a name for each class.
      image_size: height and width in pixels.
      channels: color channels.
      preprocessing: name of the recipe.

    Raises:
      UsageError: timm has no transform for the recipe, or the model differs from the net at this image size.
    """
    transform = TRANSFORMS.get(preprocessing)
    if transform is None:
        raise UsageError(
            f"--formats=torch: timm has no transform that equals the preprocessing {preprocessing!r}, only for "
            f"{', '.join(TRANSFORMS)}. Leave torch out of --formats."
        )
    if image_size < model.min_image_size:
        raise UsageError(
            f"--formats=torch: timm's {model.architecture} computes what {model.net} does from "
            f"{model.min_image_size} pixels on, not at {image_size}. Leave torch out of --formats."
        )
    mean, std = transform.of_channels(channels)
    arguments = {**model.arguments, **({"in_chans": channels} if channels != 3 else {})}
    return {
        "architecture": model.architecture,
        "num_classes": len(labels),
        "model_args": arguments,
        "label_names": list(labels),
        "pretrained_cfg": {
            "num_classes": len(labels),
            "input_size": [channels, image_size, image_size],
            "fixed_input_size": False,
            "interpolation": "bilinear",
            "crop_pct": transform.crop_pct,
            "crop_mode": transform.crop_mode,
            "mean": list(mean),
            "std": list(std),
            "first_conv": model.layers[0].module,
            "classifier": model.layers[-1].module,
        },
        OURS: {"model_name": model.net, "preprocessing": preprocessing},
    }
