"""Export: a checkpoint as files of other formats, none of which is left unchecked."""

from __future__ import annotations

import dataclasses
import functools
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datasets.spec import INFO_FILE, read_info
from datasets.storage import copy_folder, is_url, path_of, remove_folder
from slim_train.checkpoints import training_folder
from slim_train.errors import RunError, UsageError
from slim_train.exporting import check, formats, onnx_format, quantization, torch_format
from slim_train.exporting.architecture import write_architecture
from slim_train.exporting.calibrate import calibrated
from slim_train.exporting.check import Difference, Reference
from slim_train.exporting.keras_file import write_keras
from slim_train.exporting.options import CheckOptions, ExportOptions, SourceOptions
from slim_train.exporting.quantization import Accuracy, Quantization, read_image
from slim_train.inference.export_info import ExportInfo
from slim_train.inference.image_files import find_images
from slim_train.inference.label_files import read_class_names, write_class_names
from slim_train.inference.overrides import ModelOverrides
from slim_train.inference.predictor import newest_saved_model
from slim_train.inference.trained_model import TrainedModel, find_trained_model
from slim_train.reports import html
from slim_train.tf_compat import tf
from slim_train.training_options import TrustedCodeOptions

log = logging.getLogger(__name__)

RESULT = "export.json"
# Servers take a folder for a SavedModel when it holds this file.
_MAKES_A_SAVED_MODEL = "saved_model.pb"
_DEFAULT_NET = "inception_v3"
# The largest difference of a probability that rounding explains, by where the rounding is: sums in another order, or
# weights in 16 bits. Weights in 8 bits may do anything, which is shown and not judged.
_TOLERANCE = {"float32": 1e-3, "float16": 0.1, "bfloat16": 0.2}
# Keras and timm compute what the checkpoint does, and promise more.
_LAYERS_TOLERANCE = 1e-4
# That weights are stored in. Computed is in float32 anyway, which is thus the quickest to load and run.
_DTYPES = {"auto": tf.float32, "fp32": tf.float32, "fp16": tf.float16, "bf16": tf.bfloat16}


@dataclasses.dataclass(frozen=True)
class ExportedFile:
    """One result.

    Attributes:
      format: such as ``tflite float16``.
      path: relative to the export folder.
      bytes: of the file, or of all files in the folder.
      difference: from the checkpoint's answers; None if nothing was compared.
      accuracy: on a split, beside the checkpoint's; None if it was not measured.
    """

    format: str
    path: str
    bytes: int
    difference: Difference | None
    accuracy: Accuracy | None = None


