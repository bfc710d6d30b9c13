"""The classifier that options and a data set add up to: what training, evaluation and export agree on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from datasets.spec import DatasetSpec
from slim_train.errors import UsageError
from slim_train.nets import factory as nets
from slim_train.nets.record import NetRecord
from slim_train.preprocessing import factory as recipes
from slim_train.preprocessing.recipe import Recipe


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """A net with its input and its classes.

    Attributes:
      net: its record.
      num_classes: width of the logits.
      labels_offset: subtracted from the data set's labels.
      image_size: height and width of its input in pixels.
      channels: color channels of its input.
      recipe: preprocessing of its images.
    """

    net: NetRecord
    num_classes: int
    labels_offset: int
    image_size: int
    channels: int
    recipe: Recipe

    @property
    def name(self) -> str:
        """Name of the net."""
        return self.net.name

    @property
    def preprocessing(self) -> str:
        """Name of the recipe."""
        return self.recipe.name

    def identity(self) -> dict[str, Any]:
        """Return all that the net's output depends on but its weights, as JSON can hold it."""
        return {
            "name": self.name,
            "code": self.net.digest,
            "num_classes": self.num_classes,
            "labels_offset": self.labels_offset,
            "image_size": self.image_size,
            "channels": self.channels,
            "preprocessing": self.preprocessing,
            "preprocessing_code": self.recipe.digest,
            "scaled_decoding": self.recipe.scaled_decoding,
        }


def resolve_model(
    net: str | NetRecord,
    dataset: DatasetSpec,
    num_classes: int | None = None,
    labels_offset: int = 0,
    image_size: int | None = None,
    channels: int | None = None,
    preprocessing: str | Recipe | None = None,
    scaled_decoding: str = "auto",
) -> ModelSpec:
    """Fill in from the net's record and the data set what was not asked for (None).

    Args:
      net: its name or its record.
      dataset: with the classes.
      num_classes: width of the logits.
      labels_offset: subtracted from the labels of the data set.
      image_size: height and width in pixels.
      channels: color channels of the input.
      preprocessing: a recipe, its name, or the name of a net whose recipe is taken.
      scaled_decoding: auto, or never to decode large images in full.

    Raises:
      UsageError: an unknown net or recipe, or fewer classes than the data set has.
    """
    record = nets.get_record(net) if isinstance(net, str) else net
    recipe = _recipe(preprocessing or record.preprocessing)
    return ModelSpec(
        net=record,
        num_classes=_count_classes(dataset, num_classes, labels_offset),
        labels_offset=labels_offset,
        image_size=image_size or record.default_image_size,
        channels=channels or record.channels,
        recipe=dataclasses.replace(recipe, scaled_decoding=scaled_decoding == "auto"),
    )


def class_names(labels: Sequence[str], model: ModelSpec) -> list[str]:
    """Return one name for each logit: the data set's labels from the offset on, numbers for classes beyond them."""
    names = ["background"] * -model.labels_offset + list(labels[max(0, model.labels_offset) :])
    return names + [str(index) for index in range(len(names), model.num_classes)]


def _recipe(wanted: str | Recipe) -> Recipe:
    """Return a recipe by its name; a net's name stands for its recipe, as in research/slim."""
    if isinstance(wanted, Recipe):
        return wanted
    if wanted in recipes.recipe_names():
        return recipes.get_recipe(wanted)
    if wanted in nets.net_names():
        return recipes.get_recipe(nets.get_record(wanted).preprocessing)
    raise recipes.unknown_recipe(wanted, nets.net_names())


def _count_classes(dataset: DatasetSpec, num_classes: int | None, labels_offset: int) -> int:
    needed = dataset.num_classes - labels_offset
    if needed < 1:
        raise UsageError(f"--labels_offset={labels_offset} leaves none of the {dataset.num_classes} classes.")
    if num_classes is not None and num_classes < needed:
        offset = f" less --labels_offset={labels_offset}" if labels_offset else ""
        raise UsageError(
            f"--num_classes={num_classes} is too few: {dataset.dataset_dir} has {dataset.num_classes} classes{offset}."
        )
    return num_classes or needed
