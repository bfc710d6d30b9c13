"""The kinds of files a classifier comes in, each read into the two functions that predictions are made of."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from google.protobuf.message import DecodeError

from datasets.storage import open_to_tensorflow
from slim_train.errors import UsageError, nearest
from slim_train.inference import export_info, trained_model
from slim_train.inference.label_files import read_class_names
from slim_train.inference.overrides import ModelOverrides
from slim_train.inference.trained_model import find_trained_model
from slim_train.preprocessing import distort
from slim_train.preprocessing.factory import get_recipe, recipe_names
from slim_train.preprocessing.source_image import with_source_image
from slim_train.tf_compat import tf

NodeT = TypeVar("NodeT")

log = logging.getLogger(__name__)

# Signatures of a SavedModel. Ours have all of these; of others the first is enough, on float images.
SERVING, CLASSIFY, PIXELS, PREPROCESS = "serving_default", "classify", "pixels", "preprocess"

# Usual names in graphs of others: those of TF-Hub's retrain, then research/slim's.
INPUTS = ("Placeholder", "input", "image", "images")
OUTPUTS = ("final_result", "prediction", "scores", "Predictions/Reshape_1", "Predictions/Softmax")
_DECODING = (trained_model.ENCODED, trained_model.DECODED)
_LABEL_FILES = ("labels.txt", "output_labels.txt")


@dataclasses.dataclass(frozen=True)
class LoadedModel:
    """A classifier in a session.

    Attributes:
      session: to be closed at the end; what decodes, and the net itself unless another runtime computes it.
      decode: the bytes of a JPEG or PNG to float32 [height, width, channels] as ``score`` takes them.
      score: a batch of those to probabilities [N, classes].
      name: of the net, or of the file.
      labels: a name for each score.
      image_size: height and width in pixels that ``score`` takes.
      channels: color channels that it takes.
      scaled_decoding: whether ``decode`` decodes large JPEGs smaller than they are.
      image: the tensor that takes the batch of ``score``; None if another runtime than TensorFlow computes the net.
      scores: the tensor of its result, or None.
    """

    session: Any
    decode: Callable[[bytes], Any]
    score: Callable[[Any], Any]
    name: str
    labels: tuple[str, ...]
    image_size: tuple[int, int]
    channels: int
    scaled_decoding: bool
    image: Any
    scores: Any


def load_trained(path: Path, given: ModelOverrides) -> LoadedModel:
    """Return a training folder's newest checkpoint, or the checkpoint at ``path``."""
    if given.describes_input:
        raise UsageError(
            f"--input_layer, --output_layer, --input_mean and --input_std are for exported graphs: {path} is a "
            "checkpoint, and preprocessing is as in training."
        )
    trained = find_trained_model(path, given, labels_only=True)
    return _load_ours(trained.freeze(), trained.info())


def load_frozen(path: Path, given: ModelOverrides) -> LoadedModel:
    """Return a GraphDef with its variables as constants: of export, of retrain, or another."""
    graph_def, graph = read_graph(path)
    info = export_info.read_export_info(path.with_suffix(".json"))
    if info and not given.describes_input:
        return _load_ours(graph_def, overridden(path, info, given))
    nodes = {node.name: node for node in graph.get_operations() if node.outputs}
    image = choose(nodes, given.input_layer, INPUTS, "input", path).outputs[0]
    scores = choose(nodes, given.output_layer, OUTPUTS, "output", path).outputs[0]
    return _load_plain(_session(graph), image, scores, path, given)


def read_graph(path: Path) -> tuple[Any, Any]:
    """Return the GraphDef in a file, and the graph that it is imported into.

    Raises:
      UsageError: it holds none that TensorFlow can import.
    """
    graph_def = tf.GraphDef()
    try:
        graph_def.ParseFromString(path.read_bytes())
        with tf.Graph().as_default() as graph:
            tf.graph_util.import_graph_def(graph_def, name="")
    except (OSError, DecodeError, ValueError, tf.errors.OpError) as error:
        raise UsageError(f"{path} is not a frozen graph that TensorFlow reads: {error}") from error
    return graph_def, graph


def load_signatures(session: Any, folder: Path) -> Mapping[str, Any]:
    """Load a SavedModel into the graph of ``session``, which must be the default, and return its signatures.

    Raises:
      UsageError: TensorFlow cannot serve it.
    """
    try:
        with open_to_tensorflow(folder) as here:
            return tf.saved_model.loader.load(session, ["serve"], str(here)).signature_def
    except (OSError, RuntimeError, ValueError, tf.errors.OpError) as error:
        raise UsageError(f"{folder} is not a SavedModel that TensorFlow can serve: {error}") from error