@dataclasses.dataclass(frozen=True)
class ExportReport:
    """What was exported.

    Attributes:
      folder: the export folder.
      checkpoint: name of the checkpoint; None for the graph of a net alone.
      step: its global step.
      files: what was written.
    """

    folder: Path
    checkpoint: str | None
    step: int
    files: tuple[ExportedFile, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the report as export.json holds it."""
        return {
            "checkpoint": self.checkpoint,
            "step": self.step,
            "files": [dataclasses.asdict(file) for file in self.files],
        }

    def _repr_html_(self) -> str:
        rows = [
            (
                file.format,
                file.path,
                file.bytes,
                f"{file.difference.largest:.1e}" if file.difference else "not compared",
            )
            for file in self.files
        ]
        headings = ["format", "file", "bytes", "largest difference"]
        return html.report(f"Export of step {self.step:,}", str(self.folder), html.table(headings, rows))


def run(options: ExportOptions) -> ExportReport:
    """Write and check what is asked for; nothing appears in the export folder before its check.

    Raises:
      UsageError: flags contradict each other, or the checkpoint's net or classes are not known.
      RunError: a file does not answer as the checkpoint does.
    """
    if options.source.checkpoint_path is None:
        if options.result.calibrate:
            raise UsageError("--calibrate requires --checkpoint_path: a graph without weights has no temperature.")
        return _write_graph_alone(options)
    _refuse_graph_flags(options)
    if "onnx" in options.result.wanted_formats():
        onnx_format.require_converter()
    trained = _trained_model(options.source, options.code)
    if options.result.calibrate:
        trained = calibrated(trained)
    if "torch" in options.result.wanted_formats():
        torch_format.describe(trained)
    quantized = quantization.prepare(trained, options)
    folder, info = _destination(options, trained), trained.info()
    averages = ", moving averages" if trained.takes_averages() else ""
    log.info("Exporting %s of %s, %d classes%s.", info.model_name, trained.checkpoint, len(info.labels), averages)
    images = _check_images(options, trained)
    reference = Reference(trained, images) if images else None
    with _staging(folder) as staging:
        files = tuple(_write(job, staging, reference) for job in _jobs(options, trained, info, quantized))
        report = ExportReport(folder, info.checkpoint, info.step, files)
        if options.result.output_file is None:
            write_class_names(staging / "labels.txt", info.labels)
            training_folder.write_json(staging / RESULT, report.to_dict())
        _publish(staging, folder)
    _log_result(files, folder)
    _warn_of_another_version(folder, _version(info))
    return report


def _write_graph_alone(options: ExportOptions) -> ExportReport:
    if options.result.output_file is None:
        raise UsageError(
            "--train_dir is missing: the training folder, or the checkpoint, to export. --output_file without one "
            "writes the graph of --model_name alone."
        )
    path = path_of(options.result.output_file)
    try:
        write_architecture(path, options.source, options.graph, options.code)
    except OSError as error:
        raise UsageError(f"--output_file: cannot write {path}: {error.strerror}.") from error
    log.info("Wrote the graph of %s without weights to %s.", options.source.model_name or _DEFAULT_NET, path)
    written = ExportedFile("graph without weights", path.name, path.stat().st_size, None)
    return ExportReport(path.absolute().parent, None, 0, (written,))


def _refuse_graph_flags(options: ExportOptions) -> None:
    graph = options.graph
    if graph.is_training:
        raise UsageError(
            "--is_training applies only to a graph without weights: remove --checkpoint_path, or --is_training."
        )
    if graph.write_text_graphdef:
        raise UsageError(
            "--write_text_graphdef applies only to a graph without weights: as text, weights take gigabytes."
        )
    if graph.batch_size:
        raise UsageError(
            "--batch_size applies only to a graph without weights: an exported checkpoint takes any batch size."
        )


def _trained_model(source: SourceOptions, code: TrustedCodeOptions) -> TrainedModel:
    assert source.checkpoint_path is not None
    decay = source.moving_average_decay
    trained = find_trained_model(
        source.checkpoint_path,
        ModelOverrides(
            labels=read_class_names(source.labels) if source.labels else None,
            input_height=source.image_size,
            input_width=source.image_size,
            model_name=source.model_name,
            preprocessing_name=source.preprocessing_name,
            scaled_decoding=source.scaled_decoding,
            channels=1 if source.use_grayscale else None,
            num_classes=source.num_classes,
            labels_offset=source.labels_offset,
            labels_folder=source.dataset_dir,
            use_averages=None if decay is None else decay > 0,
            code=code,
        ),
    )
    if source.dataset_dir and (path_of(source.dataset_dir) / INFO_FILE).is_file():
        training_folder.check_labels(trained.folder, read_info(source.dataset_dir).labels)
    return trained


def _check_images(options: ExportOptions, trained: TrainedModel) -> list[bytes]:
    """Images to compare answers on, as JPEG or PNG."""
    wanted: CheckOptions = options.check
    if wanted.num_check_images == 0:
        log.warning("--num_check_images=0: what is written is not compared with the checkpoint.")
        return []
    if wanted.check_images:
        return [
            read_image("check_images", path)
            for path in find_images("check_images", wanted.check_images)[: wanted.num_check_images]
        ]
    trained_on = training_folder.read_options(trained.folder)
    dataset_dir = options.source.dataset_dir or (trained_on.data.dataset_dir if trained_on else None)
    found = check.images_of_data_set(options.source.dataset_name, dataset_dir, wanted.num_check_images)
    if not found:
        log.info("Comparing answers on made images; --check_images takes real ones.")
    return found or check.made_images(wanted.num_check_images)


@dataclasses.dataclass(frozen=True)
class _Output:
    """A file to write: where, how, how to ask it, and the largest difference it may show (None: any).

    The last is for formats that may lose accuracy: it measures the file's, or returns None.
    """

    format: str
    path: str
    write: Callable[[Path], None]
    check: Callable[[Reference, Path], Difference | None]
    tolerance: float | None
    measure: Callable[[Path], Accuracy | None] = lambda path: None


def _jobs(
    options: ExportOptions, trained: TrainedModel, info: ExportInfo, quantized: Quantization | None
) -> Iterator[_Output]:
    """Yield what the options ask for."""
    plain = trained.freeze()
    formats.refuse_python(plain, f"{info.model_name} with preprocessing {info.preprocessing}")
    dtype = _DTYPES[options.result.precision]
    graph_def = plain if dtype == tf.float32 else formats.with_16_bit_constants(plain, dtype)
    tolerance = _TOLERANCE[dtype.name]
    wanted = options.result.wanted_formats()
    if "saved_model" in wanted:
        yield _Output(
            "SavedModel",
            f"saved_model/{_version(info)}",
            lambda path: formats.write_saved_model(path, trained, graph_def, info),
            Reference.check_saved_model,
            tolerance,
        )
    if "frozen" in wanted:
        name = Path(options.result.output_file or "model.pb").name
        write = functools.partial(formats.write_frozen, graph_def=graph_def, info=info)
        yield _Output("frozen graph", name, write, Reference.check_frozen, tolerance)
    if quantized:
        kind = formats.INT8_FULL
        write = functools.partial(
            formats.write_tflite, graph_def=plain, kind=kind, info=info, representative=quantized.pixels()
        )
        path = f"model_{kind}.tflite"
        yield _Output(f"TFLite {kind}", path, write, Reference.check_tflite, None, quantized.measure)
    if "keras" in wanted:
        write = functools.partial(write_keras, trained=trained, info=info)
        yield _Output("Keras model", "model.keras", write, Reference.check_keras, _LAYERS_TOLERANCE)
    if "tflite" in wanted:
        for kind in formats.TFLITE_KINDS:
            write = functools.partial(formats.write_tflite, graph_def=plain, kind=kind, info=info)
            yield _Output(f"TFLite {kind}", f"model_{kind}.tflite", write, Reference.check_tflite, _TOLERANCE.get(kind))
    if "onnx" in wanted:
        write = functools.partial(onnx_format.write_onnx, trained=trained, graph_def=plain, info=info)
        yield _Output("ONNX model", "model.onnx", write, Reference.check_onnx, _TOLERANCE["float32"])
    if "torch" in wanted:
        write = functools.partial(torch_format.write_torch, trained=trained)
        yield _Output("PyTorch weights", torch_format.FILE, write, Reference.check_torch, _LAYERS_TOLERANCE)


def _write(job: _Output, staging: Path, reference: Reference | None) -> ExportedFile:
    """Write one file and compare its answers.

    Raises:
      RunError: they differ by more than rounding explains, or accuracy is lost.
    """
    path = staging / job.path
    path.parent.mkdir(exist_ok=True)
    log.info("Writing the %s.", job.format)
    job.write(path)
    difference = job.check(reference, path) if reference else None
    if difference and job.tolerance is not None and not difference.largest <= job.tolerance:
        raise RunError(
            f"The {job.format} does not match the checkpoint: probabilities differ by up to {difference.largest:.3g} "
            f"(tolerance {job.tolerance:g}). Nothing was exported."
        )
    accuracy = job.measure(path)
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return ExportedFile(job.format, job.path, sum(file.stat().st_size for file in files), difference, accuracy)


def _destination(options: ExportOptions, trained: TrainedModel) -> Path:
    result = options.result
    if result.output_file and result.export_dir:
        raise UsageError("Give --export_dir, where the frozen graph is called model.pb, or --output_file, not both.")
    if result.output_file and Path(result.output_file).suffix == ".json":
        raise UsageError(f"--output_file={result.output_file}: the frozen graph has a .json beside it; call it .pb.")
    if result.output_file:
        return path_of(result.output_file).absolute().parent
    return path_of(result.export_dir) if result.export_dir else trained.folder / "export"


@contextmanager
def _staging(folder: Path) -> Iterator[Path]:
    """A folder in ``folder`` that is removed at the end, whatever happens; on this machine if that is a URL."""
    if is_url(folder):
        with tempfile.TemporaryDirectory(prefix="slim-train-") as here:
            yield Path(here)
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=".export-", dir=folder))
    except OSError as error:
        raise UsageError(f"Cannot write to {folder}: {error.strerror}.") from error
    try:
        yield staging
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _publish(staging: Path, folder: Path) -> None:
    """Move what is in ``staging`` to ``folder``, each file and each version of the SavedModel at once.

    Raises:
      UsageError: a folder that is no SavedModel is in the way.
    """
    if is_url(folder):
        _upload(staging, folder)
        return
    sources = [*staging.glob("saved_model/*"), *(file for file in staging.iterdir() if file.is_file())]
    targets = [folder / source.relative_to(staging) for source in sources]
    for source, target in zip(sources, targets, strict=True):
        if target.is_dir() and (source.is_file() or not (target / _MAKES_A_SAVED_MODEL).is_file()):
            raise UsageError(f"{target} is not a SavedModel: move it, or use another --export_dir.")
    for source, target in zip(sources, targets, strict=True):
        target.parent.mkdir(exist_ok=True)
        if target.is_dir():
            # A folder cannot be replaced in one step. The old version goes first, under a name that is no version.
            target.rename(staging / f"old-{target.name}")
        source.replace(target)


def _upload(staging: Path, folder: Path) -> None:
    """Copy what is in ``staging`` to a URL; a version of the SavedModel is one from its last file on.

    Raises:
      UsageError: the store cannot be written, or a folder that is no SavedModel is in the way.
    """
    try:
        for version in staging.glob("saved_model/*"):
            target = folder / version.relative_to(staging).as_posix()
            if not _may_be_replaced(target, version):
                raise UsageError(f"{target} is not a SavedModel: move it, or use another --export_dir.")
            remove_folder(target)
        copy_folder(staging, folder, last=_MAKES_A_SAVED_MODEL)
    except OSError as error:
        raise UsageError(f"Cannot write to {folder}: {error.strerror}.") from error


def _may_be_replaced(target: Path, version: Path) -> bool:
    """Return whether what is at a URL is missing, a SavedModel, or a part of one from an interrupted upload."""
    if (target / _MAKES_A_SAVED_MODEL).is_file() or not target.is_dir():
        return True
    names = {path.name for path in version.iterdir()}
    return all(path.name in names for path in target.iterdir())


def _version(info: ExportInfo) -> int:
    """Of the SavedModel: TensorFlow Serving takes the highest number below the folder that it is given."""
    return max(info.step, 1)


def _warn_of_another_version(folder: Path, version: int) -> None:
    newest = newest_saved_model(folder)
    if newest and newest.name.isdecimal() and int(newest.name) != version:
        log.warning(
            "%s is there too, and servers and label_image take it, not what was exported now (%d): remove it, or "
            "export to another --export_dir.",
            newest, version,
        )  # fmt: skip


def _log_result(files: Sequence[ExportedFile], folder: Path) -> None:
    log.info("Exported to %s:", folder)
    for file in files:
        compared = "not compared"
        if file.difference:
            compared = (
                f"probabilities differ by {file.difference.largest:.1e} at most, same class for "
                f"{file.difference.same_best} of {file.difference.pictures} images"
            )
        if file.accuracy:
            compared += f"; {file.accuracy}"
        log.info("  %-16s  %-22s %7.1f MB  %s", file.format, file.path, file.bytes / 1e6, compared)
