"""Models by a conf.json: a user's own class where its file is there, else the two of the UAI examples."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from slim_train.checkpoints import copies
from slim_train.checkpoints.resolve import resolve_checkpoint
from slim_train.errors import UsageError, unknown
from slim_train.inference.label_files import read_class_names
from slim_train.inference.overrides import ModelOverrides
from slim_train.inference.predictor import Predictor, load_predictor
from slim_train.nets import factory as nets
from slim_train.nets.record import NetRecord
from slim_train.serving.servable import Servable, ServedPredictor
from slim_train.serving.sources import Found, fingerprint
from slim_train.serving.uai.conf import UaiConf, read_uai_conf
from slim_train.serving.uai.user_model import UserModel

_GRAPH = "frozen_inference_graph.pb"
_LABEL_MAP = "label_map.txt"
_UNUSED_CLASS = "unused"


class UaiSource:
    """The model of a conf.json.

    Args:
      name: what the model is called in URLs; None for its net or its class.
      path: of the conf.json.
      max_megapixels: of images that a built-in model is asked about.
      scaled_decoding: auto or never, see :mod:`datasets.scaled_jpeg`; None: as the model says. For built-in models.

    Raises:
      UsageError: the conf.json is wrong, names a class that is neither in a file nor built in, or has a class in a file
        and ``scaled_decoding`` is given.
    """

    def __init__(self, name: str | None, path: Path, max_megapixels: float, scaled_decoding: str | None = None) -> None:
        self._conf = read_uai_conf(path)
        self._given = ModelOverrides(scaled_decoding=scaled_decoding)
        if scaled_decoding and self._conf.main_file is not None:
            raise UsageError(
                f"--scaled_decoding={scaled_decoding}: {self._conf.main_file} of {path} decodes images itself: "
                "omit the flag."
            )
        self.name = name or self._conf.model_name or self._conf.main_class
        self._max_megapixels = max_megapixels
        if self._conf.main_file is None and self._conf.main_class not in _BUILT_IN:
            raise UsageError(
                f"{path}: there is no file of main_file beside it or in code/, and "
                + str(unknown("built-in main_class", self._conf.main_class, _BUILT_IN))
            )

    def find(self) -> Found:
        """Return the files of model_dir. A user's class is loaded once: what it reads is its own affair."""
        folder = self._conf.model_dir
        return Found(folder, None, fingerprint(self._conf.main_file or folder))

    def load(self, found: Found) -> Servable:
        """Load the class or the built-in model."""
        if self._conf.main_file is not None:
            return UserModel(self._conf)
        predictor = _BUILT_IN[self._conf.main_class](self._conf, self._given)
        return ServedPredictor(predictor, self._max_megapixels)


def _retrained_graph(conf: UaiConf, given: ModelOverrides) -> Predictor:
    """frozen_inference_graph.pb and label_map.txt, as of TF-Hub's retrain; pixels are scaled to 0..1."""
    graph, labels = conf.model_dir / _GRAPH, conf.model_dir / _LABEL_MAP
    return load_predictor(
        graph if graph.is_file() else conf.model_dir,
        dataclasses.replace(
            given,
            labels=read_class_names(labels) if labels.is_file() else None,
            input_height=conf.input_height,
            input_width=conf.input_width,
        ),
    )


def _slim_checkpoint(conf: UaiConf, given: ModelOverrides) -> Predictor:
    """Return a checkpoint folder with info.json and labels.txt."""
    if (conf.model_dir / "config.yaml").is_file():  # A folder of ours knows the rest by itself.
        return load_predictor(conf.model_dir, given)
    if conf.model_name is None:
        raise UsageError(f"{conf.path}: infor.model_name must name the net of {conf.model_dir}.")
    try:
        record = nets.get_record(conf.model_name)
    except UsageError as error:
        raise UsageError(f"{conf.path}: infor.model_name: {error}") from error
    labels = read_class_names(conf.model_dir / "labels.txt")
    # That example trains one class more than there are.
    surplus = _count_outputs(conf, record) - len(labels)
    return load_predictor(
        conf.model_dir,
        dataclasses.replace(
            given,
            labels=(*labels, *(f"{_UNUSED_CLASS} {index}" for index in range(1, surplus + 1))),
            model_name=conf.model_name,
            preprocessing_name=conf.preprocessing_name,
            input_height=conf.eval_image_size,
            input_width=conf.eval_image_size,
        ),
    )


def _count_outputs(conf: UaiConf, record: NetRecord) -> int:
    """Return the classes of the checkpoint: the length of the bias of its net's head."""
    checkpoint = resolve_checkpoint(str(conf.model_dir))
    shapes = copies.shapes(checkpoint)
    head = record.head_scopes[0]
    for name, shape in shapes.items():
        if name.startswith(f"{head}/") and name.endswith("/biases"):
            return int(shape[-1])
    raise UsageError(f"{checkpoint} is not of the net {record.name}: it has no {head}.")


_BUILT_IN = {
    "RetrainedClassificationModel": _retrained_graph,
    "RetrainDetectModel": _retrained_graph,
    "slimModel": _slim_checkpoint,
}
