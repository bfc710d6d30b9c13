"""Training steps: in bfloat16 against float32, the same graph on one synthetic batch.

Each net's graph trains in two sessions of one process, a step of each in turn, the first of a pair by turns: a
machine's speed drifts by more than what is measured. ``ratio`` is reduced precision over float32, in images a second of
the median step. On a machine with a GPU it is float16 that is compared.
"""

from __future__ import annotations

import argparse
import functools
import os
from collections.abc import Iterator
from typing import Any

# Nets of dense convolutions, which gain most. Depthwise ones lose: mobilenet_v1:96:64.
_SETTINGS = ("inception_v1:224:32", "resnet_v1_50:224:16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument(
        "settings",
        nargs="*",
        default=_SETTINGS,
        metavar="NET:IMAGE_SIZE:BATCH_SIZE",
        help=f"default: {' '.join(_SETTINGS)}",
    )
    parser.add_argument("--num_classes", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to measure each net")


def run(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the ratio of images a second for each net."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from deployment.devices import local_gpus, session_config
    from deployment.model_deploy import DeploymentConfig
    from slim_train import tf_compat
    from slim_train.model import precision

    tf_compat.silence_deprecation_noise()
    deployment = DeploymentConfig(clone_on_cpu=not local_gpus())
    reduced = "bf16" if deployment.clone_on_cpu else "fp16"
    for setting in args.settings:
        net, image_size, batch_size = setting.split(":")
        step = {"net": net, "image_size": int(image_size), "batch_size": int(batch_size)}
        train_op = functools.partial(_train_op, **step, num_classes=args.num_classes, deployment=deployment)
        rates = precision.measure_rates(
            train_op, int(batch_size), session_config(deployment), ("fp32", reduced), args.seconds
        )
        yield {
            **step,
            **{f"{name}_images_per_second": round(rate, 2) for name, rate in rates.items()},
            "ratio": round(rates[reduced] / rates["fp32"], 3),
        }


def _train_op(net: str, image_size: int, batch_size: int, num_classes: int, deployment: Any) -> Any:
    from slim_train.inputs import pipeline
    from slim_train.model.spec import ModelSpec
    from slim_train.nets.factory import get_record
    from slim_train.optim.schedule import Schedule
    from slim_train.preprocessing.factory import get_recipe
    from slim_train.training.graph import build_training_graph
    from slim_train.training_options import ModelOptions, OptimizerOptions

    record = get_record(net)
    batches = pipeline.synthetic_batches(
        batch_size=batch_size, image_size=image_size, channels=record.channels, num_classes=num_classes
    )
    graph = build_training_graph(
        ModelSpec(record, num_classes, 0, image_size, record.channels, get_recipe(record.preprocessing)),
        ModelOptions(),
        OptimizerOptions(),
        Schedule(num_samples=batch_size, batch_size=batch_size, num_epochs_per_decay=2.0),
        deployment,
        pipeline.batch_source(batches, num_clones=1),
    )
    return graph.train_op.op
