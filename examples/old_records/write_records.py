"""Write scikit-learn's digits as TFRecords in the layout of research/slim's converters."""

import io
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image
from sklearn.datasets import load_digits

NUM_SHARDS = 2
NUM_VALIDATION = 300


def example(pixels: np.ndarray, label: int) -> bytes:
    """Return the record of an 8x8 image of gray levels 0 to 16."""
    buffer = io.BytesIO()
    Image.fromarray((pixels * (255 / 16)).astype(np.uint8)).resize((28, 28)).save(buffer, "PNG")

    def feature(value: bytes | int) -> tf.train.Feature:
        if isinstance(value, bytes):
            return tf.train.Feature(bytes_list=tf.train.BytesList(value=[value]))
        return tf.train.Feature(int64_list=tf.train.Int64List(value=[value]))

    values = {
        "image/encoded": buffer.getvalue(),
        "image/format": b"png",
        "image/class/label": int(label),
        "image/height": 28,
        "image/width": 28,
    }
    features = tf.train.Features(feature={key: feature(value) for key, value in values.items()})
    return tf.train.Example(features=features).SerializeToString()


def main(folder: Path) -> None:
    """Write both splits and labels.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    for split, chosen in (("validation", order[:NUM_VALIDATION]), ("train", order[NUM_VALIDATION:])):
        for shard in range(NUM_SHARDS):
            name = f"digits_{split}_{shard:05d}-of-{NUM_SHARDS:05d}.tfrecord"
            with tf.io.TFRecordWriter(str(folder / name)) as writer:
                for index in chosen[shard::NUM_SHARDS]:
                    writer.write(example(digits.images[index], digits.target[index]))
    (folder / "labels.txt").write_text("".join(f"{label}:{label}\n" for label in range(10)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
