"""A sheet of what a net sees in training: the first batches of the input pipeline that given flags make."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from slim_train.config import Options, option
from slim_train.reports import Tile, check_sheet_path, draw_contact_sheet
from slim_train.training_options import AugmentationOptions, TrainOptions

if TYPE_CHECKING:
    from datasets.spec import DatasetSpec
    from slim_train.model.spec import ModelSpec

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SheetOptions(Options):
    """Sheet."""

    output_file: str = option("augmentations.png", "Image file to write, .png or .jpg.", takes_urls=True)
    num_images: int = option(40, "Number of images to show.", at_least=1)


@dataclass(frozen=True)
class ShowOptions(Options):
    """Everything that show_augmentations can be told."""

    sheet: SheetOptions = field(default_factory=SheetOptions)
    train: TrainOptions = field(default_factory=TrainOptions)


def run(options: ShowOptions) -> None:
    """Draw the sheet.

    Raises:
      UsageError: the data set, the net or an augmentation does not fit, or there is no folder for the file.
    """
    from datasets.storage import path_of
    from slim_train.model.spec import class_names
    from slim_train.training.dataset_and_model import choose_model, open_dataset

    train, path = options.train, path_of(options.sheet.output_file)
    check_sheet_path("output_file", path)
    dataset = open_dataset(train)
    model = choose_model(train, dataset)
    names = class_names(dataset.labels, model)
    tiles: list[Tile] = []
    for batch in _batches(train, dataset, model):
        tiles += [Tile(image, caption(batch, index, names)) for index, image in enumerate(batch["displayed"])]
        if len(tiles) >= options.sheet.num_images:
            break
    title = f"What {model.name} sees of {dataset.name}"
    draw_contact_sheet(path, tiles[: options.sheet.num_images], title, note(model, train.augment))
    log.info("%s shows what the net sees.", path)


def _batches(options: TrainOptions, dataset: DatasetSpec, model: ModelSpec) -> Iterator[dict[str, Any]]:
    """Training batches without end; ``displayed`` holds the images in uint8."""
    from slim_train.tf_compat import tf
    from slim_train.training import batches

    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        iterator = tf.data.make_initializable_iterator(batches.batches(options, dataset, model))
        batch = iterator.get_next()
        shape = [1, 8, 8, model.channels]
        ends = [model.recipe.eval_batch(tf.fill(shape, value)) for value in (0.0, 255.0)]
        black, white = (end[0, 0, 0] for end in session.run(ends))
        if not model.recipe.gives_pixels:
            white = black  # the range of a user's preprocessing is not known: each image is shown in its own
        session.run(iterator.initializer)
        while True:
            values = session.run(batch)
            yield {**values, "displayed": displayed(values["image"], black, white)}


def displayed(images: NDArray[Any], black: NDArray[Any], white: NDArray[Any]) -> NDArray[np.uint8]:
    """Return what a net takes, as pixels in 0..255.

    Args:
      images: float [batch, height, width, channels].
      black: what preprocessing makes of 0, [channels].
      white: what it makes of 255. Where that is the same, each image has been standardised by itself, and its own
        range becomes 0..255.
    """
    if np.allclose(black, white):
        black, white = images.min(axis=(1, 2, 3), keepdims=True), images.max(axis=(1, 2, 3), keepdims=True)
    scaled = (images - black) / np.maximum(white - black, 1e-6)
    return (np.clip(scaled, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def note(model: ModelSpec, augment: AugmentationOptions) -> str:
    """Return all that happens to the images, in a line."""
    chances = {"erasing": augment.random_erasing, "mixup": augment.mixup_alpha, "CutMix": augment.cutmix_alpha}
    parts = [f"preprocessing {model.preprocessing}", f"augmentation {augment.augmentation}"]
    parts += [f"{name} {value:g}" for name, value in chances.items() if value]
    return " · ".join([*parts, f"{model.image_size}x{model.image_size}x{model.channels}"])


def caption(batch: dict[str, Any], index: int, names: Sequence[str]) -> list[str | tuple[str, str]]:
    """Return the class of an image of ``batch``; of a mixed one both with their shares of the label, the larger first.

    A class is named once, and not where its share rounds to 0%.
    """
    name = names[batch["label"][index]]
    if "mixed_label" not in batch:
        return [name]
    other, share = names[batch["mixed_label"][index]], batch["label_weight"][index]
    if share < 0.5:
        name, other, share = other, name, 1 - share
    if name == other or f"{share:.0%}" == "100%":
        return [name]
    return [(name, f"{share:.0%}"), (other, f"{1 - share:.0%}")]
