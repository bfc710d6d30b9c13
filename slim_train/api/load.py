"""The verb ``load``. No TensorFlow before it is called."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from slim_train.api.flags import PathLike, one_usage_error, options_from, takes_flags
from slim_train.api.tensorflow import tensorflow_ready
from slim_train.errors import UsageError
from slim_train.inference.options import ClassifierOptions

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from slim_train.api.keywords import LoadFlags
    from slim_train.inference.classifier import Classifier

# The flags for kinds of files, which ``load`` tells apart by itself, and those that are arguments of their own.
SOURCES = ("graph", "saved_model_dir", "train_dir", "output_dir", "checkpoint_path")
_DESCRIBED = (
    "input_layer",
    "output_layer",
    "input_height",
    "input_width",
    "input_mean",
    "input_std",
    "scaled_decoding",
)


@takes_flags(ClassifierOptions(), "label_image", without=SOURCES)
def load(
    path: PathLike,
    *,
    labels: PathLike | Sequence[str] | None = None,
    model_name: str | None = None,
    preprocessing_name: str | None = None,
    **flags: Unpack[LoadFlags],
) -> Classifier:
    """Load a classifier, ready to predict.

    Use it as a context manager, or call ``close()`` at the end::

        with st.load("models/pets") as classifier:
            predictions = classifier.predict(["cat.jpg"])

    Args:
      path: training folder, checkpoint, export folder, SavedModel, frozen graph (.pb), or ONNX, Keras or
        TFLite model (.onnx, .keras, .tflite).
      labels: file of class names, one a line, or the names. Default: what is in the model or beside it.
      model_name: net of a checkpoint whose folder has no config.yaml.
      preprocessing_name: preprocessing recipe of a checkpoint. Default: the one of the training.
      **flags: the flags of the command label_image that describe the classifier.

    Raises:
      UsageError: there is no classifier at ``path``, or an argument is missing or wrong.
      RunError: a checkpoint does not fit its net.
    """
    if given_twice := [name for name in SOURCES if name in flags]:
        raise UsageError(f"load(): give the path alone, without {given_twice[0]}: any kind of model is found there.")
    if not isinstance(path, str | os.PathLike):
        raise UsageError(f"load(): path must be text or a path, not {type(path).__name__}.")
    from datasets import storage  # not at the top: import slim_train checks first that this package is ours

    if fault := storage.fault_of(os.fspath(path), takes_urls=True):
        raise UsageError(f"load(): {storage.shown(os.fspath(path))} {fault}")
    path = storage.local_path(os.fspath(path))
    options = options_from(ClassifierOptions(), "load", flags, {})
    with one_usage_error(), tensorflow_ready():
        from slim_train.inference.classifier import load_classifier
        from slim_train.inference.label_files import read_class_names
        from slim_train.inference.overrides import ModelOverrides

        names = read_class_names(storage.path_of(labels)) if isinstance(labels, str | os.PathLike) else labels
        if names is not None and not all(isinstance(name, str) for name in names):
            raise UsageError("load(): labels must be a file of class names, or class names as text.")
        given: dict[str, Any] = {name: getattr(options, name) for name in _DESCRIBED}
        overrides = ModelOverrides(
            labels=None if names is None else tuple(names),
            model_name=model_name,
            preprocessing_name=preprocessing_name,
            code=options.code,
            **given,
        )
        return load_classifier(os.fspath(path), overrides)
