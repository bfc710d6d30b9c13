"""The Keras file of an export: the net as layers with weights, without slim-train."""

from __future__ import annotations

from pathlib import Path

from slim_train.inference import export_info
from slim_train.inference.export_info import ExportInfo
from slim_train.inference.trained_model import TrainedModel
from slim_train.interchange.keras_model import build_model
from slim_train.interchange.layer_graph import LayerGraph
from slim_train.interchange.read_layers import read_layers
from slim_train.tf_compat import dropouts_noted, slim, tf


def write_keras(path: Path, trained: TrainedModel, info: ExportInfo) -> None:
    """Write a ``.keras`` file, and beside it what it does not say itself, ``<name>.json``.

    The model takes float32 [N, height, width, channels] in 0..255 and returns probabilities, float32 [N, classes].

    Raises:
      UsageError: Keras has no layer for a part of the net.
      RunError: the checkpoint does not fit the net, or Keras cannot be used in this process.
    """
    with tf.Graph().as_default() as graph, tf.Session(graph=graph) as session:
        layers = _layers(trained)
        trained.restore(session)
        variables = {variable.op.name: variable for variable in slim.get_model_variables()}
        values = session.run({name: variables[name] for name in layers.variables()})
    build_model(info.model_name, layers, values).save(path)
    export_info.write_export_info(path.with_suffix(".json"), info)


def _layers(trained: TrainedModel) -> LayerGraph:
    with dropouts_noted() as rates:
        return read_layers(*trained.build(), rates)
