"""What a retraining leaves: frozen graph, labels file, SavedModel."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets.files import replacing
from datasets.storage import copy_folder, is_url, path_of
from slim_train.errors import UsageError
from slim_train.inference.label_files import write_class_names
from slim_train.retraining.head import HeadWeights
from slim_train.retraining.modules import FeatureModule
from slim_train.retraining.options import OutputOptions
from slim_train.tf_compat import tf

# The names that label_image and the inference service look for.
INPUT = "Placeholder"
LABELS_FILE = "labels.txt"
_HEAD = "final_retrain_ops"
_TAKEN = (INPUT, FeatureModule.SCOPE, _HEAD)
_NODE_NAME = re.compile(r"[A-Za-z0-9.][A-Za-z0-9_.\\/>-]*")


def label_names(classes: Sequence[str]) -> list[str]:
    """Class folders' names as retrain.py writes them: in small letters, all but letters and digits made into spaces.

    Letters and digits of any script stay, where retrain.py knew a to z and 0 to 9 only.

    Raises:
      UsageError: two folders have the same name so.
    """
    folders: dict[str, str] = {}
    for folder in classes:
        label = re.sub(r"[\W_]+", " ", folder.lower())
        if label in folders:
            raise UsageError(
                f"--image_dir: the folders {folders[label]!r} and {folder!r} are the same label, {label!r}. Rename one."
            )
        folders[label] = folder
    return list(folders)


def check(options: OutputOptions) -> None:
    """Look before hours of work whether the results can be written; makes the folders they go to.

    Raises:
      UsageError: they cannot.
    """
    name = options.final_tensor_name
    if not _NODE_NAME.fullmatch(name) or name in _TAKEN:
        raise UsageError(
            f"--final_tensor_name={name} cannot be a node's name: letters, digits, _ . - / only, and not one of "
            f"{', '.join(_TAKEN)}."
        )
    saved_model = path_of(options.saved_model_dir) if options.saved_model_dir else None
    if saved_model and (saved_model.is_file() or (saved_model.is_dir() and any(saved_model.iterdir()))):
        raise UsageError(f"--saved_model_dir={saved_model} already exists: name a new folder, or remove it.")
    for flag, file in (("output_graph", options.output_graph), ("output_labels", options.output_labels)):
        if path_of(file).is_dir():
            raise UsageError(f"--{flag}={file} is a folder: name a file.")
    folders = {
        "output_graph": path_of(options.output_graph).parent,
        "output_labels": path_of(options.output_labels).parent,
    }
    if options.intermediate_store_frequency:
        folders["intermediate_output_graphs_dir"] = path_of(options.intermediate_output_graphs_dir)
    for flag, folder in folders.items():
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"--{flag}: cannot make the folder {folder}: {error.strerror}.") from error


def write(options: OutputOptions, module: FeatureModule, head: HeadWeights, labels: Sequence[str]) -> None:
    """Write the graph, the labels and, where it is asked for, the SavedModel."""
    write_frozen_graph(path_of(options.output_graph), module, head, options.final_tensor_name)
    write_class_names(path_of(options.output_labels), labels)
    if options.saved_model_dir:
        write_saved_model(path_of(options.saved_model_dir), module, head, labels, options.final_tensor_name)


def write_snapshot(options: OutputOptions, module: FeatureModule, head: HeadWeights, step: int) -> None:
    """Write the graph as it is after ``step``, under retrain.py's name for it."""
    path = path_of(options.intermediate_output_graphs_dir) / f"intermediate_{step}.pb"
    write_frozen_graph(path, module, head, options.final_tensor_name)


def build_graph(module: FeatureModule, head: HeadWeights, final_tensor_name: str) -> tuple[Any, Any]:
    """Add the whole classifier to the current graph, weights as constants.

    Returns:
      Its input, float32 [N, height, width, 3] in 0..1, and the probabilities [N, classes].
    """
    images = tf.placeholder(tf.float32, [None, module.height, module.width, 3], name=INPUT)
    features = module.features(images)
    with tf.name_scope(_HEAD):
        logits = tf.nn.bias_add(tf.matmul(features, tf.constant(head.weights)), tf.constant(head.biases))
    return images, tf.nn.softmax(logits, name=final_tensor_name)


def write_frozen_graph(path: Path, module: FeatureModule, head: HeadWeights, final_tensor_name: str) -> None:
    """Write the classifier as a GraphDef, atomically."""
    with tf.Graph().as_default() as graph:
        build_graph(module, head, final_tensor_name)
    with replacing(path) as temporary:
        temporary.write_bytes(graph.as_graph_def().SerializeToString())


def write_saved_model(
    folder: Path, module: FeatureModule, head: HeadWeights, labels: Sequence[str], final_tensor_name: str
) -> None:
    """Write a SavedModel whose ``serving_default`` takes ``image`` and gives ``prediction``, as retrain.py's does.

    The labels go with it as labels.txt. The folder is whole or absent; at a URL, no SavedModel before it is whole.
    """
    if not is_url(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
    beside = None if is_url(folder) else folder.parent
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}.", dir=beside) as temporary:
        whole = path_of(temporary) / "saved_model"
        with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
            images, probabilities = build_graph(module, head, final_tensor_name)
            signature = tf.saved_model.predict_signature_def({"image": images}, {"prediction": probabilities})
            builder = tf.saved_model.Builder(str(whole))
            builder.add_meta_graph_and_variables(
                session,
                [tf.saved_model.SERVING],
                {tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY: signature},
                strip_default_attrs=True,
            )
            builder.save()
        write_class_names(whole / LABELS_FILE, labels)
        if is_url(folder):
            copy_folder(whole, folder, last="saved_model.pb")
        else:
            whole.replace(folder)
