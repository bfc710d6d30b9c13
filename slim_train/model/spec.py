"""The classifier that options and a data set add up to: what training, evaluation and export agree on."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from datasets.spec import DatasetSpec
from slim_train.errors import UsageError, unknown
from slim_train.nets import factory as nets
from slim_train.preprocessing import factory as preprocessing


@dataclasses.dataclass(frozen=True)
class ModelSpec:
    """A net with its input and its classes.

    Attributes:
      name: the net's name in slim_train.nets.factory.
      num_classes: width of the logits.
      labels_offset: subtracted from the data set's labels.
      image_size: height and width of its input in pixels.
      channels: color channels of its input.
      preprocessing: name of the recipe.
    """

    name: str
    num_classes: int
    labels_offset: int
    image_size: int
    channels: int
    preprocessing: str


def resolve_model(
    name: str,
    dataset: DatasetSpec,
    num_classes: int | None = None,
    labels_offset: int = 0,
    image_size: int | None = None,
    channels: int | None = None,
    preprocessing_name: str | None = None,
) -> ModelSpec:
    """Fill in from the net's record and the data set what was not asked for (None).

    Raises:
      UsageError: an unknown net or recipe, or fewer classes than the data set has.
    """
    record = nets.get_record(name)
    return ModelSpec(
        name=name,
        num_classes=_count_classes(dataset, num_classes, labels_offset),
        labels_offset=labels_offset,
        image_size=image_size or record.default_image_size,
        channels=channels or record.channels,
        preprocessing=_recipe_name(preprocessing_name or record.preprocessing),
    )


def class_names(labels: Sequence[str], model: ModelSpec) -> list[str]:
    """Return one name for each logit: the data set's labels from the offset on, numbers for classes beyond them."""
    names = ["background"] * -model.labels_offset + list(labels[max(0, model.labels_offset) :])
    return names + [str(index) for index in range(len(names), model.num_classes)]


def _recipe_name(name: str) -> str:
    """Return a recipe's own name; a net's name stands for its recipe, as in research/slim."""
    recipes, net_names = preprocessing.recipe_names(), nets.net_names()
    if name in recipes:
        return name
    if name in net_names:
        return nets.get_record(name).preprocessing
    raise unknown("preprocessing", name, [*recipes, *net_names])


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
