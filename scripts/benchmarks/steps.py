"""Training steps: from records against the same graph on one synthetic batch, and memory over many steps.

Both graphs train side by side in one process, a few steps of each in turn, the first of a pair by turns: a machine's
speed drifts by more than what is measured, so it takes many short pairs. What the records cost is what their decoding
and distortion takes from the cores that compute.

Memory is taken at every tenth of the steps. It rises for the first few epochs, while the allocator settles around a
shuffle buffer that empties and refills once an epoch, and then stays: compare the second half with the end.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--dataset_dir", required=True, help="TFRecords, as download_and_convert_data writes them")
    parser.add_argument("--model_name", default="mobilenet_v1")
    parser.add_argument("--image_size", type=int, default=96)
    parser.add_argument("--batch_size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=20, help="how many times each is measured, in turn")
    parser.add_argument(
        "--steps", type=int, default=25, help="steps a measurement; few would time the batches that wait prefetched"
    )
    parser.add_argument("--memory_steps", type=int, default=0, help="measure memory over this many steps instead")


def run(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the ratio of images a second, records over synthetic; or the growth of memory."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from slim_train import tf_compat

    tf_compat.silence_deprecation_noise()
    step_from_records = _trainer(args, synthetic=False)
    setting = {"model_name": args.model_name, "image_size": args.image_size, "batch_size": args.batch_size}
    if args.memory_steps:
        yield setting | _memory(step_from_records, args.memory_steps)
        return
    step_on_synthetic = _trainer(args, synthetic=True)
    for step in (step_from_records, step_on_synthetic):
        _seconds(step, args.steps)  # The first steps allocate, and plan their kernels.
    seconds = {step_from_records: 0.0, step_on_synthetic: 0.0}
    order = list(seconds)
    for _ in range(args.rounds):
        for step in order:
            seconds[step] += _seconds(step, args.steps)
        order.reverse()
    images = args.rounds * args.steps * args.batch_size
    yield setting | {
        "records_images_per_second": round(images / seconds[step_from_records], 1),
        "synthetic_images_per_second": round(images / seconds[step_on_synthetic], 1),
        "ratio": round(seconds[step_on_synthetic] / seconds[step_from_records], 4),
    }


def _trainer(args: argparse.Namespace, synthetic: bool) -> Callable[[], Any]:
    """Return a function that runs one training step in a graph and session of its own."""
    from datasets.factory import get_dataset
    from deployment.model_deploy import DeploymentConfig
    from slim_train.inputs import pipeline
    from slim_train.model.spec import resolve_model
    from slim_train.optim.schedule import Schedule
    from slim_train.tf_compat import tf
    from slim_train.training.graph import build_training_graph
    from slim_train.training_options import ModelOptions, OptimizerOptions

    dataset = get_dataset(None, "train", args.dataset_dir)
    model = resolve_model(args.model_name, dataset, image_size=args.image_size)
    schedule = Schedule(dataset.num_samples, args.batch_size, num_epochs_per_decay=2.0)
    with tf.Graph().as_default() as graph:
        if synthetic:
            batches = pipeline.synthetic_batches(
                batch_size=args.batch_size,
                image_size=model.image_size,
                channels=model.channels,
                num_classes=model.num_classes,
            )
        else:
            batches = pipeline.training_batches(
                dataset,
                batch_size=args.batch_size,
                image_size=model.image_size,
                channels=model.channels,
                preprocessing=model.recipe,
                num_classes=model.num_classes,
            )
        next_batch = pipeline.batch_source(batches, num_clones=1)
        training = build_training_graph(
            model, ModelOptions(), OptimizerOptions(), schedule, DeploymentConfig(clone_on_cpu=True), next_batch
        )
        session = tf.Session(graph=graph)
        session.run([tf.global_variables_initializer(), tf.tables_initializer()])
        return session.make_callable(training.train_op.op)


def _seconds(step: Callable[[], Any], steps: int) -> float:
    """Return how long ``steps`` steps take."""
    began = time.perf_counter()
    for _ in range(steps):
        step()
    return time.perf_counter() - began


def _memory(step: Callable[[], Any], steps: int) -> dict[str, Any]:
    """Resident MiB after each tenth of the steps; ``ratio`` is the end over half of the way."""
    resident = []
    for _ in range(10):
        _seconds(step, steps // 10)
        resident.append(_resident_mib())
    return {
        "steps": steps,
        "resident_mib": resident,
        "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        "ratio": round(resident[-1] / resident[4], 4),
    }


def _resident_mib() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20
