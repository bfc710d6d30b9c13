"""Evaluation: the metrics of a checkpoint over a split, every image counted exactly once."""

from __future__ import annotations

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

from datasets.factory import split_files
from datasets.foreign import RecordsAsTold
from datasets.record_files import check_apart
from datasets.spec import DatasetSpec
from datasets.storage import path_of
from deployment.devices import local_device_type
from slim_train.checkpoints import training_folder
from slim_train.checkpoints.best import BestCheckpoint
from slim_train.checkpoints.find import is_complete, newest_checkpoint, step_of
from slim_train.checkpoints.resolve import becomes_checkpoint, resolve_checkpoint
from slim_train.errors import RunError, UsageError
from slim_train.evaluation.following import Following
from slim_train.evaluation.metrics import ClassificationMetrics
from slim_train.evaluation.mistake_heat import MistakeHeat
from slim_train.evaluation.mistakes import Mistake
from slim_train.evaluation.options import EvalOptions
from slim_train.evaluation.report import EvaluationReport
from slim_train.evaluation.report_columns import ReportColumns, open_columns
from slim_train.evaluation.run_page import write_run_report
from slim_train.evaluation.writer import EvaluationWriter
from slim_train.inference.overrides import ModelOverrides
from slim_train.inference.trained_model import logits_identity, resolve_spec, training_folder_of
from slim_train.inference.variables import VariableRestorer
from slim_train.inputs import pipeline
from slim_train.inputs.data_set import check_server, open_split
from slim_train.interchange.converted import Facts, read_facts
from slim_train.model import precision
from slim_train.model.spec import ModelSpec, class_names
from slim_train.nets import factory as nets
from slim_train.progress import ProgressBar
from slim_train.tf_compat import tf

log = logging.getLogger(__name__)


class EvaluationInterrupted(Exception):
    """Who asked for an evaluation no longer wants it."""


