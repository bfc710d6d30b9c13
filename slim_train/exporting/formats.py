"""The files of an export, all written from one frozen graph."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slim_train.errors import RunError, UsageError
from slim_train.inference import export_info
from slim_train.inference.export_info import ExportInfo
from slim_train.inference.loaders import CLASSIFY, PIXELS, PREPROCESS, SERVING
from slim_train.inference.tflite_model import append_info
from slim_train.inference.trained_model import TrainedModel
from slim_train.tf_compat import native_chatter_hidden, tf

_PYTHON_OPS = ("PyFunc", "PyFuncStateless", "EagerPyFunc")
TFLITE_KINDS = ("float32", "float16", "int8")
INT8_FULL = "int8_full"


def refuse_python(graph_def: Any, what: str) -> None:
    """Check that no function of Python is in a graph: it is in this process only, and a file would name it in vain.

    Args:
      graph_def: the graph.
      what: it is of, for the error.

    Raises:
      UsageError: there is one.
    """
    nodes = [*graph_def.node, *(node for function in graph_def.library.function for node in function.node_def)]
    found = next((node for node in nodes if node.op in _PYTHON_OPS), None)
    if found:
        raise UsageError(
            f"{what} calls Python in its graph (tf.py_func, node {found.name}), which no exported file can hold: use "
            "TensorFlow's operations instead."
        )


def write_frozen(path: Path, graph_def: Any, info: ExportInfo) -> None:
    """A GraphDef with constants for variables, and beside it what it does not say itself, ``<name>.json``."""
    path.write_bytes(graph_def.SerializeToString())
    export_info.write_export_info(path.with_suffix(".json"), info)


def write_saved_model(folder: Path, trained: TrainedModel, graph_def: Any, info: ExportInfo) -> None:
    """A SavedModel that needs nothing but TensorFlow. ``folder`` must not exist.

    Its signatures enter one chain at different places: serialised tf.train.Examples -> image bytes -> pixels -> scores.

    * ``serving_default``: ``image_bytes`` string [N], each a JPEG, PNG, BMP or GIF of any size, to ``scores`` float
      [N, classes] and ``classes`` string [N, classes], both in the order of the labels (as TensorFlow's own classifiers
      had it), so that a column is always the same class.
    * ``classify``: the same for TensorFlow Serving's Classify call, from Examples with ``image/encoded``.
    * ``pixels``: ``pixels`` float [N, height, width, channels] in 0..255, of the size that the net takes, to the same.
    * ``preprocess``: ``image_bytes`` to ``pixels``.
    """
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        examples = tf.placeholder(tf.string, [None], name="examples")
        features = tf.io.parse_example(examples, {"image/encoded": tf.io.FixedLenFeature([], tf.string)})
        encoded = tf.identity(features["image/encoded"], name="image_bytes")
        decoded = tf.map_fn(functools.partial(decode, trained), encoded, fn_output_signature=tf.float32)
        pixels = tf.identity(decoded, name="pixels")
        (scores,) = tf.graph_util.import_graph_def(graph_def, {"pixels": pixels}, ["scores:0"], name="net")
        classes = tf.tile(tf.constant([info.labels]), [tf.shape(scores)[0], 1], name="classes")
        answers = {"classes": classes, "scores": scores}
        predict, classify = "tensorflow/serving/predict", "tensorflow/serving/classify"
        builder = tf.saved_model.builder.SavedModelBuilder(str(folder))
        builder.add_meta_graph_and_variables(
            session,
            ["serve"],
            signature_def_map={
                SERVING: _signature({"image_bytes": encoded}, answers, predict),
                CLASSIFY: _signature({"inputs": examples}, answers, classify),
                PIXELS: _signature({"pixels": pixels}, answers, predict),
                PREPROCESS: _signature({"image_bytes": encoded}, {"pixels": pixels}, predict),
            },
            strip_default_attrs=True,
        )
        builder.save()
    extra = folder / export_info.FOLDER_IN_SAVED_MODEL
    extra.mkdir()
    export_info.write_export_info(extra / export_info.FILE, info)


def decode(trained: TrainedModel, encoded: Any) -> Any:
    """``trained.decode`` for images that conversion has not been through, which are the ones a service gets."""
    if trained.spec.channels == 1:
        # TensorFlow decodes these two to three channels and to nothing else; of a PNG it makes a grey image, too.
        is_bmp = tf.equal(tf.strings.substr(encoded, 0, 2), "BM")
        is_gif = tf.equal(tf.strings.substr(encoded, 0, 3), "GIF")
        encoded = tf.cond(is_bmp | is_gif, lambda: tf.io.encode_png(_first_frame(encoded)), lambda: encoded)
    return trained.decode(encoded)


def _first_frame(encoded: Any) -> Any:
    image = tf.io.decode_image(encoded, channels=3, expand_animations=False)
    return tf.ensure_shape(image, [None, None, 3])


def write_tflite(
    path: Path, graph_def: Any, kind: str, info: ExportInfo, representative: Sequence[NDArray[np.float32]] = ()
) -> None:
    """A TFLite model, ``pixels`` to ``scores``, with ``info`` at the end of the file.

    Args:
      path: of the file.
      graph_def: the frozen graph.
      kind: ``float32``; ``float16``, weights in 16 bits; ``int8``, weights in 8 bits and activations in 32 ("dynamic
        range"); ``int8_full``, both in 8 bits, weights by channel, and so are pixels and scores.
      info: of the net.
      representative: for ``int8_full`` images, float32 [height, width, channels] in 0..255, that show the range of each
        activation.

    Raises:
      RunError: TFLite has no operation for a part of the net.
    """
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        pixels, scores = tf.graph_util.import_graph_def(graph_def, return_elements=["pixels:0", "scores:0"], name="")
        converter = tf.lite.TFLiteConverter.from_session(session, [pixels], [scores])
        if kind != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if kind == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if kind == INT8_FULL:
            converter.representative_dataset = lambda: ([image[np.newaxis]] for image in representative)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = converter.inference_output_type = tf.int8
        try:
            with native_chatter_hidden():
                path.write_bytes(converter.convert())
        except Exception as error:  # The converter's own class of errors is nowhere public.
            name = f"tflite_{kind}" if kind == INT8_FULL else "tflite"
            raise RunError(
                f"TensorFlow cannot convert this net to TFLite: {error}. Leave {name} out of --formats."
            ) from error
    append_info(path, info)


def with_16_bit_constants(graph_def: Any, dtype: Any) -> Any:
    """Return the same graph with its weights stored as ``dtype``, float16 or bfloat16, each followed by a cast back.

    TensorFlow folds the casts when the graph is first run: memory and speed are those of float32. Constants of one
    dimension stay as they are: they are few, and variances that batch norm divides by may be too small for float16. So
    do numbers that are too large for it.
    """
    half = tf.GraphDef()
    half.CopyFrom(graph_def)
    del half.node[:]
    largest = float(dtype.max)
    for node in graph_def.node:
        values = tf.make_ndarray(node.attr["value"].tensor) if node.op == "Const" else None
        if values is None or values.dtype != np.float32 or values.ndim < 2 or np.abs(values).max() > largest:
            half.node.append(node)
            continue
        stored = half.node.add(name=f"{node.name}/{dtype.name}", op="Const", device=node.device)
        stored.attr["dtype"].type = dtype.as_datatype_enum
        stored.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values.astype(dtype.as_numpy_dtype)))
        cast = half.node.add(name=node.name, op="Cast", input=[stored.name], device=node.device)
        cast.attr["SrcT"].type, cast.attr["DstT"].type = dtype.as_datatype_enum, tf.float32.as_datatype_enum
    return half


def _signature(inputs: dict[str, Any], outputs: dict[str, Any], method: str) -> Any:
    return tf.saved_model.signature_def_utils.build_signature_def(
        {name: tf.saved_model.utils.build_tensor_info(tensor) for name, tensor in inputs.items()},
        {name: tf.saved_model.utils.build_tensor_info(tensor) for name, tensor in outputs.items()},
        method,
    )