def load_saved_model(folder: Path, given: ModelOverrides) -> LoadedModel:
    """Return a SavedModel: one of export, or another that takes float images."""
    session = _session(tf.Graph())
    with session.graph.as_default():
        signatures = load_signatures(session, folder)
    info = export_info.read_export_info(folder / export_info.FOLDER_IN_SAVED_MODEL / export_info.FILE)
    if info and not given.describes_input:
        _check_size(folder, given, *info.image_size)
        _check_decoding(folder, given, info.scaled_decoding)
        (encoded,), (decoded,) = (_tensors(signatures[PREPROCESS], side) for side in ("inputs", "outputs"))
        (image,) = _tensors(signatures[PIXELS], "inputs")
        scores = signatures[PIXELS].outputs["scores"].name
        decode = session.make_callable(decoded, [encoded])
        return LoadedModel(
            session,
            lambda data: decode([data])[0],
            session.make_callable(scores, [image]),
            info.model_name,
            _labels(folder, given.labels or info.labels, len(info.labels)),
            info.image_size,
            info.channels,
            info.scaled_decoding and _gives_pixels(session.graph),
            session.graph.get_tensor_by_name(image),
            session.graph.get_tensor_by_name(scores),
        )
    if SERVING not in signatures:
        raise UsageError(f"{folder} has no signature {SERVING}; it has {', '.join(sorted(signatures)) or 'none'}.")
    signature = signatures[SERVING]
    image = choose(_of_floats(signature.inputs), given.input_layer, INPUTS, "input", folder).name
    scores = choose(_of_floats(signature.outputs), given.output_layer, OUTPUTS, "output", folder).name
    tensor = session.graph.get_tensor_by_name
    return _load_plain(session, tensor(image), tensor(scores), folder, given)


def overridden(path: Path, info: export_info.ExportInfo, given: ModelOverrides) -> export_info.ExportInfo:
    """Return what a model file says of itself, with what the user knows better.

    Raises:
      UsageError: an override does not fit the model.
    """
    _check_size(path, given, *info.image_size)
    labels = _labels(path, given.labels or info.labels, len(info.labels))
    return dataclasses.replace(info, labels=labels, scaled_decoding=_is_scaled(given, info.scaled_decoding))


def load_pixel_model(
    path: Path, info: export_info.ExportInfo, given: ModelOverrides, score: Callable[[Any], Any]
) -> LoadedModel:
    """Return a model from pixels to scores that another runtime than TensorFlow computes.

    Args:
      path: of its file, for errors.
      info: what the file says of itself.
      given: what the user knows better.
      score: float32 [N, height, width, channels] in 0..255 to probabilities.

    Raises:
      UsageError: an override does not fit, or the images cannot be decoded as its preprocessing does.
    """
    if given.describes_input:
        raise UsageError(
            f"--input_layer, --output_layer, --input_mean and --input_std are for graphs of other programs: {path} "
            "says itself what it takes."
        )
    info = overridden(path, info, given)
    if info.preprocessing not in recipe_names() or not get_recipe(info.preprocessing).gives_pixels:
        raise UsageError(
            f"{path} does not hold the preprocessing of its images, which is a user's ({info.preprocessing}): use the "
            "SavedModel, the frozen graph or the checkpoint."
        )
    with tf.Graph().as_default() as graph:
        encoded, decoded = _add_decoding(info)
    session = _session(graph)
    return LoadedModel(
        session,
        session.make_callable(decoded, [encoded]),
        score,
        info.model_name,
        info.labels,
        info.image_size,
        info.channels,
        info.scaled_decoding,
        None,
        None,
    )


def _add_decoding(info: export_info.ExportInfo) -> tuple[Any, Any]:
    """Add the decoding of a recipe to the current graph: the bytes of an image, and its pixels."""
    encoded = tf.placeholder(tf.string, [])
    recipe = dataclasses.replace(get_recipe(info.preprocessing), scaled_decoding=info.scaled_decoding)
    return encoded, recipe.decode_eval(encoded, *info.image_size, info.channels)


def _load_ours(graph_def: Any, info: export_info.ExportInfo) -> LoadedModel:
    """Return a graph of :meth:`TrainedModel.build`, with the recipe's decoding before it."""
    with tf.Graph().as_default() as graph:
        tf.graph_util.import_graph_def(graph_def, name="")
        gives_pixels = _gives_pixels(graph)
        if not gives_pixels:
            encoded, decoded = (graph.get_tensor_by_name(f"{name}:0") for name in _DECODING)
        else:
            encoded, decoded = _add_decoding(info)
    image, scores = (graph.get_tensor_by_name(f"{name}:0") for name in (trained_model.PIXELS, trained_model.SCORES))
    session = _session(graph)
    return LoadedModel(
        session,
        session.make_callable(decoded, [encoded]),
        session.make_callable(scores, [image]),
        info.model_name,
        info.labels,
        info.image_size,
        info.channels,
        info.scaled_decoding and gives_pixels,
        image,
        scores,
    )


def _gives_pixels(graph: Any) -> bool:
    """Return False if a graph decodes for preprocessing of a user. SavedModels hold the node below ``net/``."""
    names = {operation.name for operation in graph.get_operations()}
    return not names & {trained_model.DECODED, f"net/{trained_model.DECODED}"}


