"""A trained net as found on disk: which net, which classes, which checkpoint; and its graph for inference."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets.spec import INFO_FILE, LABELS_FILE, DatasetSpec, read_info
from datasets.storage import path_of
from slim_train.checkpoints import copies, training_folder
from slim_train.checkpoints.contents import AVERAGE
from slim_train.checkpoints.find import step_of
from slim_train.checkpoints.resolve import resolve_checkpoint
from slim_train.errors import UsageError
from slim_train.inference.export_info import ExportInfo
from slim_train.inference.label_files import read_class_names
from slim_train.inference.overrides import ModelOverrides
from slim_train.inference.variables import VariableRestorer
from slim_train.interchange.converted import Facts, read_facts
from slim_train.interchange.stored_layers import difference_from
from slim_train.model.batch_norm_folding import fold_batch_norm
from slim_train.model.spec import ModelSpec, class_names, resolve_model
from slim_train.nets import factory as nets
from slim_train.tf_compat import tf
from slim_train.training_options import TrainOptions
from slim_train.user_code.copies import code_to_run, warn_of_changes
from slim_train.user_code.load import load_net, load_recipe
from slim_train.zoo.identify import identify

log = logging.getLogger(__name__)

# Names of nodes.
PIXELS, INPUT, SCORES = "pixels", "input", "scores"
# Of graphs whose preprocessing is a user's, and could not be built again from a name.
ENCODED, DECODED = "encoded", "decoded"
_PREDICTIONS = "/Predictions/Reshape_1"


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A net, its classes and its variables.

    Attributes:
      spec: the net.
      labels: a name for each score.
      checkpoint: prefix of the checkpoint.
      folder: the training folder; of a checkpoint from elsewhere, the one that it lies in.
      use_averages: take the moving averages of the variables: True, False, or None for those that the checkpoint holds.
      temperature: divides the logits before the probabilities; None leaves them as they are.
    """

    spec: ModelSpec
    labels: tuple[str, ...]
    checkpoint: str
    folder: Path
    use_averages: bool | None = None
    temperature: float | None = None

    def info(self) -> ExportInfo:
        """Return what the graph of :meth:`build` does not say itself."""
        return ExportInfo(
            model_name=self.spec.name,
            labels=self.labels,
            image_size=(self.spec.image_size, self.spec.image_size),
            channels=self.spec.channels,
            preprocessing=self.spec.preprocessing,
            scaled_decoding=self.spec.recipe.scaled_decoding,
            step=step_of(self.checkpoint),
            checkpoint=path_of(self.checkpoint).name,
            temperature=self.temperature,
        )

    def takes_averages(self) -> bool:
        """Return whether moving averages are taken, for the log."""
        names = copies.shapes(self.checkpoint)
        return self.use_averages is not False and any(name.endswith(f"/{AVERAGE}") for name in names)

    def decode(self, encoded: Any) -> Any:
        """An image as evaluation sees it: bytes, string scalar, to float32 [height, width, channels] in 0..255."""
        size = self.spec.image_size
        return self.spec.recipe.decode_eval(encoded, size, size, self.spec.channels)

    def build(self) -> tuple[Any, Any]:
        """Add the net to the current graph, from decoded images to probabilities.

        The node ``pixels`` takes float32 [N, height, width, channels] in 0..255; ``input``, what preprocessing makes of
        them, may be fed instead; ``scores`` are the probabilities, float32 [N, classes].

        Preprocessing of a user does all at once. Then ``pixels`` takes its result, and the node ``decoded`` makes that
        of the bytes in ``encoded``.

        Returns:
          pixels and scores.
        """
        pixels, logits = self.build_logits()
        if self.temperature is not None:
            logits = logits / self.temperature
        return pixels, tf.nn.softmax(logits, name=SCORES)

    def build_logits(self) -> tuple[Any, Any]:
        """Add the net to the current graph without probabilities: pixels and logits, as :meth:`build` has them."""
        size = self.spec.image_size
        if not self.spec.recipe.gives_pixels:
            tf.identity(self.decode(tf.placeholder(tf.string, [], name=ENCODED)), name=DECODED)
        pixels = tf.placeholder(tf.float32, [None, size, size, self.spec.channels], name=PIXELS)
        inputs = tf.identity(self.spec.recipe.eval_batch(pixels), name=INPUT)
        network_fn = nets.get_network_fn(self.spec.net, self.spec.num_classes, is_training=False)
        logits, _ = network_fn(inputs)
        return pixels, logits

    def freeze(self) -> Any:
        """Return the graph of :meth:`build` with the trained values as constants, batch norm folded: a GraphDef.

        Raises:
          RunError: the checkpoint does not fit the net.
        """
        with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
            self.build()
            self.restore(session)
            # research/slim's name for the probabilities, where the net makes them itself, is kept for old programs.
            names = [node.name for node in graph.get_operations()]
            outputs = [SCORES, *(name for name in names if name == DECODED or name.endswith(_PREDICTIONS))]
            frozen = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), outputs)
        return fold_batch_norm(frozen, *outputs)

    def restore(self, session: Any) -> None:
        """Give the net's variables in the current graph their trained values.

        Raises:
          RunError: the checkpoint does not fit.
        """
        VariableRestorer(self.spec, self.use_averages).restore(session, self.checkpoint)


