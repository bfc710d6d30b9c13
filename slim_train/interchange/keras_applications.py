"""Models of ``keras.applications`` whose layers are those of a net of the zoo: their weights for that net.

The layers are compared one by one, so no table of names is needed and a model that would answer otherwise is refused.
"""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

from slim_train.errors import UsageError
from slim_train.interchange.converted import Converted, Facts
from slim_train.interchange.keras_archive import StoredModel
from slim_train.interchange.keras_layers import keras_layers
from slim_train.interchange.layer_graph import LayerGraph
from slim_train.interchange.match_layers import LayerMatch, match_layers, matched_values
from slim_train.interchange.plain_layers import plain_layers, without_scaling
from slim_train.interchange.read_layers import read_layers
from slim_train.nets.factory import get_record, net_names
from slim_train.nets.network_fn import network_fn_of
from slim_train.tf_compat import slim, tf

# Names of the models, a pattern each, and the nets that they may be. {} stands for the width as the nets have it.
_NETS = (
    (r"mobilenet_(?P<width>\d\.\d\d)_\w+", ("mobilenet_v1{}",)),
    (r"mobilenetv2_(?P<width>\d\.\d\d)_\w+", ("mobilenet_v2{}",)),
    (r"mobilenetv3large", ("mobilenet_v3_large", "mobilenet_v3_large_minimalistic")),
    (r"mobilenetv3small", ("mobilenet_v3_small", "mobilenet_v3_small_minimalistic")),
    (r"resnet(?P<depth>\d+)", ("resnet_v1_{}",)),
    (r"resnet(?P<depth>\d+)v2", ("resnet_v2_{}",)),
    (r"inception_v3", ("inception_v3",)),
    (r"inception_resnet_v2", ("inception_resnet_v2",)),
    (r"nasnet_mobile", ("nasnet_mobile",)),
    (r"nasnet_large", ("nasnet_large",)),
    (r"nasnet", ("nasnet_mobile", "nasnet_large")),
    (r"vgg(?P<depth>\d+)", ("vgg_{}",)),
)
# keras.applications trains these as Caffe did: blue before red, means subtracted. The others have colors in [-1, 1].
_LIKE_CAFFE = ("vgg_16", "vgg_19")


def is_application(model: StoredModel) -> bool:
    """Return whether a model has the name of one of ``keras.applications``."""
    return bool(_candidates(model.name))


def convert_application(path: Path, model: StoredModel) -> Converted:
    """Return the weights of a model of ``keras.applications`` as variables of the net that has the same layers.

    They expect the preprocessing that ``keras.applications`` has for the model. Of VGG's first layer the channels are
    turned around, so that it takes red first.

    Raises:
      UsageError: no net has the same layers; the message says what differs.
    """
    differences = []
    for name in _candidates(model.name):
        try:
            net = _Net(name, model)
        except UsageError as error:
            raise UsageError(
                f"{path} is {model.name} of Keras, which cannot be taken: {str(error).rstrip('.')}."
            ) from None
        if not net.match.difference:
            return Converted(net.values(), net.facts)
        differences.append(f"{name}: {net.match.difference}")
    raise UsageError(
        f"{path} is {model.name} of Keras, whose layers are not those of {'; nor of '.join(differences)}. It is not "
        "taken, because its answers would change."
    )


class _Net:
    """A net of the zoo compared with a Keras model."""

    def __init__(self, name: str, model: StoredModel) -> None:
        record = get_record(name)
        theirs, scaling = without_scaling(keras_layers(model, record.default_image_size))
        height, width, channels = theirs.input.shape
        if height != width:
            raise UsageError(f"it takes images of {height}x{width}, and nets take square ones")
        if scaling not in (None, (0.007843, -1.0)):
            raise UsageError(f"it scales images by {scaling}, which no preprocessing does")
        self._is_like_caffe = name in _LIKE_CAFFE
        self.facts = Facts(name, height, channels, "vgg" if self._is_like_caffe else "inception")
        self.facts = dataclasses.replace(self.facts, num_classes=_num_classes(model))
        self._shapes: dict[str, tuple[int, ...]] = {}
        ours = self._layers()
        self._input = ours.input.name
        self.match: LayerMatch = match_layers(ours, plain_layers(theirs))

    def _layers(self) -> LayerGraph:
        assert self.facts.model_name
        size, channels = self.facts.image_size, self.facts.channels
        with tf.Graph().as_default():
            images = tf.placeholder(tf.float32, [None, size, size, channels])
            logits, _ = network_fn_of(get_record(self.facts.model_name), self.facts.num_classes)(images)
            self._shapes = {
                variable.op.name: tuple(variable.shape.as_list()) for variable in slim.get_model_variables()
            }
            return plain_layers(read_layers(images, logits))

    def values(self) -> dict[str, Any]:
        """Return the variables of the net."""
        values = matched_values(self.match, self._shapes)
        if self._is_like_caffe:
            kernel = next(layer for layer, _ in self.match.pairs if layer.inputs == (self._input,)).variables()[
                "kernel"
            ]
            values[kernel] = values[kernel][:, :, ::-1]
        return values


def _candidates(name: str) -> list[str]:
    """Return the nets that a model of a name may be."""
    for pattern, nets in _NETS:
        found = re.fullmatch(pattern, name, re.IGNORECASE)
        if found:
            groups = found.groupdict()
            width = {"1.00": ""}.get(groups.get("width", ""), "_" + groups.get("width", "").replace(".", ""))
            names = [net.format(groups.get("depth", width)) for net in nets]
            return [net for net in names if net in net_names()]
    return []


def _num_classes(model: StoredModel) -> int:
    weights = [layer.weights[0] for layer in model.layers if layer.weights]
    if not weights or not weights[-1].ndim:
        raise UsageError("it holds no weights")
    return int(weights[-1].shape[-1])
