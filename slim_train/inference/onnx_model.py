"""ONNX models of export, computed by onnxruntime."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from deployment.threads import available_cpus
from slim_train.errors import UsageError
from slim_train.inference import export_info
from slim_train.inference.loaders import LoadedModel, load_pixel_model
from slim_train.inference.overrides import ModelOverrides

# Names of the input and the output.
PIXELS, SCORES = "pixels", "scores"


class OnnxModel:
    """A model in an onnxruntime session on the CPU; threads may share one.

    Attributes:
      properties: the metadata of the model, text by name.
      takes_bytes: whether pixels are uint8.
    """

    def __init__(self, path: Path, *, takes_fractions: bool = False) -> None:
        """Load a file.

        Args:
          path: of the file.
          takes_fractions: let the model take pixels in float32, as other formats do, and not in uint8.

        Raises:
          UsageError: the packages of the extra are not installed, or the file is not a model for them.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise UsageError(f"{path} requires onnxruntime ({error}): pip install 'slim-train[onnx]'.") from error
        content = path.read_bytes()
        if takes_fractions:
            content = _with_float_input(path, content)
        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = available_cpus()
        # Threads that wait would otherwise take time from those that decode images.
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        settings.log_severity_level = 3  # Errors. Warnings are about constants that it folds.
        try:
            self._session = onnxruntime.InferenceSession(content, settings, providers=["CPUExecutionProvider"])
        except Exception as error:  # Of a class that is nowhere public.
            raise UsageError(f"{path} is not an ONNX model that onnxruntime reads: {first_line(error)}.") from error
        self.properties: dict[str, str] = dict(self._session.get_modelmeta().custom_metadata_map)

        self.takes_bytes = any(entry.type == "tensor(uint8)" for entry in self._session.get_inputs())

    def score(self, pixels: Any) -> Any:
        """Return the probabilities, float32 [N, classes], of pixels [N, height, width, channels]."""
        return self._session.run([SCORES], {PIXELS: pixels})[0]


def _with_float_input(path: Path, content: bytes) -> bytes:
    """Return a model whose first step, the cast of whole pixels to float, gets floats and changes nothing."""
    try:
        import onnx
    except (ImportError, AttributeError) as error:
        raise UsageError(f"{path} requires onnx ({error}): pip install 'slim-train[onnx]'.") from error
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:
        raise UsageError(f"{path} is not an ONNX model: {first_line(error)}.") from error
    if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in _tensors(model)):
        raise UsageError(f"{path} keeps weights in other files, which are not read: save it with all in one file.")
    for entry in model.graph.input:
        if entry.name == PIXELS:
            entry.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
    return bytes(model.SerializeToString())


def _tensors(message: Any) -> Iterator[Any]:
    """Yield all tensors in a message of ONNX: of graphs, of the graphs in their nodes, and of functions."""
    if message.DESCRIPTOR.name == "TensorProto":
        yield message
        return
    for field, value in message.ListFields():
        if field.message_type is not None:
            for inner in value if hasattr(value, "__len__") else [value]:
                yield from _tensors(inner)


def whole_pixels(pixels: Any) -> Any:
    """Return float pixels in 0..255 rounded to uint8; resized ones have fractions."""
    return np.rint(np.clip(pixels, 0, 255)).astype(np.uint8)


def load_onnx(path: Path, given: ModelOverrides) -> LoadedModel:
    """Return an ONNX model of export.

    Raises:
      UsageError: onnxruntime is missing, or the file is broken or of another program.
    """
    model = OnnxModel(path, takes_fractions=True)
    info = export_info.from_properties(model.properties, path)
    if info is None:
        raise UsageError(
            f"{path} was not written by export_inference_graph --formats=onnx: it does not say how images are prepared "
            "and which classes it knows."
        )
    return load_pixel_model(path, info, given, model.score)


def first_line(error: Exception) -> str:
    """Return the first line of the message of a library, without a full stop."""
    return str(error).strip().partition("\n")[0].rstrip(".")
