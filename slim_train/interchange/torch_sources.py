"""Models of timm whose weights a net of the zoo takes, as timm makes them if it is told nothing. No TensorFlow."""

from __future__ import annotations

import dataclasses

from slim_train.interchange.torch_names import MODELS, TimmModel


@dataclasses.dataclass(frozen=True)
class TimmSource:
    """A model of timm as ``timm.create_model`` makes it without arguments.

    Attributes:
      architecture: timm's name.
      model: the net with the names of its layers.
      bn_eps: epsilon of batch norm.
      is_padded_symmetrically: whether strided layers are padded on all sides, and not as TensorFlow does.
      preprocessing: the recipe that is timm's default.
    """

    architecture: str
    model: TimmModel
    bn_eps: float = 0.001
    is_padded_symmetrically: bool = False
    preprocessing: str = "inception"


def _symmetric(architecture: str, net: str, preprocessing: str = "imagenet") -> TimmSource:
    """Return a source with the padding and epsilon that are PyTorch's defaults."""
    return TimmSource(architecture, MODELS[net], 1e-5, True, preprocessing)


_SOURCES = (
    _symmetric("mobilenetv1_100", "mobilenet_v1", "inception"),
    _symmetric("mobilenetv2_100", "mobilenet_v2"),
    _symmetric("mobilenetv2_140", "mobilenet_v2_140"),
    _symmetric("mobilenetv2_050", "mobilenet_v2_050"),
    _symmetric("mobilenetv2_035", "mobilenet_v2_035"),
    _symmetric("mobilenetv3_large_100", "mobilenet_v3_large"),
    _symmetric("mobilenetv3_small_100", "mobilenet_v3_small"),
    *(
        TimmSource(MODELS[net].architecture, MODELS[net])
        for net in (
            "mobilenet_v3_large",
            "mobilenet_v3_small",
            "mobilenet_v3_large_minimalistic",
            "mobilenet_v3_small_minimalistic",
            "inception_v4",
            "inception_resnet_v2",
        )
    ),
    *(
        TimmSource(MODELS[net].architecture, MODELS[net], preprocessing="imagenet")
        for net in ("vgg_a", "vgg_16", "vgg_19")
    ),
)
SOURCES = {source.architecture: source for source in _SOURCES}