class Evaluator:
    """The evaluation graph and session of one net over one split, built once for any number of checkpoints.

    Args:
      dataset: the split.
      model: the net.
      batch_size: images per step.
      use_averages: evaluate the moving averages of the variables, the variables, or, with None, the averages that a
        checkpoint holds.
      max_batches: number of batches to evaluate; None evaluates all images.
      num_preprocessing_threads: threads that decode; None lets TensorFlow choose.
      master: address of a TensorFlow server, or "" for this process.
      config: session options; None computes in float32.
      flip: average the probabilities of each image and of its mirror image.
      temperature: divides the logits; None leaves them as they are.
    """

    def __init__(
        self,
        dataset: DatasetSpec,
        model: ModelSpec,
        batch_size: int,
        use_averages: bool | None = None,
        max_batches: int | None = None,
        num_preprocessing_threads: int | None = None,
        master: str = "",
        config: Any = None,
        flip: bool = False,
        temperature: float | None = None,
    ) -> None:
        self.dataset, self.model, self.flip = dataset, model, flip
        self.use_averages = use_averages
        self._batch_size, self._max_batches = batch_size, max_batches
        self._graph = tf.Graph()
        with self._graph.as_default():
            with tf.device("/device:CPU:0"):
                batches = pipeline.evaluation_batches(
                    dataset,
                    batch_size=batch_size,
                    image_size=model.image_size,
                    channels=model.channels,
                    preprocessing=model.recipe,
                    num_classes=model.num_classes,
                    labels_offset=model.labels_offset,
                    num_preprocessing_threads=num_preprocessing_threads,
                )
                self._iterator = tf.data.make_initializable_iterator(batches)
                self._batch = dict(self._iterator.get_next())
            network_fn = nets.get_network_fn(model.net, num_classes=model.num_classes, is_training=False)
            if temperature is not None:
                network_fn = at_temperature(network_fn, temperature)
            if flip:
                self._logits = flip_averaged(network_fn, self._batch["image"])
            else:
                self._logits, _ = network_fn(self._batch["image"])
            self._restorer = VariableRestorer(model, use_averages)
        self._session = tf.Session(master, graph=self._graph, config=config or _session_config())
        self._heat: MistakeHeat | None = None

    def evaluate(
        self, checkpoint: str, visit: Any = None, is_interrupted: Callable[[], bool] = lambda: False
    ) -> ClassificationMetrics:
        """Restore ``checkpoint`` and count every image of the split once.

        Args:
          checkpoint: a prefix.
          visit: called with (batch of numpy arrays by name, logits [B, C]) for each batch, padding removed; the
            batch's ``encoded`` images come with it only when it is given.
          is_interrupted: asked before each batch.

        Raises:
          EvaluationInterrupted: see ``is_interrupted``.
          RunError: the checkpoint does not fit the net, or a record is broken.
        """
        self._restorer.restore(self._session, checkpoint)
        metrics = ClassificationMetrics(self.model.num_classes)
        for batch, logits in self._batches(with_images=visit is not None, is_interrupted=is_interrupted):
            metrics.update(batch["label"], logits)
            if visit is not None:
                visit(batch, logits)
        if self._max_batches is None and metrics.images != self.dataset.num_samples:
            raise RunError(
                f"The {self.dataset.split_name} split holds {metrics.images:,} images, and {self.dataset.dataset_dir}/"
                f"info.json says {self.dataset.num_samples:,}: records are missing. Convert the data again."
            )
        return metrics

    def explain(self, mistakes: Sequence[Mistake]) -> list[Mistake]:
        """Return mistakes of the last checkpoint that was evaluated, with where the net looked if it can be drawn."""
        try:
            if self._heat is None and mistakes:
                self._heat = MistakeHeat(self._session, self._batch["image"], self._logits, self.model)
            return self._heat.draw(mistakes) if self._heat else list(mistakes)
        except Exception as error:  # of a user's net or recipe, or out of memory: metrics do not need it
            log.debug("No heat:", exc_info=True)
            reason = str(error).splitlines()[0] if str(error) else ""
            log.warning("The report does not show where the net looks: %s: %s", type(error).__name__, reason)
            return list(mistakes)

    def close(self) -> None:
        """Release the session."""
        self._session.close()

    def __enter__(self) -> Evaluator:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _batches(self, with_images: bool, is_interrupted: Callable[[], bool]) -> Iterator[tuple[dict[str, Any], Any]]:
        names = ["label", "filename", "mask"] + (["encoded"] if with_images else [])
        fetches = ({name: self._batch[name] for name in names}, self._logits)
        self._session.run(self._iterator.initializer)
        total = self.dataset.num_samples
        if self._max_batches:
            total = min(total, self._max_batches * self._batch_size)
        done = count = 0
        with ProgressBar(f"evaluating {self.dataset.split_name}", total, "images") as bar:
            while self._max_batches is None or count < self._max_batches:
                if is_interrupted():
                    raise EvaluationInterrupted
                try:
                    batch, logits = self._session.run(fetches)
                except tf.errors.OutOfRangeError:
                    break
                except tf.errors.OpError as error:
                    explained = pipeline.explain_input_error(error, self.dataset)
                    raise (explained or error) from (None if explained else error.__cause__)
                real = batch.pop("mask").astype(bool)
                count, done = count + 1, done + int(real.sum())
                bar.update(done)
                yield {name: values[real] for name, values in batch.items()}, logits[real]


def at_temperature(network_fn: Callable[[Any], tuple[Any, Any]], temperature: float) -> Callable[[Any], Any]:
    """Return a net whose logits are divided by a temperature."""

    def divided(images: Any) -> tuple[Any, Any]:
        logits, end_points = network_fn(images)
        return logits / temperature, end_points

    return divided


def flip_averaged(network_fn: Any, images: Any) -> Any:
    """Logits whose softmax is the mean of what a net makes of images and of their mirror images, [B, C] float32.

    Args:
      network_fn: images -> (logits [B, C], end points).
      images: [B, H, W, channels].
    """
    logits, _ = network_fn(tf.concat([images, images[:, :, ::-1]], axis=0))
    log_probabilities = tf.split(tf.nn.log_softmax(tf.cast(logits, tf.float32)), 2)
    return tf.reduce_logsumexp(tf.stack(log_probabilities), axis=0) - math.log(2.0)


