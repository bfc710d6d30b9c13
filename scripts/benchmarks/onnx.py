"""ONNX models of the zoo against TensorFlow: the largest difference of a probability, and the speed.

Each net gets random weights, or those of ``--checkpoint NET=PATH``, and is exported. onnxruntime and a TensorFlow
session on the frozen graph then compute the same batch in one process, in turn. Speeds are ratios, onnxruntime over
TensorFlow, of images per second and of images per CPU second; on a machine with other work only the latter counts.
Random weights give logits that hardly differ: they are scaled to a standard deviation of 2 first, so that a wrong
operation would show.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_LOGITS_SPREAD = 2.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("nets", nargs="*", help="default: all nets of the zoo")
    parser.add_argument("--checkpoint", action="append", default=[], metavar="NET=PATH", help="weights of a net")
    parser.add_argument("--images", help="folder of images to compare answers on; default: made ones")
    parser.add_argument("--num_images", type=int, default=8, help="images to compare answers on, and of a batch")
    parser.add_argument("--rounds", type=int, default=5, help="batches of each side; 0: no speed")


def run(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the figures of each net."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    from slim_train import tf_compat
    from slim_train.nets.factory import net_names

    tf_compat.silence_deprecation_noise()
    checkpoints = dict(entry.split("=", 1) for entry in args.checkpoint)
    for name in args.nets or net_names():
        with tempfile.TemporaryDirectory() as folder:
            yield _measure(name, checkpoints.get(name), Path(folder), args)


def _measure(name: str, checkpoint: str | None, folder: Path, args: argparse.Namespace) -> dict[str, Any]:
    from datasets.images import normalise
    from scripts.benchmarks._turns import median_seconds
    from slim_train.exporting.check import Reference, made_images
    from slim_train.exporting.onnx_format import OPSET, write_onnx
    from slim_train.inference.onnx_model import OnnxModel, whole_pixels
    from slim_train.inference.overrides import ModelOverrides
    from slim_train.inference.trained_model import find_trained_model
    from slim_train.tf_compat import tf

    num_classes = None if checkpoint else _write_random(name, folder)
    trained = find_trained_model(checkpoint or folder, ModelOverrides(model_name=name, num_classes=num_classes))
    files = sorted(Path(args.images).rglob("*.*"))[: args.num_images] if args.images else []
    images = [normalise(path.read_bytes()).data for path in files] or made_images(args.num_images)
    if checkpoint is None:
        logits = _logits(trained, images)
        trained = dataclasses.replace(trained, temperature=float(logits.std(axis=1).mean()) / _LOGITS_SPREAD)
    reference, graph_def, path = Reference(trained, images), trained.freeze(), folder / "model.onnx"
    write_onnx(path, trained, graph_def, trained.info())
    difference = reference.check_onnx(path)
    result = {
        "net": name,
        "weights": "trained" if checkpoint else "random",
        "opset": OPSET,
        "megabytes": round(path.stat().st_size / 1e6, 1),
        "largest_probability": float(reference.scores.max().round(3)),
        "largest_difference": difference.largest,
        "same_class": f"{difference.same_best}/{difference.pictures}",
    }
    model, pixels = OnnxModel(path), whole_pixels(reference.pixels)
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        tf.graph_util.import_graph_def(graph_def, name="")
        score = session.make_callable("scores:0", ["pixels:0"])
        if args.rounds:
            sides = (lambda: model.score(pixels), lambda: score(pixels.astype("float32")))
            onnx, tensorflow = median_seconds(sides, args.rounds)
            for kind, ours, theirs in zip(("second", "cpu_second"), onnx, tensorflow, strict=True):
                result[f"images_per_{kind}_over_tensorflow"] = round(theirs / ours, 2)
    return result


def _write_random(name: str, folder: Path) -> int:
    """Write a checkpoint of a net as it is before training; return the number of classes."""
    from slim_train.nets.factory import get_network_fn, get_record
    from slim_train.tf_compat import quick_building, slim, tf

    record = get_record(name)
    num_classes, size = record.num_classes or 1000, record.default_image_size
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session, quick_building():
        tf.set_random_seed(0)
        get_network_fn(name, num_classes)(tf.zeros([1, size, size, record.channels]))
        session.run(tf.global_variables_initializer())
        tf.train.Saver(slim.get_model_variables()).save(session, str(folder / "model.ckpt-0"), write_meta_graph=False)
    return num_classes


def _logits(trained: Any, images: list[bytes]) -> Any:
    from slim_train.tf_compat import tf

    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        encoded = tf.placeholder(tf.string, [])
        decoded = trained.decode(encoded)
        pixels, logits = trained.build_logits()
        trained.restore(session)
        return session.run(logits, {pixels: [session.run(decoded, {encoded: data}) for data in images]})
