"""The story of retrain: images to features, features to a classifier, classifier to files."""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import re
import secrets
import time
from collections.abc import Generator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.class_folders import scan
from datasets.errors import DataError
from datasets.fetching import images_here
from datasets.sources import TRAIN, ImageSource
from datasets.storage import path_of
from slim_train.errors import UsageError
from slim_train.retraining import output, report
from slim_train.retraining.bottlenecks import BottleneckStore
from slim_train.retraining.head import Head
from slim_train.retraining.image_features import ImageFiles, compute_features, distorted_features
from slim_train.retraining.modules import FeatureModule, load_module
from slim_train.retraining.options import RetrainOptions
from slim_train.retraining.samples import Samples
from slim_train.retraining.split import TESTING, TRAINING, VALIDATION, Split, split_images
from slim_train.retraining.train import Batch, Summaries, train

log = logging.getLogger(__name__)

_MOST_LINES = 20  # about classes, of which there may be thousands
_FEW_IMAGES = 20  # in a class; retrain.py warns below that, too


def run(options: RetrainOptions) -> report.RetrainReport:
    """Train a new last layer for the classes of an image folder and write the classifier.

    Raises:
      UsageError: a flag, the image folder or the module is wrong.
      RunError: training diverged, or a module could not be fetched.
    """
    began = time.monotonic()
    output.check(options.output)
    source = list_images(options.images.image_dir or "")
    labels = output.label_names(source.classes)
    module = load_module(options.module, options.code)
    sizes = module.height, module.width, module.num_features
    log.info("%s: %dx%d pixels to %d features in %s.", module.name, *sizes, module.precision)

    names = [name for of in source.splits[TRAIN] for name in of]
    target = (module.height, module.width) if options.module.scaled_decoding == "auto" else None
    with images_here(path_of(options.images.image_dir or ""), names) as folder:
        image_files = ImageFiles(folder, names, target)
        kept_in = store_folder(options.module.bottleneck_dir, module.name, module.identity, module.precision)
        store = BottleneckStore(kept_in, module.num_features)
        keys = compute_features(module, image_files, store)
        computed = time.monotonic()
        split = divide_images(source, image_files, options)
        label_of = np.repeat(np.arange(len(labels)), [len(names) for names in source.splits[TRAIN]])
        return train_and_write(
            options, labels, module, image_files, split, store.gather(keys), label_of, {"features": computed - began}
        )


def train_and_write(
    options: RetrainOptions,
    labels: Sequence[str],
    module: FeatureModule,
    image_files: ImageFiles,
    split: Split,
    features: NDArray[np.float32],
    label_of: NDArray[np.int64],
    seconds: Mapping[str, float],
) -> report.RetrainReport:
    """Train the last layer on features and write the classifier.

    Args:
      options: the flags.
      labels: class names.
      module: the net that computed the features.
      image_files: the images.
      split: their parts.
      features: of all images, float32 [images, D].
      label_of: of all images, int64 [images].
      seconds: durations so far, by what took them.

    Raises:
      RunError: training diverged.
    """
    began = time.monotonic()
    number = {name: index for index, name in enumerate(image_files.names)}
    samples = {
        part: Samples([[number[name] for name in names] for names in by_class])
        for part, by_class in split.parts.items()
    }

    seed = secrets.randbits(31) if options.head.seed is None else options.head.seed
    random = np.random.default_rng(seed)
    head = Head(features, label_of, len(labels), options.head.learning_rate, random, options.head.weight_decay or 0.0)
    batches = training_batches(samples[TRAINING], module, image_files, options, random, seed)
    with Summaries(path_of(options.output.summaries_dir)) as summaries, contextlib.closing(batches):
        evaluation = train(
            head,
            batches,
            samples[VALIDATION],
            options.head,
            random,
            summaries,
            options.output.intermediate_store_frequency,
            lambda step: output.write_snapshot(options.output, module, head.read(), step),
        )
    seconds = {**seconds, "training": time.monotonic() - began}
    tested = samples[TESTING].some(options.head.test_batch_size, random)
    result = report.test(head, tested, label_of[tested], len(labels))
    output.write(options.output, module, head.read(), labels)
    seconds["all"] = seconds["features"] + time.monotonic() - began
    return report.write(options, labels, module, image_files, split, evaluation, result, seconds)