def run(options: EvalOptions) -> EvaluationReport:
    """Evaluate once, or follow a training run, and write the results.

    Returns:
      The report of the last checkpoint.

    Raises:
      RunError: there is no checkpoint to evaluate.
      UsageError: the data set or the net does not fit.
    """
    if options.keep_best and options.max_num_batches:
        raise UsageError(
            "--keep_best compares accuracies over the whole split, and --max_num_batches evaluates a part of it: "
            "leave one of them out."
        )
    folder = _folder(options)
    if options.eval_interval_secs:
        _check_is_no_checkpoint(folder)
        Following(folder, options.eval_interval_secs).wait_until_begun()
    first = _checkpoint(options)
    if first is None and not options.eval_interval_secs:
        raise RunError(f"There is no checkpoint in {options.checkpoint_path}.")
    eval_home = folder
    if first is not None and becomes_checkpoint(options.checkpoint_path):
        folder = training_folder_of(first)
    options = _with_training_options(options, folder)
    if options.dataset_dir is None:
        raise UsageError(f"--dataset_dir is missing: {folder} holds no config.yaml that would name the data.")
    split_name = options.dataset_split_name
    names, table = open_columns(options.report_by, options.report_columns)
    told = RecordsAsTold.of(options, trained_classes=training_folder.trained_labels(folder))
    dataset = open_split(
        options.dataset_name,
        split_name,
        options.dataset_dir,
        "dataset_split_name",
        told,
        options.dataset_file,
        options.record_cache,
    )
    check_server(options.master, dataset)
    _refuse_files_trained_on(dataset, folder)
    model, _ = resolve_spec(folder, _overrides(options, dataset), first)
    training_folder.check_labels(folder, dataset.labels)
    facts = read_facts(folder) or Facts()
    if facts.labels is not None:
        check_class_names(options.checkpoint_path, facts.labels, class_names(dataset.labels, model))
    eval_dir = path_of(options.eval_dir) if options.eval_dir else eval_home / f"eval_{dataset.split_name}"
    report = None
    with Evaluator(
        dataset,
        model,
        options.batch_size,
        None if options.moving_average_decay is None else options.moving_average_decay > 0,
        options.max_num_batches,
        options.num_preprocessing_threads,
        options.master,
        _config(options, model),
        flip=bool(options.eval_flip),
        temperature=facts.temperature,
    ) as evaluator:

        def evaluate(checkpoint: str) -> EvaluationReport:
            columns = ReportColumns(names, table)
            report = evaluate_to_folder(evaluator, checkpoint, eval_dir, options.mistakes, folder, columns)
            if options.keep_best:
                # Made again each time: training may keep the best as well.
                BestCheckpoint(folder, split_name).offer(checkpoint, report.headline(), report.step)
            return report

        if not options.eval_interval_secs:
            assert first is not None
            return evaluate(first)
        following = Following(path_of(options.checkpoint_path), options.eval_interval_secs)
        for checkpoint in following.checkpoints():
            with following.evaluating(checkpoint):
                try:
                    report = evaluate(checkpoint)
                except (tf.errors.OpError, RunError, FileNotFoundError):
                    if is_complete(checkpoint):
                        raise
                    log.warning("%s was deleted before it was evaluated: see --max_checkpoints_to_keep.", checkpoint)
    if report is None:
        raise RunError(f"The training in {folder} has ended without a checkpoint.")
    return report


def evaluate_to_folder(
    evaluator: Evaluator,
    checkpoint: str,
    eval_dir: Path,
    num_mistakes: int = 36,
    folder: Path | None = None,
    columns: ReportColumns | None = None,
) -> EvaluationReport:
    """Evaluate one checkpoint and write metrics, predictions and images to ``eval_dir``.

    If ``folder`` is the folder of a training, its report.html is written too. Accuracy is reported by ``columns``.

    Raises:
      UsageError: the folder cannot be written.
      RunError: the checkpoint does not fit the net, or a record is broken.
    """
    dataset = evaluator.dataset
    labels = class_names(dataset.labels, evaluator.model)
    try:
        eval_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--eval_dir: cannot write to {eval_dir}: {error.strerror}.") from error
    began = time.monotonic()
    # First: a training that is followed may delete it meanwhile.
    step, evaluated = step_of(checkpoint), logits_identity(evaluator.model, checkpoint, evaluator.use_averages)
    with EvaluationWriter(eval_dir, dataset.split_name, labels, num_mistakes, columns) as writer:
        metrics = evaluator.evaluate(checkpoint, writer.visit)
        seconds = time.monotonic() - began
        report = writer.finish(metrics, checkpoint, step, seconds, flip=evaluator.flip, evaluated=evaluated)
        mistakes = writer.mistakes
    if folder is None or not (folder / training_folder.CONFIG).is_file():
        return report
    page = write_run_report(folder, report, evaluator.explain(mistakes))
    return dataclasses.replace(report, files=report.files | {"report": page}) if page else report


def check_class_names(path: str, named: Sequence[str], wanted: Sequence[str]) -> None:
    """Check that a model file names the classes of a data set, in the same order.

    Args:
      path: of the file, for the error.
      named: by the file, one for each score.
      wanted: by the data set, one for each score.

    Raises:
      UsageError: they differ; the message says which first.
    """
    if all(name.isdecimal() for name in named):
        return  # They had no names yet.
    if differing := training_folder.first_difference(named, wanted):
        number, ours, theirs = differing
        raise UsageError(
            f"{path} knows other classes than the data set: class {number} is {ours!r} in the file and {theirs!r} in "
            "the data set. Evaluate it on the data that it was trained on."
        )


