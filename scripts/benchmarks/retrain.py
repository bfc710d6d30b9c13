"""Retraining as a whole command: retrain against a loop that does as TF-Hub's retrain.py does.

That loop decodes one image per session run and computes its features in another, writes them to a text file each, and
reads the files of a batch back in every step. It computes all features, and takes so many steps that the time of the
rest can be told; importing TensorFlow counts in both. They run in turn, each with empty folders. ``step_ms`` is what a
step of ours takes with the evaluations and summaries that go with it.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
_NAIVE_LOOP = "--naive_loop"
_BATCH_SIZE, _EVAL_EVERY = 100, 10


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--image_dir", type=Path, required=True, help="class folders of JPEGs")
    parser.add_argument("--tfhub_module", type=Path, required=True, help="folder of a module in TF1 Hub format")
    parser.add_argument("--steps", type=int, default=4000, help="training steps")
    parser.add_argument("--loop_steps", type=int, default=200, help="steps that the loop takes before extrapolating")
    parser.add_argument("--repeats", type=int, default=1, help="how many times each is run, in turn")


def run(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Time both, in turn; ``ratio`` is the loop's time over ours."""
    from scripts.benchmarks._commands import timed

    for _ in range(args.repeats):
        with tempfile.TemporaryDirectory() as folder:
            ours = timed(
                [
                    _ROOT / "scripts" / "retrain.py",
                    f"--image_dir={args.image_dir}",
                    f"--tfhub_module={args.tfhub_module}",
                    f"--how_many_training_steps={args.steps}",
                    f"--output_graph={folder}/graph.pb",
                    f"--output_labels={folder}/labels.txt",
                    f"--bottleneck_dir={folder}/bottlenecks",
                    f"--summaries_dir={folder}/logs",
                ]
            )
            result = json.loads(Path(folder, "graph.json").read_text())
            loop = timed(
                [__file__, _NAIVE_LOOP, args.image_dir, args.tfhub_module, str(args.loop_steps), Path(folder, "loop")]
            )
            steps_seconds = json.loads(Path(folder, "loop", "seconds.json").read_text())
        unseen_steps = args.steps - args.loop_steps
        extrapolated = [whole + unseen_steps * each for whole, each in zip(loop, steps_seconds, strict=True)]
        yield {
            "pictures": sum(result["pictures"].values()),
            "steps": args.steps,
            "seconds": round(ours[0], 2),
            "cpu_seconds": round(ours[1], 2),
            "step_ms": round(1000 * result["seconds"]["training"] / args.steps, 3),
            "test_accuracy": round(result["test"]["accuracy"], 4),
            "loop_seconds": round(extrapolated[0], 2),
            "loop_cpu_seconds": round(extrapolated[1], 2),
            "loop_step_ms": round(1000 * steps_seconds[0], 3),
            "ratio": round(extrapolated[0] / ours[0], 2),
            "cpu_ratio": round(extrapolated[1] / ours[1], 2),
        }