def list_images(image_dir: str) -> ImageSource:
    """Return the class folders of ``image_dir``.

    Raises:
      UsageError: there are not two or more of them.
    """
    try:
        source = scan(path_of(image_dir))
    except DataError as error:
        # The scanner speaks of the converter's flag.
        raise UsageError(str(error).replace("pic_path", "image_dir").replace("PIC_PATH", "IMAGE_DIR")) from error
    if source.is_split:
        raise UsageError(
            f"--image_dir={image_dir} holds the splits {', '.join(source.splits)}, not classes: give the folder of one."
        )
    if len(source.classes) == 1:
        raise UsageError(f"--image_dir={image_dir} holds one class, {source.classes[0]!r}: at least two are required.")
    counts = zip(source.classes, map(len, source.splits[TRAIN]), strict=True)
    few = [(name, count) for name, count in counts if count < _FEW_IMAGES]
    for name, count in few[:_MOST_LINES]:
        log.warning(
            "The class %r has only %d images; fewer than %d are too few for a reliable test.",
            name, count, _FEW_IMAGES,
        )  # fmt: skip
    if len(few) > _MOST_LINES:
        log.warning("So have %s more classes.", f"{len(few) - _MOST_LINES:,}")
    return source


def store_folder(bottleneck_dir: str, name: str, identity: str, precision: str) -> Path:
    """Return where the features of a module are kept: a folder that people recognise and no other module has.

    Args:
      bottleneck_dir: the folder of all modules.
      name: of the module.
      identity: digest of its weights.
      precision: of the computation.
    """
    words = re.sub(r"[^A-Za-z0-9.]+", "_", name.rstrip("/").rpartition("/")[2])
    return path_of(bottleneck_dir) / f"{words}-{identity}-{precision}"


def divide_images(source: ImageSource, image_files: ImageFiles, options: RetrainOptions) -> Split:
    """Divide the images that can be used; says which cannot, and which had to be moved to fill a part."""
    for index, reason in image_files.rejected.items():
        log.warning("Left out %s: %s.", image_files.names[index], reason)
    rejected = {image_files.names[index] for index in image_files.rejected}
    usable = [[name for name in of if name not in rejected] for of in source.splits[TRAIN]]
    split = split_images(
        source.classes, usable, options.images.validation_percentage, options.images.testing_percentage
    )
    for moved in split.moved[:_MOST_LINES]:
        log.warning("Moved %s to %s: its class had no image there.", ", ".join(moved.names), moved.part)
    if len(split.moved) > _MOST_LINES:
        log.warning("Moved images of %s more classes for the same reason.", f"{len(split.moved) - _MOST_LINES:,}")
    log.info(
        "Images of %d classes: %s.",
        len(source.classes),
        ", ".join(f"{sum(map(len, by_class)):,} {part}" for part, by_class in split.parts.items()),
    )
    return split


def training_batches(
    samples: Samples,
    module: FeatureModule,
    image_files: ImageFiles,
    options: RetrainOptions,
    random: np.random.Generator,
    seed: int,
) -> Generator[Batch, None, None]:
    """Batches without end: of images whose features are stored, or with features of newly augmented images."""
    size = options.head.train_batch_size
    if not options.distortions.any:
        while True:
            yield Batch(samples.draw(size, random))
    # A generator of its own: images are drawn ahead of their steps.
    ahead = np.random.default_rng([seed, 1])
    drawn = functools.partial(samples.draw, size, ahead)
    with contextlib.closing(distorted_features(module, image_files, drawn, size, options.distortions, seed)) as batches:
        yield from itertools.starmap(Batch, batches)
