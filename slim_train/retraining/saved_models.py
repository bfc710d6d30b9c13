"""Modules on disk: TF1 Hub folders and SavedModels, read without tensorflow_hub, and handles fetched with it.

Both formats are a saved_model.pb with graphs and signatures beside a checkpoint of the variables. What is special to
TF1 Hub: an empty set of tags for inference; signatures called ``default``, ``image_feature_vector`` and
``image_classification`` (https://www.tensorflow.org/hub/common_signatures/images); and attached messages, one of which
may tell the image size.
"""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import DecodeError
from google.protobuf.unknown_fields import UnknownFieldSet
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from datasets.storage import open_to_tensorflow, path_of, scheme_of
from slim_train.errors import RunError, UsageError
from slim_train.retraining.options import ModuleOptions
from slim_train.tf_compat import tf

log = logging.getLogger(__name__)

_GRAPHS = "saved_model.pb"
_ON_THE_WEB = ("http", "https")
_TAGS: tuple[frozenset[str], ...] = (frozenset(), frozenset({"serve"}))
# In the order of preference; ``default`` is what retrain.py takes.
_SIGNATURES = ("default", "image_feature_vector", "image_classification", "serving_default")
_OUTPUTS = ("default", "feature_vector", "logits")
# Where TF1 Hub keeps attached messages: key (field 1) and value (2). The value of the key below holds in its field 1 a
# height (1) and a width (2).
_ATTACHMENTS = "hub_module_attachments"
_IMAGE_INFO = b"image_module_info"


@dataclasses.dataclass(frozen=True)
class Signature:
    """What a module computes.

    Attributes:
      folder: where the module is.
      tags: of its graph.
      input: name of the tensor that takes images, float32 [N, height, width, 3].
      output: name of the tensor that gives features, or logits.
      outputs: names of the tensors of all outputs of the signature, by key.
      fixed_size: height and width in pixels; None if it takes any.
      default_size: height and width in pixels that it was made for; None if it does not say.
    """

    folder: Path
    tags: tuple[str, ...]
    input: str
    output: str
    outputs: Mapping[str, str]
    fixed_size: tuple[int, int] | None
    default_size: tuple[int, int] | None

    def load(self, session: Any) -> Any:
        """Load the graph and its weights into the graph of ``session``; gives the output tensor."""
        with open_to_tensorflow(self.folder) as here:
            tf.saved_model.loader.load(session, list(self.tags), str(here))
        return session.graph.get_tensor_by_name(self.output)


def find_folder(module: str) -> Path:
    """Return the folder of a module: ``module`` itself, or where tensorflow_hub keeps what it fetches for this handle.

    Raises:
      UsageError: there is no such folder, or tensorflow_hub is not installed.
      RunError: the handle cannot be fetched.
    """
    if scheme_of(module) not in _ON_THE_WEB:
        folder = path_of(module)
        if not (folder / _GRAPHS).is_file():
            what = f"is no module: it holds no {_GRAPHS}" if folder.is_dir() else "is not a folder"
            raise UsageError(
                f"--tfhub_module={module} {what}: give the folder of a module, or the handle of one on the web, such "
                f"as {ModuleOptions.tfhub_module}."
            )
        return folder
    try:
        import tensorflow_hub
    except ImportError as error:
        raise UsageError(
            f"--tfhub_module={module} takes tensorflow_hub to fetch it: pip install 'slim-train[hub]', or give the "
            "folder of a module."
        ) from error
    log.info("Looking for %s.", module)
    try:
        return path_of(tensorflow_hub.resolve(module))
    except (OSError, RuntimeError, ValueError, tf.errors.OpError) as error:
        raise RunError(
            f"--tfhub_module={module} cannot be fetched ({error}). Give the folder of a module that is on this machine."
        ) from error


@contextlib.contextmanager
def open_signature(folder: Path, default_size: int) -> Iterator[Signature]:
    """What the module in ``folder`` computes, to be loaded inside the block.

    Args:
      folder: of the module.
      default_size: height and width in pixels to prepare a module for that has no signature and takes any size.

    Raises:
      UsageError: nothing in the module takes color images and gives numbers.
    """
    graph = _inference_graph(folder)
    if any(name in graph.signature_def for name in _SIGNATURES):
        yield _signature(folder, graph)
        return
    with tempfile.TemporaryDirectory() as copy:
        _save_with_signature(folder, path_of(copy), default_size)
        yield _signature(path_of(copy), _inference_graph(path_of(copy)))


