"""TFLite models against each other: images per second of each over the first, on one batch, in turn.

  export_inference_graph --train_dir=models/flowers --formats=tflite,tflite_int8_full --representative_images=train
  cd models/flowers/export && benchmark.py tflite model_float32.tflite model_int8_full.tflite

Speeds are ratios of images per second and of images per CPU second; on a machine with other work only the latter
counts.
"""

from __future__ import annotations

import argparse
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("models", nargs="+", type=Path, help="exported here; the first is compared with")
    parser.add_argument("--batch_size", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=50, help="batches of each model")


def run(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the ratios of each model after the first."""
    import numpy as np

    from scripts.benchmarks._turns import median_seconds
    from slim_train.inference.tflite_model import TfliteModel, read_info

    info = read_info(args.models[0])
    assert info is not None, f"{args.models[0]} was not exported here"
    pixels = np.random.default_rng(0).uniform(0, 255, (args.batch_size, *info.image_size, info.channels))
    sides = [functools.partial(TfliteModel(path).score, pixels.astype(np.float32)) for path in args.models]
    first, *others = median_seconds(sides, args.rounds)
    for path, seconds in zip(args.models[1:], others, strict=True):
        names = ("images_per_second", "images_per_cpu_second")
        ratios = {f"{name}_over_first": round(a / b, 2) for name, a, b in zip(names, first, seconds, strict=True)}
        yield {"net": info.model_name, "model": path.name, "batch_size": args.batch_size, **ratios}
