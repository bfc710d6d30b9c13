"""The input pipeline alone: training_batches against a straightforward tf.data port of the same recipe.

The port is what one would write from the recipe: each image decoded whole, cropped, resized, flipped and distorted by
tf.image, one at a time in a parallel map. Both read the same records, shuffle them whole, and let TensorFlow choose the
number of threads. They run in turn in one process; ``ratio`` is ours over the port's, in images a second. The floor is
the CPU time of reading every bit of the JPEGs, which a crop anywhere in the image does not avoid.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
import os
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--pic_path", type=Path, help="folder of photos, which are resized to 500 x 375 JPEGs")
    source.add_argument("--dataset_dir", help="TFRecords, as download_and_convert_data writes them, taken as they are")
    parser.add_argument(
        "--photos",
        action="store_true",
        help="enlarge the photos to JPEGs of 12 megapixels with grain. Measured twice: as they are, and our pipeline "
        "on what --max_image_side=512 makes of them; the port reads them as they are both times",
    )
    parser.add_argument("--num_images", type=int, help="how many of the photos; 1000, with --photos 32")
    parser.add_argument("--image_size", type=int, default=224)
    parser.add_argument("--channels", type=int, default=3)
    parser.add_argument("--batch_size", type=int, help="32, with --photos 8")
    parser.add_argument("--rounds", type=int, default=9, help="how many times each is measured, in turn")
    parser.add_argument("--batches", type=int, help="batches a measurement; 60, with --photos 6")


def run(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the ratio of images a second, and the CPU time of an image in each."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from datasets.factory import get_dataset

    for name, value in {"num_images": 1000, "batch_size": 32, "batches": 60}.items():
        if getattr(args, name) is None:
            setattr(args, name, {"num_images": 32, "batch_size": 8, "batches": 6}[name] if args.photos else value)
    with tempfile.TemporaryDirectory() as folder:
        if args.photos:
            if not args.pic_path:
                raise SystemExit("--photos needs --pic_path.")
            photos = _photos(args.pic_path, args.num_images, folder, (4000, 3000), grain=8)
            yield _compare(args, photos, photos, "12-megapixel JPEGs")
            yield _compare(args, _shrunk(photos, folder), photos, "12-megapixel JPEGs, ours after --max_image_side=512")
        elif args.pic_path:
            photos = _photos(args.pic_path, args.num_images, folder, (500, 375))
            yield _compare(args, photos, photos, "500 x 375 JPEGs")
        else:
            dataset = get_dataset(None, "train", args.dataset_dir)
            yield _compare(args, dataset, dataset, args.dataset_dir)


def _compare(args: argparse.Namespace, dataset: Any, of_port: Any, images: str) -> dict[str, Any]:
    from slim_train.inputs import pipeline

    ours = _Pipeline(
        lambda: pipeline.training_batches(
            dataset,
            batch_size=args.batch_size,
            image_size=args.image_size,
            channels=args.channels,
            preprocessing="inception",
            num_classes=dataset.num_classes,
        ),
        args,
    )
    port = _Pipeline(lambda: _port(of_port, args.batch_size, args.image_size, args.channels), args)
    floor = _Pipeline(lambda: _bits(dataset, args.batch_size), args)
    for _ in range(args.rounds):
        ours.measure()
        port.measure()
        floor.measure()
    return {
        "images": images,
        "image_size": args.image_size,
        "channels": args.channels,
        "batch_size": args.batch_size,
        "images_per_second": round(statistics.median(ours.rates), 1),
        "port_images_per_second": round(statistics.median(port.rates), 1),
        "ratio": round(statistics.median(a / b for a, b in zip(ours.rates, port.rates, strict=True)), 3),
        "cpu_ms_per_image": round(statistics.median(ours.cpu_ms), 4),
        "port_cpu_ms_per_image": round(statistics.median(port.cpu_ms), 4),
        "floor_cpu_ms_per_image": round(statistics.median(floor.cpu_ms), 4),
    }


def _port(dataset: Any, batch_size: int, image_size: int, channels: int) -> Any:
    from slim_train.tf_compat import tf

    features = {
        "image/encoded": tf.io.FixedLenFeature([], tf.string),
        "image/class/label": tf.io.FixedLenFeature([], tf.int64),
    }

    def preprocess(serialized: Any) -> dict[str, Any]:
        record = tf.io.parse_single_example(serialized, features)
        image = tf.io.decode_jpeg(record["image/encoded"], channels=channels)
        image = tf.image.convert_image_dtype(image, tf.float32)
        begin, size, _ = tf.image.sample_distorted_bounding_box(
            tf.shape(image),
            tf.zeros([0, 0, 4]),
            min_object_covered=0.1,
            aspect_ratio_range=(0.75, 1.33),
            area_range=(0.05, 1.0),
            max_attempts=100,
            use_image_if_no_bounding_boxes=True,
        )
        image = tf.slice(image, begin, size)
        image = tf.image.resize(image, [image_size, image_size])
        image = tf.ensure_shape(image, [image_size, image_size, channels])
        image = tf.image.random_flip_left_right(image)
        image = tf.image.random_brightness(image, max_delta=32.0 / 255.0)
        if channels == 3:
            image = tf.image.random_saturation(image, lower=0.5, upper=1.5)
        image = tf.clip_by_value(image, 0.0, 1.0)
        return {"image": (image - 0.5) * 2.0, "label": record["image/class/label"]}

    return (
        tf.data.TFRecordDataset(list(dataset.files))
        .shuffle(dataset.num_samples)
        .repeat()
        .map(preprocess, num_parallel_calls=tf.data.AUTOTUNE)
        .batch(batch_size, drop_remainder=True)
        # Not AUTOTUNE: a measurement would then count batches that were made while the other pipeline was measured.
        .prefetch(2)
    )


def _bits(dataset: Any, batch_size: int) -> Any:
    """Read the records and every bit of their images, with next to no arithmetic: no pipeline of JPEGs does less."""
    from slim_train.inputs import pipeline, records
    from slim_train.tf_compat import tf

    def decode(serialized: Any) -> dict[str, Any]:
        encoded, _ = records.parse_image_and_label(serialized, dataset)
        return {"image": tf.reduce_max(tf.io.decode_jpeg(encoded, ratio=8))}

    read = records.read(list(dataset.files), dataset).repeat()
    return read.map(pipeline.plain(decode), num_parallel_calls=tf.data.AUTOTUNE).batch(batch_size).prefetch(2)


class _Pipeline:
    """A graph and session that take batches and throw them away."""

    def __init__(self, make_batches: Callable[[], Any], args: argparse.Namespace) -> None:
        from slim_train.tf_compat import tf

        self.rates: list[float] = []
        self.cpu_ms: list[float] = []
        self._args = args
        with tf.Graph().as_default() as graph:
            iterator = tf.data.make_initializable_iterator(make_batches())
            self._take = iterator.get_next()["image"].op
            self._session = tf.Session(graph=graph)
            self._session.run(iterator.initializer)
        self._run(args.batches)

    def measure(self) -> None:
        """Take batches for a while, when the other pipeline has come to rest and what waits prefetched is used up."""
        _wait_until_idle()
        self._run(min(12, self._args.batches))
        began, cpu_began = time.monotonic(), _cpu_seconds()
        self._run(self._args.batches)
        images = self._args.batches * self._args.batch_size
        self.rates.append(images / (time.monotonic() - began))
        self.cpu_ms.append(1000.0 * (_cpu_seconds() - cpu_began) / images)

    def _run(self, batches: int) -> None:
        for _ in range(batches):
            self._session.run(self._take)


def _wait_until_idle() -> None:
    while True:
        before = _cpu_seconds()
        time.sleep(0.1)
        if _cpu_seconds() - before < 0.005:
            return


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def _photos(folder: Path, num_images: int, output: str, size: tuple[int, int], grain: int = 0) -> Any:
    """Records of photos below ``folder``, resized to ``size``, with noise of the standard deviation ``grain``."""
    import numpy as np
    from PIL import Image

    from datasets.spec import DatasetSpec
    from datasets.tfrecords import image_example, write_records

    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg", ".png"))
    files = random.Random(0).sample(files, min(num_images, len(files)))

    noise = np.random.default_rng(0).normal(0, grain, (size[1], size[0], 3)).astype(np.float32) if grain else 0

    def examples() -> Iterator[bytes]:
        for file in files:
            encoded = io.BytesIO()
            with Image.open(file) as image:
                resized = image.convert("RGB").resize(size, Image.Resampling.BICUBIC)
            if grain:
                resized = Image.fromarray((np.asarray(resized) + noise).clip(0, 255).astype(np.uint8))
            resized.save(encoded, "JPEG", quality=90)
            yield image_example(encoded.getvalue(), "jpeg", 0, "photo", size[1], size[0], file.name)

    path = Path(output, "photos_train.tfrecord")
    write_records(path, examples())
    return DatasetSpec("photos", "train", output, (str(path),), 1, len(files), ("photo",))


def _shrunk(photos: Any, output: str) -> Any:
    """The records that ``download_and_convert_data --max_image_side=512`` writes of the same photos."""
    from datasets.examples import features
    from datasets.shrinking import Shrinking, shrunk
    from datasets.tfrecords import image_example, scan_records, write_records

    def examples() -> Iterator[bytes]:
        for _, record in scan_records(photos.files[0]):
            image = shrunk(features(record)["image/encoded"][1][0], Shrinking(512))
            yield image_example(image.data, image.format, 0, "photo", image.height, image.width, "photo")

    path = Path(output, "shrunk_train.tfrecord")
    write_records(path, examples())
    return dataclasses.replace(photos, files=(str(path),))