class _NaiveRetrain:
    """What retrain.py does, in its order and with its session runs and files, for class folders of JPEGs.

    Args:
      image_dir: class folders of JPEGs.
      output: folder for the bottleneck files, logs and results.
    """

    def __init__(self, image_dir: Path, output: Path) -> None:
        self.image_dir, self.output = image_dir, output
        self.images: dict[str, dict[str, list[str]]] = {}
        for folder in sorted(path for path in image_dir.iterdir() if path.is_dir()):
            parts = self.images[folder.name] = {"training": [], "testing": [], "validation": []}
            for index, file in enumerate(sorted(folder.iterdir())):
                parts[{0: "testing", 1: "validation"}.get(index % 10, "training")].append(file.name)

    def run(self, module: Path, steps: int) -> None:
        """Compute all features, take some steps, test, write the graph; seconds.json tells what one step took."""
        import tensorflow.compat.v1 as tf

        with tf.Graph().as_default() as graph, tf.Session() as session:
            self._load(tf, session, module)
            train_step, loss = self._add_head(tf, training=True)
            accuracy = self._add_accuracy(tf)
            session.run(tf.variables_initializer(self.variables))
            for label, parts in self.images.items():
                for names in parts.values():
                    for name in names:
                        self._features(session, label, name)
            writers = [tf.summary.FileWriter(str(self.output / part), graph) for part in ("train", "validation")]
            merged, saver = tf.summary.merge_all(), tf.train.Saver(self.variables)
            began, cpu_began = time.monotonic(), time.process_time()
            for step in range(steps):
                feed = self._batch(session, "training")
                summary, _ = session.run([merged, train_step], feed)
                writers[0].add_summary(summary, step)
                if step % _EVAL_EVERY == 0:
                    session.run([accuracy, loss], feed)
                    summary, _ = session.run([merged, accuracy], self._batch(session, "validation"))
                    writers[1].add_summary(summary, step)
            seconds = [(time.monotonic() - began) / steps, (time.process_time() - cpu_began) / steps]
            saver.save(session, str(self.output / "head"))
        self._test_and_write(tf, module)
        (self.output / "seconds.json").write_text(json.dumps(seconds))

    def _load(self, tf: Any, session: Any, module: Path) -> None:
        signature = tf.saved_model.loader.load(session, [], str(module)).signature_def["default"]
        self.image = session.graph.get_tensor_by_name(signature.inputs["images"].name)
        self.bottleneck = session.graph.get_tensor_by_name(signature.outputs["default"].name)
        self.jpeg = tf.placeholder(tf.string)
        decoded = tf.image.convert_image_dtype(tf.image.decode_jpeg(self.jpeg, channels=3), tf.float32)
        self.resized = tf.image.resize_bilinear(decoded[tf.newaxis], self.image.shape.as_list()[1:3])

    def _add_head(self, tf: Any, training: bool) -> tuple[Any, Any]:
        width = self.bottleneck.shape[1]
        self.inputs = tf.placeholder_with_default(self.bottleneck, [None, width])
        self.labels = tf.placeholder(tf.int64, [None])
        weights = tf.Variable(tf.truncated_normal([width, len(self.images)], stddev=0.001), name="final_weights")
        biases = tf.Variable(tf.zeros([len(self.images)]), name="final_biases")
        self.variables = [weights, biases]
        for variable in self.variables:
            mean = tf.reduce_mean(variable)
            tf.summary.scalar("mean", mean)
            tf.summary.scalar("stddev", tf.sqrt(tf.reduce_mean(tf.square(variable - mean))))
            tf.summary.scalar("max", tf.reduce_max(variable))
            tf.summary.scalar("min", tf.reduce_min(variable))
            tf.summary.histogram("histogram", variable)
        logits = tf.matmul(self.inputs, weights) + biases
        tf.summary.histogram("pre_activations", logits)
        self.result = tf.nn.softmax(logits, name="final_result")
        tf.summary.histogram("activations", self.result)
        if not training:
            return None, None
        loss = tf.losses.sparse_softmax_cross_entropy(labels=self.labels, logits=logits)
        tf.summary.scalar("cross_entropy", loss)
        return tf.train.GradientDescentOptimizer(0.01).minimize(loss, var_list=self.variables), loss

    def _add_accuracy(self, tf: Any) -> Any:
        is_right = tf.equal(tf.argmax(self.result, 1), self.labels)
        accuracy = tf.reduce_mean(tf.cast(is_right, tf.float32))
        tf.summary.scalar("accuracy", accuracy)
        return accuracy

    def _features(self, session: Any, label: str, name: str) -> list[float]:
        """Of one image: from its text file, written first where there is none."""
        folder = os.path.join(self.output, label)  # noqa: PTH118 -- as there, where it counts
        os.makedirs(folder, exist_ok=True)  # noqa: PTH103
        path = os.path.join(folder, f"{name}_module.txt")  # noqa: PTH118
        if not os.path.exists(path):  # noqa: PTH110
            data = (self.image_dir / label / name).read_bytes()
            values = session.run(self.bottleneck, {self.image: session.run(self.resized, {self.jpeg: data})})
            Path(path).write_text(",".join(str(value) for value in values.squeeze()))
        with open(path) as file:  # noqa: PTH123
            return [float(value) for value in file.read().split(",")]

    def _batch(self, session: Any, part: str) -> dict[Any, Any]:
        names = list(self.images)
        labels = [random.randrange(len(names)) for _ in range(_BATCH_SIZE)]
        drawn = [(names[label], random.choice(self.images[names[label]][part])) for label in labels]
        return {self.inputs: [self._features(session, *image) for image in drawn], self.labels: labels}

    def _test_and_write(self, tf: Any, module: Path) -> None:
        """Test on all images for it, in a graph made again; write the graph, made again again."""
        for what in ("test", "write"):
            with tf.Graph().as_default() as graph, tf.Session() as session:
                self._load(tf, session, module)
                self._add_head(tf, training=False)
                tf.train.Saver(self.variables).restore(session, str(self.output / "head"))
                if what == "test":
                    self._test(session, self._add_accuracy(tf))
                    continue
                frozen = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), ["final_result"])
                (self.output / "graph.pb").write_bytes(frozen.SerializeToString())

    def _test(self, session: Any, accuracy: Any) -> None:
        drawn = [(label, name) for label, parts in self.images.items() for name in parts["testing"]]
        features = [self._features(session, *image) for image in drawn]
        labels = [list(self.images).index(label) for label, _ in drawn]
        session.run(accuracy, {self.inputs: features, self.labels: labels})


if __name__ == "__main__" and sys.argv[1:2] == [_NAIVE_LOOP]:
    _NaiveRetrain(Path(sys.argv[2]), Path(sys.argv[5])).run(Path(sys.argv[3]), int(sys.argv[4]))
