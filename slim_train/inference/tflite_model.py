"""TFLite models of export, computed by TensorFlow's interpreter."""

from __future__ import annotations

import mmap
import threading
import warnings
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from datasets.storage import is_url
from deployment.threads import available_cpus
from slim_train.errors import UsageError
from slim_train.inference import export_info
from slim_train.inference.export_info import ExportInfo
from slim_train.inference.loaders import LoadedModel, load_pixel_model
from slim_train.inference.overrides import ModelOverrides
from slim_train.inference.tflite_check import check_offsets
from slim_train.tf_compat import native_chatter_hidden, tf

# Of what the file says of itself. The names of a million classes are shorter.
_MOST_INFO_BYTES = 1 << 26


class TfliteModel:
    """A model in an interpreter; threads may share one, which computes their batches one after the other.

    Attributes:
      takes_bytes: whether pixels are rounded to whole numbers, as int8.
    """

    def __init__(self, path: Path) -> None:
        """Load a file.

        Raises:
          UsageError: it is not a TFLite model with one input and one output.
        """
        try:
            content = _checked(path)
            with warnings.catch_warnings(), native_chatter_hidden():  # It tells which delegate it has created.
                warnings.filterwarnings("ignore", ".*tf.lite.Interpreter is deprecated", UserWarning)  # For LiteRT's.
                self._interpreter = tf.lite.Interpreter(**content, num_threads=available_cpus())
                self._interpreter.allocate_tensors()
        except Exception as error:  # Of damaged files, of many classes.
            reason = str(error).strip().partition("\n")[0].rstrip(".")
            raise UsageError(f"{path} is not a TFLite model that TensorFlow reads: {reason}.") from error
        inputs, outputs = self._interpreter.get_input_details(), self._interpreter.get_output_details()
        if len(inputs) != 1 or len(outputs) != 1:
            raise UsageError(f"{path} has {len(inputs)} inputs and {len(outputs)} outputs, and must have one of each.")
        (self._input,), (self._output,) = inputs, outputs
        self.takes_bytes = self._input["dtype"] != np.float32
        self._lock = threading.Lock()

    def score(self, pixels: Any) -> Any:
        """Return the probabilities, float32 [N, classes], of float32 [N, height, width, channels] in 0..255."""
        batch = _quantized(pixels, self._input)
        with self._lock:
            if list(self._interpreter.get_input_details()[0]["shape"]) != list(batch.shape):
                self._interpreter.resize_tensor_input(self._input["index"], batch.shape)
                with native_chatter_hidden():
                    self._interpreter.allocate_tensors()
            self._interpreter.set_tensor(self._input["index"], batch)
            self._interpreter.invoke()
            scores = self._interpreter.get_tensor(self._output["index"])
        return _real(scores, self._output)


def _checked(path: Path) -> dict[str, Any]:
    """Return what an interpreter takes to open a file, whose offsets have been checked."""
    if is_url(path):
        content = path.read_bytes()
        check_offsets(content)
        return {"model_content": content}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as pages:
        check_offsets(pages)
    return {"model_path": str(path)}


def _quantized(values: Any, tensor: dict[str, Any]) -> Any:
    """Return real numbers as a tensor takes them: as they are, or rounded to steps of its scale."""
    kind = np.dtype(tensor["dtype"])
    if kind == np.float32:
        return np.asarray(values, np.float32)
    scale, zero_point = tensor["quantization"]
    limits = np.iinfo(kind)
    return np.clip(np.rint(values / scale) + zero_point, limits.min, limits.max).astype(kind)


def _real(values: Any, tensor: dict[str, Any]) -> Any:
    """Return the real numbers that a tensor stands for, in float32."""
    if values.dtype == np.float32:
        return values
    scale, zero_point = tensor["quantization"]
    return ((values.astype(np.float32) - zero_point) * scale).astype(np.float32)


def append_info(path: Path, info: ExportInfo) -> None:
    """Add what a TFLite model says of itself to its file: as a zip at the end, which ``unzip`` opens.

    Readers of the model do not look behind it; TFLite's own metadata keep files in the same way.
    """
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(zipfile.ZipInfo(export_info.FILE), export_info.to_json(info))
        archive.writestr(zipfile.ZipInfo("labels.txt"), "".join(f"{label}\n" for label in info.labels))


def read_info(path: Path) -> ExportInfo | None:
    """Return what :func:`append_info` wrote, or None if the file is of another program.

    Raises:
      UsageError: it is broken.
    """
    try:
        with path.open("rb") as file, zipfile.ZipFile(file) as archive:
            entry = archive.getinfo(export_info.FILE)
            if entry.file_size > _MOST_INFO_BYTES:
                raise ValueError(f"{entry.filename} has {entry.file_size} bytes")
            return export_info.from_json(archive.read(entry).decode(), path)
    except (KeyError, zipfile.BadZipFile):
        return None
    except UsageError:
        raise
    except Exception as error:  # Damaged zips make zipfile and zlib raise errors of many classes.
        raise UsageError(f"{path} cannot be read: {error}.") from error


def load_tflite(path: Path, given: ModelOverrides) -> LoadedModel:
    """Return a TFLite model of export, of any precision.

    Raises:
      UsageError: the file is broken, or of another program.
    """
    model = TfliteModel(path)
    info = read_info(path)
    if info is None:
        raise UsageError(
            f"{path} does not say how images are prepared and which classes it knows: it is of another program, or of "
            "an older export. Export again with --formats=tflite."
        )
    return load_pixel_model(path, info, given, model.score)
