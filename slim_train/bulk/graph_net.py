"""A frozen graph or an exported SavedModel, opened to be cut at any of its tensors."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from slim_train.bulk.options import FeatureNetOptions
from slim_train.errors import UsageError
from slim_train.inference import export_info
from slim_train.inference.loaders import INPUTS, OUTPUTS, PIXELS, SERVING, choose, load_signatures, read_graph
from slim_train.inference.predictor import newest_saved_model
from slim_train.retraining.modules import OpenNet
from slim_train.tf_compat import tf

# From the probabilities back to the classification layer, and from that to what feeds it.
_AFTER_LAYER = {"Softmax", "Reshape", "Squeeze", "BiasAdd", "Add", "AddV2", "Identity"}
_LAYER = {"MatMul", "Conv2D"}
_BEFORE_LAYER = {"Reshape", "Squeeze", "Identity"}


@contextlib.contextmanager
def open_graph(options: FeatureNetOptions) -> Iterator[OpenNet]:
    """Open what ``--graph`` or ``--saved_model_dir`` names; its end points are the tensors that depend on the image.

    Raises:
      UsageError: there is no such model, or its input cannot be told.
    """
    path = Path(options.graph or options.saved_model_dir or "")
    if options.graph:
        graph_def, graph = read_graph(path)
        info = export_info.read_export_info(path.with_suffix(".json"))
        files, given = [path], options.input_layer
    else:
        folder = newest_saved_model(path)
        if folder is None:
            raise UsageError(f"--saved_model_dir={path} holds no SavedModel.")
        info = export_info.read_export_info(folder / export_info.FOLDER_IN_SAVED_MODEL / export_info.FILE)
        graph_def, given = _constants(folder, PIXELS if info else SERVING)
        with tf.Graph().as_default() as graph:
            tf.graph_util.import_graph_def(graph_def, name="")
        files = [file for file in folder.rglob("*") if file.is_file()]
    is_ours = info is not None and not options.input_layer
    name = choose(_placeholders(graph, given), given or ("pixels" if is_ours else None), INPUTS, "input", path)
    shape = name.shape.as_list() if name.shape.rank == 4 else []
    if len(shape) != 4 or shape[3] not in (1, 3) or name.dtype != tf.float32:
        raise UsageError(
            f"{path}: {name.op.name} is {name.dtype.name} {name.shape}, not float images [N, height, width, 1 or 3]: "
            "name the input with --input_layer."
        )
    height, width = (side or options.image_size for side in shape[1:3])
    if not height or not width:
        raise UsageError(f"{path} takes images of any size: set --image_size.")
    if options.image_size not in (None, height):
        raise UsageError(f"--image_size={options.image_size}: {path} takes images of {height}x{width} pixels.")
    # What slim-train exports scales pixels itself.
    mean = 0.0 if options.input_mean is None else options.input_mean
    std = (1.0 if is_ours else 255.0) if options.input_std is None else options.input_std
    with tf.Graph().as_default() as graph, tf.Session(config=tf.ConfigProto(device_count={"GPU": 0})) as session:
        with tf.name_scope("zero_to_one"):
            images = tf.placeholder(tf.float32, [None, height, width, 3], name="images")
            pixels = 255.0 * (tf.image.rgb_to_grayscale(images) if shape[3] == 1 else images)
            prepared = (pixels - mean) / std
        tf.graph_util.import_graph_def(graph_def, {name.name: prepared}, name="")
        points = _dependent(graph, prepared)
        words = (name.op.name, height, width, mean, std)
        output = _features(list(points.values()))
        label = info.model_name if info else path.name
        yield OpenNet(
            session, f"{label} of {path}", words, tuple(files), height, width, images.name, output, points,
            info.preprocessing if info else None,
        )  # fmt: skip


def _constants(folder: Path, signature_name: str) -> tuple[Any, str]:
    """Return the graph of a SavedModel with constants for variables, and the name of its image input."""
    with tf.Graph().as_default() as graph, tf.Session(config=tf.ConfigProto(device_count={"GPU": 0})) as session:
        signatures = load_signatures(session, folder)
        if signature_name not in signatures:
            raise UsageError(f"{folder} has no signature {signature_name}: {', '.join(sorted(signatures)) or 'none'}.")
        signature = signatures[signature_name]
        floats = [entry.name for entry in signature.inputs.values() if entry.dtype == tf.float32.as_datatype_enum]
        if len(floats) != 1:
            raise UsageError(f"{folder}: signature {signature_name} does not take one batch of float images.")
        outputs = [graph.get_tensor_by_name(entry.name) for entry in signature.outputs.values()]
        names = [output.op.name for output in outputs if output.dtype.is_floating]
        frozen = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), names)
        return frozen, floats[0].partition(":")[0]


def _placeholders(graph: Any, given: str | None) -> dict[str, Any]:
    """Return the tensors that may be the input: placeholders, and the one that is named."""
    named = (given or "").partition(":")[0]
    return {
        operation.name: operation.outputs[0]
        for operation in graph.get_operations()
        if operation.outputs and (operation.type == "Placeholder" or operation.name == named)
    }


def _dependent(graph: Any, images: Any) -> dict[str, Any]:
    """Return the first tensors of the operations that images reach, in the order of the graph."""
    reached, queue = set(), [images]
    while queue:
        for operation in queue.pop().consumers():
            if operation not in reached:
                reached.add(operation)
                queue += operation.outputs
    return {op.name: op.outputs[0] for op in graph.get_operations() if op in reached and op.outputs}


def _features(tensors: list[Any]) -> Any:
    """Return the input of the classification layer before the usual output of a classifier; None if there is none."""
    ending = tuple(f"/{name}" for name in (*OUTPUTS, "scores"))
    tensor = next((tensor for tensor in tensors if f"/{tensor.op.name}".endswith(ending)), None)
    while tensor is not None and tensor.op.type in _AFTER_LAYER:
        tensor = tensor.op.inputs[0]
    if tensor is None or tensor.op.type not in _LAYER:
        return None
    tensor = tensor.op.inputs[0]
    while tensor.op.type in _BEFORE_LAYER and tensor.op.inputs[0].shape.rank in (2, 4):
        tensor = tensor.op.inputs[0]
    return tensor
