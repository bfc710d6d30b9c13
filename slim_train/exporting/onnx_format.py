"""ONNX models, converted by tf2onnx from the frozen graph."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import slim_train
from slim_train.errors import RunError, UsageError
from slim_train.inference.export_info import ExportInfo, to_properties
from slim_train.inference.onnx_model import PIXELS, SCORES, first_line
from slim_train.inference.trained_model import TrainedModel
from slim_train.tf_compat import native_chatter_hidden, tf

# The newest that tf2onnx calls safe. Runtimes read older ones as well.
OPSET = 15
_COPIES = "TF2ONNX_CATCH_ERRORS"


def require_converter() -> None:
    """Check that the packages of the extra are installed.

    Raises:
      UsageError: one is not.
    """
    try:
        import onnxruntime  # noqa: F401
        import tf2onnx.convert  # noqa: F401
    except (ImportError, AttributeError) as error:  # Of a pair of onnx and ml-dtypes that do not fit each other.
        raise UsageError(
            f"--formats=onnx requires tf2onnx and onnxruntime ({error}): pip install 'slim-train[onnx]'."
        ) from error


def write_onnx(path: Path, trained: TrainedModel, graph_def: Any, info: ExportInfo) -> None:
    """An ONNX model: ``pixels`` uint8 [batch, height, width, channels] to ``scores`` float [batch, classes].

    Scaling of the pixels and softmax are in it; decoding and resizing are not. With preprocessing of a user, ``pixels``
    is what that makes, in float. The metadata of the model hold ``info``.

    Raises:
      RunError: ONNX has no operation for a part of the net.
    """
    import onnx
    import tf2onnx.convert

    dtype = tf.uint8 if trained.spec.recipe.gives_pixels else tf.float32
    with tf.Graph().as_default() as graph:
        pixels = tf.placeholder(dtype, [None, *info.image_size, info.channels], name=PIXELS)
        tf.graph_util.import_graph_def(graph_def, {"pixels": tf.cast(pixels, tf.float32)}, name="net")
        whole = graph.as_graph_def()
    del graph
    gc.collect()  # Graphs are in cycles of references, and each holds all weights.
    try:
        with native_chatter_hidden(), _quiet_converter(), _no_copies(), constants_kept():
            model, _ = tf2onnx.convert.from_graph_def(
                whole,
                input_names=[f"{PIXELS}:0"],
                output_names=["net/scores:0"],
                opset=OPSET,
                tensors_to_rename={f"{PIXELS}:0": PIXELS, "net/scores:0": SCORES},
            )
        onnx.checker.check_model(model)  # The converter leaves operations that it does not know as they are.
    except Exception as error:  # Of many classes: the converter checks with assert, too.
        raise RunError(
            f"tf2onnx cannot convert this net to ONNX: {first_line(error)}. Leave onnx out of --formats."
        ) from error
    for entry in (*model.graph.input, *model.graph.output):
        entry.type.tensor_type.shape.dim[0].dim_param = "batch"
    model.producer_name, model.producer_version = "slim-train", slim_train.__version__
    for name, value in to_properties(info).items():
        model.metadata_props.add(key=name, value=value)
    path.write_bytes(model.SerializeToString())


@contextlib.contextmanager
def _no_copies() -> Iterator[None]:
    """Let tf2onnx keep no copy of the graph before each optimization, which takes a third of its memory and time."""
    before = os.environ.get(_COPIES)
    os.environ[_COPIES] = "FALSE"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_COPIES]
        else:
            os.environ[_COPIES] = before


@contextlib.contextmanager
def constants_kept() -> Iterator[None]:
    """Let tf2onnx leave the messages of constants as they are, which nothing reads.

    It would fill them again after each of its optimizations. A message keeps the memory of what was deleted in it, so
    the process would grow by all weights each time.
    """
    from tf2onnx.graph import Node

    update = Node.update_proto

    def update_others(node: Any, *args: Any, **kwargs: Any) -> None:
        if not node.is_const():
            update(node, *args, **kwargs)

    Node.update_proto = update_others
    try:
        yield
    finally:
        Node.update_proto = update


@contextlib.contextmanager
def _quiet_converter() -> Iterator[None]:
    """Keep the log of tf2onnx out of ours: it counts its optimizations, and errors end in ours."""
    logger = logging.getLogger("tf2onnx")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