def logits_identity(spec: ModelSpec, checkpoint: str, use_averages: bool | None) -> dict[str, Any]:
    """Return all that the logits of an image depend on, as JSON can hold it.

    Args:
      spec: the net.
      checkpoint: prefix of the checkpoint.
      use_averages: as in :class:`TrainedModel`.
    """
    # The index holds a checksum of each variable. Checkpoints of TensorFlow 1's first format are one file.
    index = next((file for file in (path_of(f"{checkpoint}.index"), path_of(checkpoint)) if file.is_file()), None)
    digest = hashlib.sha256(index.read_bytes()).hexdigest() if index else None
    return {"model": spec.identity(), "checkpoint_digest": digest, "use_averages": use_averages is not False}


def training_folder_of(checkpoint_or_folder: str | Path) -> Path:
    """Return the training folder that a checkpoint, or a folder of checkpoints, belongs to: above ``best/``."""
    path = path_of(checkpoint_or_folder)
    folder = path if path.is_dir() else path.parent
    is_best = folder.name == training_folder.BEST and not (folder / training_folder.CONFIG).exists()
    return folder.parent if is_best else folder


def find_trained_model(
    path: str | Path, given: ModelOverrides | None = None, *, labels_only: bool = False
) -> TrainedModel:
    """Return what a training folder or a checkpoint holds.

    Args:
      path: a training folder, whose newest checkpoint is taken, or a checkpoint.
      given: what overrides the folder.
      labels_only: the command has --labels, but neither --num_classes nor --labels_offset.

    Raises:
      UsageError: there is no checkpoint, its net is neither named nor known, or the classes are not known.
    """
    given = given or ModelOverrides()
    checkpoint = resolve_checkpoint(str(path))
    folder = training_folder_of(checkpoint)
    spec, labels = resolve_spec(folder, given, checkpoint, labels_only=labels_only)
    facts = read_facts(folder) or Facts()
    return TrainedModel(spec, labels, checkpoint, folder, given.use_averages, facts.temperature)


def resolve_spec(
    folder: Path, given: ModelOverrides, checkpoint: str | None = None, *, labels_only: bool = False
) -> tuple[ModelSpec, tuple[str, ...]]:
    """Return the net that was trained in a folder and a name for each score.

    Args:
      folder: the training folder, or that of a checkpoint from elsewhere.
      given: what overrides the folder.
      checkpoint: shows which net it is, if neither the folder nor ``given`` names it.
      labels_only: as for :func:`find_trained_model`.

    Raises:
      UsageError: the net is neither named nor known, or the classes are not known.
    """
    facts = read_facts(folder)
    given = _with_facts(given, facts)
    is_known = (folder / training_folder.CONFIG).is_file()
    is_identified = not is_known and given.model_name is None
    if is_identified:
        given = _identified(folder, checkpoint, given)
    size = given.image_size()
    trained = training_folder.read_options(folder) or TrainOptions()
    model_name = given.model_name or trained.model.model_name
    # Names that are given are one for each score, whatever the data set calls its classes.
    offset = given.labels_offset if given.labels_offset is not None else trained.data.labels_offset
    offset = 0 if given.labels is not None else offset
    num_labels = len(given.labels) if labels_only and given.labels else None
    num_classes = given.num_classes or num_labels or trained.data.num_classes
    folders = [folder, path_of(given.labels_folder or folder)]
    names = given.labels if given.labels is not None else _labels_of(folders, num_classes, offset)
    if is_identified and given.labels_offset is None:
        has_labels = labels_only or given.labels is not None
        _check_background(checkpoint, num_classes, len(names), has_labels, labels_only)
    channels = given.channels or trained.model.train_image_channels
    size = size or trained.model.train_image_size
    code = code_to_run(
        folder,
        given.code,
        trained.code,
        net=model_name == trained.model.model_name,
        recipe=given.preprocessing_name is None,
    )
    if given.preprocessing_name and given.code.preprocessing_file:
        raise UsageError("--preprocessing_file and --preprocessing_name cannot be combined.")
    recipe = None if given.preprocessing_name else load_recipe(code, size, channels)
    spec = resolve_model(
        load_net(code, model_name, size, channels) or model_name,
        DatasetSpec("", "", str(folder), (), len(names), 0, names),
        num_classes=num_classes,
        labels_offset=offset,
        image_size=size,
        channels=channels,
        preprocessing=recipe or given.preprocessing_name or trained.model.preprocessing_name,
        scaled_decoding=given.scaled_decoding or trained.model.scaled_decoding,
    )
    warn_of_changes(folder, spec.net, spec.recipe)
    if facts is not None:
        _check_layers(folder, facts, spec)
    return spec, tuple(class_names(names, spec))