def _inference_graph(folder: Path) -> Any:
    try:
        graphs = SavedModel.FromString((folder / _GRAPHS).read_bytes()).meta_graphs
    except (OSError, DecodeError) as error:
        raise UsageError(f"--tfhub_module: {folder / _GRAPHS} cannot be read ({error}).") from error
    found = {frozenset(graph.meta_info_def.tags): graph for graph in graphs}
    for tags in _TAGS:
        if tags in found:
            return found[tags]
    held = ", ".join(sorted("+".join(sorted(tags)) for tags in found)) or "none"
    raise UsageError(f"--tfhub_module: {folder} has no graph for inference; the tags of those it has: {held}.")


def _signature(folder: Path, graph: Any) -> Signature:
    name = next(name for name in _SIGNATURES if name in graph.signature_def)
    inputs, outputs = graph.signature_def[name].inputs, graph.signature_def[name].outputs
    images = {key: info for key, info in inputs.items() if _takes_images(info)}
    if len(inputs) != 1 or not images:
        raise UsageError(
            f"--tfhub_module: signature {name!r} of {folder} takes {_describe(inputs)}, where one batch of color "
            "images is needed: float32 [N, height, width, 3]."
        )
    output = next((key for key in _OUTPUTS if key in outputs), None) or next(iter(outputs), None)
    if output is None or (output not in _OUTPUTS and len(outputs) > 1):
        raise UsageError(
            f"--tfhub_module: signature {name!r} of {folder} gives {_describe(outputs)}; which of them are the "
            f"features cannot be told: none is called {', '.join(_OUTPUTS)}."
        )
    (image,) = images.values()
    height, width = (dim.size for dim in image.tensor_shape.dim[1:3])
    fixed = (height, width) if height > 0 and width > 0 else None
    return Signature(
        folder,
        tuple(graph.meta_info_def.tags),
        image.name,
        outputs[output].name,
        {key: info.name for key, info in sorted(outputs.items())},
        fixed,
        fixed or _attached_image_size(graph),
    )


def _takes_images(info: Any) -> bool:
    sizes = [dim.size for dim in info.tensor_shape.dim]
    return info.dtype == tf.float32.as_datatype_enum and len(sizes) == 4 and sizes[3] in (3, -1)


def _describe(tensors: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {tf.as_dtype(info.dtype).name} {[dim.size for dim in info.tensor_shape.dim]}"
        for key, info in sorted(tensors.items())
    )


def _attached_image_size(graph: Any) -> tuple[int, int] | None:
    for attachment in graph.collection_def[_ATTACHMENTS].bytes_list.value:
        message = _fields(attachment)
        if message.get(1) == _IMAGE_INFO:
            size = _fields(_fields(message.get(2, b"")).get(1, b""))
            return (size[1], size[2]) if {1, 2} <= size.keys() else None
    return None


def _fields(message: bytes) -> dict[int, Any]:
    """Return the fields of a serialized proto by number, for the few protos that only tensorflow_hub has classes of."""
    return {field.field_number: field.data for field in UnknownFieldSet(Empty.FromString(message))}


def _save_with_signature(folder: Path, copy: Path, default_size: int) -> None:
    """Save a TF2 module that can only be called, as ``module(images)``, again with that call as its signature."""
    import tensorflow as tf2

    module = tf2.saved_model.load(str(folder))
    if not callable(module):
        raise UsageError(f"--tfhub_module: {folder} has no signature and cannot be called: it is not a module.")
    height, width = _call_image_size(module) or (default_size, default_size)
    images = tf2.TensorSpec([None, height, width, 3], tf2.float32, name="images")
    try:
        call = tf2.function(lambda images: {"default": module(images)}, autograph=False).get_concrete_function(images)
    except (TypeError, ValueError) as error:
        raise UsageError(f"--tfhub_module: {folder} does not take a batch of color images: {error}") from error
    tf2.saved_model.save(module, str(copy), signatures={"default": call})


def _call_image_size(module: Any) -> tuple[int, int] | None:
    """Height and width that a TF2 module was traced with, where it takes no others."""
    for function in getattr(module.__call__, "concrete_functions", ()):
        for spec in tf.nest.flatten(function.structured_input_signature):
            if isinstance(spec, tf.TensorSpec) and spec.shape.rank == 4 and None not in spec.shape.as_list()[1:3]:
                return tuple(spec.shape.as_list()[1:3])
    return None
