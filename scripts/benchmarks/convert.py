"""Conversion of class folders: download_and_convert_data against the loop of the converters that it replaces.

That loop reads each file, builds the Example and writes it without a look, with a fresh tf.Graph and Session per image;
download_and_convert_data decodes every image in full. Both are timed as whole commands, importing TensorFlow included.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
_NAIVE_LOOP = "--naive_loop"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--pic_path", type=Path, required=True, help="class folders, or split folders of them")
    parser.add_argument("--repeats", type=int, default=1, help="how many times each is run, in turn")
    parser.add_argument("--num_workers", type=int, help="of download_and_convert_data; default: its own")


def run(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Time both, in turn; ``ratio`` is ours over the loop's."""
    from scripts.benchmarks._commands import timed

    num_images = len(_image_files(args.pic_path))
    for _ in range(args.repeats):
        with tempfile.TemporaryDirectory() as folder:
            loop = _rounded(timed([__file__, _NAIVE_LOOP, args.pic_path, Path(folder, "naive.tfrecord")]))
            command = [_ROOT / "scripts" / "download_and_convert_data.py", "--dataset_name=image_folder"]
            command += [f"--pic_path={args.pic_path}", f"--dataset_dir={folder}/ours"]
            command += [f"--num_workers={args.num_workers}"] if args.num_workers else []
            ours = _rounded(timed(command))
        yield {
            "images": num_images,
            "loop_seconds": loop[0],
            "loop_cpu_seconds": loop[1],
            "seconds": ours[0],
            "cpu_seconds": ours[1],
            "ratio": round(ours[0] / loop[0], 3),
        }


def _rounded(values: tuple[float, float]) -> tuple[float, float]:
    return round(values[0], 2), round(values[1], 2)


def _image_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _naive_loop(pic_path: Path, output: Path) -> None:
    import tensorflow.compat.v1 as tf

    files = _image_files(pic_path)
    labels = {name: label for label, name in enumerate(sorted({file.parent.name for file in files}))}
    with tf.python_io.TFRecordWriter(str(output)) as writer:
        for file in files:
            with tf.Graph().as_default(), tf.Session(""):
                data = tf.gfile.GFile(str(file), "rb").read()
                features = {
                    "image/encoded": tf.train.Feature(bytes_list=tf.train.BytesList(value=[data])),
                    "image/format": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"jpg"])),
                    "image/class/label": tf.train.Feature(
                        int64_list=tf.train.Int64List(value=[labels[file.parent.name]])
                    ),
                    "image/height": tf.train.Feature(int64_list=tf.train.Int64List(value=[48])),
                    "image/width": tf.train.Feature(int64_list=tf.train.Int64List(value=[48])),
                }
                writer.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


if __name__ == "__main__" and sys.argv[1:2] == [_NAIVE_LOOP]:
    _naive_loop(Path(sys.argv[2]), Path(sys.argv[3]))