def _with_facts(given: ModelOverrides, facts: Facts | None) -> ModelOverrides:
    """Return ``given`` with what a file of another framework says where ``given`` says nothing."""
    if facts is None:
        return given
    recipe = None if given.code.preprocessing_file else facts.preprocessing
    size = facts.image_size if given.input_height is None and given.input_width is None else None
    decoding = {True: "auto", False: "never", None: None}[facts.scaled_decoding]
    return dataclasses.replace(
        given,
        model_name=given.model_name or facts.model_name,
        preprocessing_name=given.preprocessing_name or recipe,
        input_height=given.input_height or size,
        input_width=given.input_width or size,
        channels=given.channels or facts.channels,
        labels=given.labels if given.labels is not None else facts.labels,
        num_classes=given.num_classes or (facts.num_classes if given.labels is None else None),
        scaled_decoding=given.scaled_decoding or decoding,
    )


def _check_layers(folder: Path, facts: Facts, spec: ModelSpec) -> None:
    """Check that the file that became the checkpoint in ``folder`` computes what the net does, if it has layers."""
    spec = dataclasses.replace(spec, image_size=facts.image_size or spec.image_size)
    with tf.Graph().as_default():
        pixels, scores = TrainedModel(spec, (), "", folder, temperature=facts.temperature).build()
        difference = difference_from(folder, pixels, scores)
    if difference:
        raise UsageError(
            f"{folder.name.rpartition('-')[0]}.keras does not compute the same as {spec.name} with preprocessing "
            f"{spec.preprocessing}: {difference}. It can only be used in Keras, or as --checkpoint_path of a training."
        )


def _identified(folder: Path, checkpoint: str | None, given: ModelOverrides) -> ModelOverrides:
    """Return ``given`` with what the variables of a checkpoint say about its net."""
    if checkpoint is None or given.code.model_file or given.code.model_module:
        raise UsageError(f"{folder} has no config.yaml that would name the net: give --model_name.")
    match = identify(checkpoint)
    if given.num_classes not in (None, match.num_classes):
        raise UsageError(f"--num_classes={given.num_classes}: {checkpoint} has {match.num_classes} classes.")
    recipe = given.preprocessing_name or (None if given.code.preprocessing_file else match.preprocessing)
    size = match.image_size if given.input_height is None and given.input_width is None else None
    log.info(
        "%s is %s with %d classes; preprocessing: %s.",
        checkpoint,
        match.record.name,
        match.num_classes,
        recipe or given.code.preprocessing_file,
    )
    return dataclasses.replace(
        given,
        model_name=match.record.name,
        num_classes=match.num_classes,
        preprocessing_name=recipe,
        input_height=given.input_height or size,
        input_width=given.input_width or size,
    )


def _check_background(
    checkpoint: str | None, num_classes: int | None, num_names: int, has_labels: bool, labels_only: bool
) -> None:
    """Refuse names that would all be one off: of ImageNet, some nets have a class 0 for background and some do not."""
    offset = num_names - (num_classes or num_names)
    if abs(offset) == 1:
        cure = "--labels must have a line for each" if has_labels else f"give --labels_offset={offset}"
        keep = "" if labels_only else " --labels_offset=0 keeps the names as they are."
        raise UsageError(
            f"{checkpoint} has {num_classes} classes, and {num_names} are named. If the difference is a class 0 for "
            f"background, {cure}.{keep}"
        )


def _labels_of(folders: Sequence[Path], num_classes: int | None, labels_offset: int) -> tuple[str, ...]:
    """Return the class names of the data set, without a background class, from the first folder that has them."""
    for folder in folders:
        if (folder / INFO_FILE).is_file():
            return read_info(folder).labels
        if (folder / LABELS_FILE).is_file():
            return read_class_names(folder / LABELS_FILE)
    if num_classes is None:
        raise UsageError(f"{folders[0]} has no labels.txt that names the classes: give --labels or --num_classes.")
    return tuple(str(label) for label in range(num_classes + labels_offset))
