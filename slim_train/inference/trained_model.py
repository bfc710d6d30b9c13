"""A trained net as found on disk: which net, which classes, which checkpoint; and its graph for inference."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets.spec import INFO_FILE, LABELS_FILE, DatasetSpec, read_info
from slim_train.checkpoints import training_folder
from slim_train.checkpoints.find import resolve_checkpoint, step_of
from slim_train.checkpoints.training_folder import BEST
from slim_train.errors import RunError, UsageError
from slim_train.inference.export_info import ExportInfo
from slim_train.inference.label_files import read_class_names
from slim_train.model.batch_norm_folding import fold_batch_norm
from slim_train.model.spec import ModelSpec, class_names, resolve_model
from slim_train.nets import factory as nets
from slim_train.preprocessing.factory import get_recipe
from slim_train.tf_compat import slim, tf

# Names of nodes.
PIXELS, INPUT, SCORES = "pixels", "input", "scores"
_PREDICTIONS = "/Predictions/Reshape_1"
_AVERAGE = "ExponentialMovingAverage"


@dataclasses.dataclass(frozen=True)
class TrainedModel:
    """A net, its classes and its variables.

    Attributes:
      spec: the net.
      labels: a name for each score.
      checkpoint: prefix of the checkpoint.
      folder: the training folder; of a checkpoint from elsewhere, the one that it lies in.
      use_averages: take the moving averages of the variables: True, False, or None for those that the checkpoint holds.
    """

    spec: ModelSpec
    labels: tuple[str, ...]
    checkpoint: str
    folder: Path
    use_averages: bool | None = None

    def info(self) -> ExportInfo:
        """What the graph of :meth:`build` does not say itself."""
        return ExportInfo(
            model_name=self.spec.name,
            labels=self.labels,
            image_size=(self.spec.image_size, self.spec.image_size),
            channels=self.spec.channels,
            preprocessing=self.spec.preprocessing,
            step=step_of(self.checkpoint),
            checkpoint=Path(self.checkpoint).name,
        )

    def takes_averages(self) -> bool:
        """Whether moving averages are taken, for the log."""
        names = tf.train.load_checkpoint(self.checkpoint).get_variable_to_shape_map()
        return self.use_averages is not False and any(name.endswith(f"/{_AVERAGE}") for name in names)

    def decode(self, encoded: Any) -> Any:
        """A picture as evaluation sees it: bytes, string scalar, to float32 [height, width, channels] in 0..255."""
        size = self.spec.image_size
        return get_recipe(self.spec.preprocessing).decode_eval(encoded, size, size, self.spec.channels)

    def build(self) -> tuple[Any, Any]:
        """Add the net to the current graph, from decoded pictures to probabilities.

        The node ``pixels`` takes float32 [N, height, width, channels] in 0..255; ``input``, what preprocessing makes of
        them, may be fed instead; ``scores`` are the probabilities, float32 [N, classes].

        Returns:
          pixels and scores.
        """
        size = self.spec.image_size
        pixels = tf.placeholder(tf.float32, [None, size, size, self.spec.channels], name=PIXELS)
        inputs = tf.identity(get_recipe(self.spec.preprocessing).eval_batch(pixels), name=INPUT)
        network_fn = nets.get_network_fn(self.spec.name, self.spec.num_classes, is_training=False)
        logits, _ = network_fn(inputs)
        return pixels, tf.nn.softmax(logits, name=SCORES)

    def freeze(self) -> Any:
        """The graph of :meth:`build` with the trained values as constants, batch norm folded: a GraphDef.

        Raises:
          RunError: the checkpoint does not fit the net.
        """
        with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
            self.build()
            self.restore(session)
            # research/slim's name for the probabilities, where the net makes them itself, is kept for old programs.
            outputs = [SCORES, *(node.name for node in graph.get_operations() if node.name.endswith(_PREDICTIONS))]
            frozen = tf.graph_util.convert_variables_to_constants(session, graph.as_graph_def(), outputs)
        return fold_batch_norm(frozen, *outputs)

    def restore(self, session: Any) -> None:
        """Give the net's variables in the current graph their trained values.

        Raises:
          RunError: the checkpoint does not fit.
        """
        variables = slim.get_model_variables()
        stored = tf.train.load_checkpoint(self.checkpoint).get_variable_to_shape_map()
        restored = self._names(variables, stored)
        for name, variable in restored.items():
            if list(stored.get(name, ())) != variable.shape.as_list():
                held = f"has shape {list(stored[name])} there" if name in stored else "is not in it"
                raise RunError(
                    f"{self.checkpoint} does not fit {self.spec.name} with {self.spec.num_classes} classes: {name} "
                    f"{held}. Check --model_name, --num_classes, --labels_offset and --moving_average_decay."
                )
        tf.train.Saver(restored).restore(session, self.checkpoint)

    def _names(self, variables: Sequence[Any], stored: dict[str, Any]) -> dict[str, Any]:
        """Names in the checkpoint, and the variables that take their values."""
        by_name = {variable.op.name: variable for variable in variables}
        averages = {f"{name}/{_AVERAGE}": variable for name, variable in by_name.items()}
        if self.use_averages:
            return averages
        found = {} if self.use_averages is False else {name: averages[name] for name in averages if name in stored}
        rest = {name: variable for name, variable in by_name.items() if f"{name}/{_AVERAGE}" not in found}
        return found | rest


def find_trained_model(
    path: str | Path,
    *,
    model_name: str | None = None,
    preprocessing_name: str | None = None,
    image_size: int | None = None,
    channels: int | None = None,
    num_classes: int | None = None,
    labels_offset: int | None = None,
    labels: Sequence[str] | None = None,
    labels_folder: str | Path | None = None,
    use_averages: bool | None = None,
) -> TrainedModel:
    """What a training folder or a checkpoint holds; what is given overrides what the folder says.

    Args:
      path: a training folder, whose newest checkpoint is taken, or a checkpoint.
      labels: class names, one for each score; None takes the folder's labels.txt.
      labels_folder: another folder with a labels.txt, for a folder that has none.

    Raises:
      UsageError: there is no checkpoint, no net is named, or the classes are not known.
    """
    checkpoint = resolve_checkpoint(str(path))
    folder = Path(checkpoint).parent
    if folder.name == BEST and not (folder / training_folder.CONFIG).exists():
        folder = folder.parent
    trained = training_folder.read_options(folder)
    if trained:
        model_name = model_name or trained.model.model_name
        preprocessing_name = preprocessing_name or trained.model.preprocessing_name
        image_size = image_size or trained.model.train_image_size
        channels = channels or trained.model.train_image_channels
        num_classes = num_classes or trained.data.num_classes
        labels_offset = trained.data.labels_offset if labels_offset is None else labels_offset
    if model_name is None:
        raise UsageError(f"{folder} has no config.yaml that would name the net: give --model_name.")
    offset = (labels_offset or 0) if labels is None else 0
    names = (
        tuple(labels)
        if labels is not None
        else _labels_of([folder, Path(labels_folder or folder)], num_classes, offset)
    )
    spec = resolve_model(
        model_name,
        DatasetSpec("", "", str(folder), (), len(names), 0, names),
        num_classes=num_classes,
        labels_offset=offset,
        image_size=image_size,
        channels=channels,
        preprocessing_name=preprocessing_name,
    )
    return TrainedModel(spec, tuple(class_names(names, spec)), checkpoint, folder, use_averages)


def _labels_of(folders: Sequence[Path], num_classes: int | None, labels_offset: int) -> tuple[str, ...]:
    """The class names of the data set, without a background class, from the first folder that has them."""
    for folder in folders:
        if (folder / INFO_FILE).is_file():
            return read_info(folder).labels
        if (folder / LABELS_FILE).is_file():
            return read_class_names(folder / LABELS_FILE)
    if num_classes is None:
        raise UsageError(f"{folders[0]} has no labels.txt that names the classes: give --labels or --num_classes.")
    return tuple(str(label) for label in range(num_classes + labels_offset))
