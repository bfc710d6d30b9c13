"""Training the head on a frozen trunk: epochs on cached features against epochs that run the trunk in every step.

Both train as whole commands on the same data, in turn. ``every_step_seconds`` and ``cached_seconds`` are of an epoch
after the first one, by the median rate in the log; ``ratio`` is the first over the second. ``ratio_of_runs`` is that of
the whole commands, with the import of TensorFlow and the computing of the features. Accuracies are of the last step.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
_LOG_EVERY = 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--dataset_dir", required=True, help="TFRecords, as download_and_convert_data writes them")
    parser.add_argument("--checkpoint_path", required=True, help="checkpoint of the net, trained on other classes")
    parser.add_argument("--model_name", default="mobilenet_v2")
    parser.add_argument("--batch_size", type=int, default=32)
    parser.add_argument("--learning_rate", type=float, default=0.001)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--cached_augmentations", type=int, default=0, help="variants of each image; 0: undistorted")
    parser.add_argument("--eval_split_name", default="test")
    parser.add_argument("--repeats", type=int, default=1, help="how many times each is run, in turn")


def run(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Train both, in turn; yield the time of an epoch and the accuracy of each, and the ratio of the times."""
    every_step = ["--augmentation=recipe" if args.cached_augmentations else "--augmentation=none"]
    cached = ["--cache_features", f"--cached_augmentations={args.cached_augmentations}"]
    for _ in range(args.repeats):
        with tempfile.TemporaryDirectory() as folder:
            slow = _train(args, Path(folder, "every_step"), every_step)
            fast = _train(args, Path(folder, "cached"), cached)
        yield {
            "model_name": args.model_name,
            "epochs": args.epochs,
            **{f"every_step_{name}": value for name, value in slow.items()},
            **{f"cached_{name}": value for name, value in fast.items()},
            "ratio": round(slow["seconds"] / fast["seconds"], 1),
            "ratio_of_runs": round(slow["run_seconds"] / fast["run_seconds"], 2),
        }


def _train(args: argparse.Namespace, train_dir: Path, flags: list[str]) -> dict[str, float]:
    from scripts.benchmarks._commands import timed

    run_seconds, _ = timed(
        [
            _ROOT / "scripts" / "train_image_classifier.py",
            f"--dataset_dir={args.dataset_dir}",
            f"--train_dir={train_dir}",
            f"--model_name={args.model_name}",
            f"--checkpoint_path={args.checkpoint_path}",
            "--checkpoint_exclude_scopes=auto",
            "--trainable_scopes=auto",
            f"--batch_size={args.batch_size}",
            f"--num_epochs={args.epochs}",
            "--optimizer=adam",
            "--opt_epsilon=1e-8",
            f"--learning_rate={args.learning_rate}",
            "--learning_rate_decay_type=cosine",
            f"--log_every_n_steps={_LOG_EVERY}",
            f"--eval_split_name={args.eval_split_name}",
            f"--eval_every_n_steps={10**9}",
            *flags,
        ]
    )
    lines = [json.loads(line) for line in (train_dir / "metrics.jsonl").read_text().splitlines()]
    num_images = json.loads((train_dir / "info.json").read_text())["splits"]["train"]["num_samples"]
    rates = [
        line["images_per_second"]
        for line in lines
        if "images_per_second" in line and (line["step"] - _LOG_EVERY) * args.batch_size >= num_images
    ]
    return {
        "seconds": round(num_images / statistics.median(rates), 4),
        "run_seconds": round(run_seconds, 1),
        "accuracy": next(round(line["eval_accuracy"], 4) for line in reversed(lines) if "eval_accuracy" in line),
    }
