"""The verb ``list_models``. No TensorFlow before it is called."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from slim_train.api.tensorflow import tensorflow_ready

if TYPE_CHECKING:
    from slim_train.zoo.listing import Entry


@dataclasses.dataclass(frozen=True)
class ModelInfo:
    """A net of the zoo.

    Attributes:
      name: what ``model_name`` takes.
      num_parameters: trained parameters of the net with the classes of its released weights.
      gflops: billions of floating-point operations for one image; a multiply-add counts as two.
      image_size: default height and width in pixels.
      channels: color channels of its images.
      min_image_size: the smallest height and width in pixels that it takes.
      preprocessing: name of its preprocessing recipe.
      released: whether weights trained on ImageNet were released.
      imagenet_top1: percent of ImageNet's validation images that the released weights classify correctly, or None.
      checkpoint_url: archive of the released weights, or None.
    """

    name: str
    num_parameters: int
    gflops: float
    image_size: int
    channels: int
    min_image_size: int
    preprocessing: str
    released: bool
    imagenet_top1: float | None
    checkpoint_url: str | None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields by name."""
        return dataclasses.asdict(self)


class ModelList(list[ModelInfo]):
    """A list of nets that a notebook shows as a table."""

    def __init__(self, models: Iterable[ModelInfo]) -> None:
        super().__init__(models)

    def _repr_html_(self) -> str:
        from slim_train.reports import html

        rows = [
            (
                info.name,
                f"{info.image_size}",
                f"{info.num_parameters / 1e6:.1f}",
                f"{info.gflops:#.3g}",
                f"{info.imagenet_top1:.1f}" if info.imagenet_top1 else "",
                "released" if info.released else "",
            )
            for info in self
        ]
        return html.table(("net", "image size", "parameters (M)", "GFLOPs", "top-1", "weights"), rows)


def list_models(pattern: str = "*", released: bool | None = None) -> list[ModelInfo]:
    """Return the nets whose names match, sorted by name.

    Args:
      pattern: shell pattern such as ``mobilenet*``, a part of the name, or a name.
      released: True for nets with released weights only, False for the others, None for all.

    Raises:
      UsageError: no net matches ``pattern``.
    """
    with tensorflow_ready():
        from slim_train.zoo import listing

        models = list(map(_info, listing.entries(listing.find([pattern]))))
    return ModelList(info for info in models if released in (None, info.released))


def _info(entry: Entry) -> ModelInfo:
    record, costs = entry.record, entry.costs
    assert costs is not None  # at the default image size every net has costs
    return ModelInfo(
        name=record.name,
        num_parameters=costs.num_parameters,
        gflops=costs.flops / 1e9,
        image_size=entry.image_size,
        channels=record.channels,
        min_image_size=record.min_image_size,
        preprocessing=record.preprocessing,
        released=record.checkpoint_url is not None,
        imagenet_top1=record.imagenet_top1,
        checkpoint_url=record.checkpoint_url,
    )