def _overrides(options: EvalOptions, dataset: DatasetSpec) -> ModelOverrides:
    """Return what the flags, and for a checkpoint from elsewhere the data set, know better than the folder."""
    return ModelOverrides(
        input_height=options.eval_image_size,
        input_width=options.eval_image_size,
        model_name=options.model_name,
        preprocessing_name=options.preprocessing_name,
        scaled_decoding=options.scaled_decoding,
        channels=options.eval_image_channels,
        num_classes=options.num_classes,
        labels_offset=options.labels_offset,
        labels_folder=dataset.dataset_dir,
        code=options.code,
    )


def _refuse_files_trained_on(dataset: DatasetSpec, folder: Path) -> None:
    """Refuse another split than the one trained on if a file of it was trained on."""
    trained = training_folder.read_options(folder)
    data = trained.data if trained else None
    if data is None or not data.dataset_dir or data.dataset_split_name == dataset.split_name:
        return
    files = split_files(data.dataset_name, data.dataset_split_name, data.dataset_dir, RecordsAsTold.of(data))
    check_apart(dataset.split_name, dataset.files, data.dataset_split_name, files)


def _folder(options: EvalOptions) -> Path:
    """Return the training folder; one that is followed may not be there yet."""
    path = path_of(options.checkpoint_path)
    return path if options.eval_interval_secs and not path.is_dir() else training_folder_of(path)


def _check_is_no_checkpoint(folder: Path) -> None:
    if folder.is_file() or (not folder.is_dir() and is_complete(str(folder))):
        raise UsageError(
            f"--eval_interval_secs follows a training folder, and --checkpoint_path={folder} is a single checkpoint."
        )


def _with_training_options(options: EvalOptions, folder: Path) -> EvalOptions:
    """Return the options with what was not given taken from the training folder's config.yaml."""
    channels = 1 if options.use_grayscale else options.eval_image_channels
    options = dataclasses.replace(options, eval_image_channels=channels)
    trained = training_folder.read_options(folder)
    if trained is None:
        return options
    defaults = {
        "dataset_dir": trained.data.dataset_dir,
        "file_pattern": trained.data.file_pattern if "%s" in (trained.data.file_pattern or "") else None,
        "image_key": trained.data.image_key,
        "label_key": trained.data.label_key,
        "text_key": trained.data.text_key,
        "labels_offset": trained.data.labels_offset,
        "num_classes": trained.data.num_classes,
        "model_name": trained.model.model_name,
        "preprocessing_name": trained.model.preprocessing_name,
        "eval_image_size": trained.model.train_image_size,
        "eval_image_channels": trained.model.train_image_channels,
        "moving_average_decay": trained.optimizer.moving_average_decay,
        "eval_flip": trained.validation.eval_flip,
    }
    given = {name: getattr(options, name) for name in defaults if getattr(options, name) is not None}
    return dataclasses.replace(options, **(defaults | given))


def _session_config() -> Any:
    return tf.ConfigProto(allow_soft_placement=True)


def _config(options: EvalOptions, model: ModelSpec) -> Any:
    """Session options in the precision that is asked for; auto tries batches of noise."""
    if options.compute.precision == "auto" and options.master:
        raise UsageError("--precision=auto measures this machine, and --master names another: name the precision.")

    def logits() -> Any:
        batch = pipeline.synthetic_batches(
            batch_size=options.batch_size,
            image_size=model.image_size,
            channels=model.channels,
            num_classes=model.num_classes,
        )
        next_batch = pipeline.batch_source(batch, num_clones=1)
        return nets.get_network_fn(model.net, num_classes=model.num_classes)(next_batch()["image"])[0]

    def measure(precisions: Sequence[str]) -> dict[str, float]:
        return precision.measure_rates(logits, options.batch_size, _session_config(), precisions)

    chosen = precision.resolve(options.compute, local_device_type(), _session_config(), measure)
    return precision.session_config(_session_config(), chosen, options.compute.xla, options.master)


def _checkpoint(options: EvalOptions) -> str | None:
    path = path_of(options.checkpoint_path)
    if path.is_dir() or options.eval_interval_secs:
        return newest_checkpoint(path)
    if not path.parent.is_dir():
        raise RunError(f"There is no checkpoint at {path}: no such folder.")
    return resolve_checkpoint(options.checkpoint_path)