def _load_plain(session: Any, image: Any, scores: Any, path: Path, given: ModelOverrides) -> LoadedModel:
    """A graph on float images that knows nothing of decoding: images are resized whole, as TF-Hub's retrain does."""
    shape = image.shape.as_list() if image.shape.rank == 4 else None
    if image.dtype != tf.float32 or shape is None or shape[3] not in (1, 3):
        raise UsageError(
            f"{path}: {image.op.name} is {image.dtype.name} {image.shape}, and the input must be float images "
            "[N, height, width, 1 or 3]: name another node with --input_layer."
        )
    _check_size(path, given, shape[1], shape[2])
    height, width = given.input_height or shape[1], given.input_width or shape[2]
    if not height or not width:
        raise UsageError(f"{path} takes images of any size: give --input_height and --input_width.")
    mean = 0.0 if given.input_mean is None else given.input_mean
    scale = 1.0 / (255.0 if given.input_std is None else given.input_std)
    with session.graph.as_default():
        encoded = tf.placeholder(tf.string, [])
        resized = with_source_image(
            encoded,
            shape[3],
            lambda source: distort.resize(source.whole((height, width)), height, width),
            fast=False,
            scaled=_is_scaled(given),
        )
        decoded = (tf.ensure_shape(resized, [height, width, shape[3]]) - mean) * scale
    score = session.make_callable(scores, [image])
    try:
        num_classes = score(np.zeros((1, height, width, shape[3]), np.float32)).size
    except tf.errors.OpError as error:
        raise UsageError(f"{path} cannot be run; are its variables frozen? TensorFlow says: {error.message}") from error
    return LoadedModel(
        session,
        session.make_callable(decoded, [encoded]),
        score,
        path.stem,
        _labels(path, given.labels, num_classes),
        (height, width),
        shape[3],
        _is_scaled(given),
        image,
        scores,
    )


def _check_size(path: Path, given: ModelOverrides, height: int | None, width: int | None) -> None:
    """Check that a size that the model fixes (not None) is not asked to be another."""
    for side, fixed, wanted in (("height", height, given.input_height), ("width", width, given.input_width)):
        if fixed and wanted and fixed != wanted:
            raise UsageError(f"--input_{side}={wanted}: {path} takes images of {height}x{width} pixels.")


def _is_scaled(given: ModelOverrides, default: bool = True) -> bool:
    return given.scaled_decoding == "auto" if given.scaled_decoding else default


def _check_decoding(path: Path, given: ModelOverrides, is_scaled: bool) -> None:
    """Check that a SavedModel, whose graph decodes, is not asked to decode in another way."""
    if _is_scaled(given, is_scaled) != is_scaled:
        raise UsageError(
            f"--scaled_decoding={given.scaled_decoding}: the graph of {path} decodes images itself, in the other way. "
            f"Export again with --scaled_decoding={given.scaled_decoding}."
        )


def _labels(path: Path, given: tuple[str, ...] | None, num_classes: int) -> tuple[str, ...]:
    """Return the names given, else those of the labels file in or beside the model, else numbers."""
    if given is not None:
        file, labels = "--labels", given
    else:
        names = (f"{path.stem}_labels.txt", f"{path.stem}.txt", *_LABEL_FILES)
        candidates = (folder / name for folder in (path, path.parent) for name in names)
        found = next((file for file in candidates if file.is_file()), None)
        if found is None:
            log.warning("No labels file beside %s: classes are numbered.", path)
            return tuple(map(str, range(num_classes)))
        file, labels = str(found), read_class_names(found)
    if len(labels) != num_classes:
        raise UsageError(f"{path} has {num_classes} scores, but {file} names {len(labels)} classes.")
    return labels


def choose(nodes: Mapping[str, NodeT], name: str | None, usual: Sequence[str], kind: str, path: Path) -> NodeT:
    """Return the node called ``name``; without a name the first with a usual one, or the only one there is.

    Raises:
      UsageError: there is no such node, or the choice is not clear; the message lists nodes.
    """
    if not nodes:
        raise UsageError(f"{path} has no {kind} of floats.")
    if name is not None:
        name = name.partition(":")[0]
        if name not in nodes:
            near = nearest(name, nodes) or list(nodes)[:8]
            raise UsageError(f"--{kind}_layer: {path} has no {name!r}. There are: {', '.join(near)}.")
        return nodes[name]
    for ending in usual:
        found = [node for node in nodes if node == ending or node.endswith(f"/{ending}")]
        if len(found) == 1:
            return nodes[found[0]]
    if len(nodes) == 1:
        return next(iter(nodes.values()))
    raise UsageError(
        f"{path}: say with --{kind}_layer which node is the {kind}. First are {', '.join(list(nodes)[:4])}, last "
        f"{', '.join(list(nodes)[-4:])}."
    )


def _of_floats(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a signature's inputs or outputs that are float32."""
    return {name: entries[name] for name in entries if entries[name].dtype == tf.float32.as_datatype_enum}


def _tensors(signature: Any, side: str) -> list[str]:
    """Return names of the tensors of a signature's ``inputs`` or ``outputs``."""
    return [entry.name for entry in getattr(signature, side).values()]


def _session(graph: Any) -> Any:
    return tf.Session(graph=graph, config=tf.ConfigProto(allow_soft_placement=True))
