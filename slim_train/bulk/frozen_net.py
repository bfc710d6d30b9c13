"""A frozen net from images to vectors of end points, as jobs give it to their workers. No TensorFlow on import."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

# The end point that feeds the classification layer, or the features of a module.
FEATURES = "features"
_SCOPE = "net"


@dataclasses.dataclass(frozen=True)
class EndPoint:
    """An end point of a net.

    Attributes:
      name: the net's name for it.
      shape: of one image, such as [7, 7, 1280] or [1280].
      length: of the vector that is stored.
    """

    name: str
    shape: tuple[int, ...]
    length: int


@dataclasses.dataclass(frozen=True)
class FeatureNet:
    """A frozen net with one or more outputs.

    Attributes:
      name: what the user calls it.
      identity: hex digest of weights, net, preprocessing and image size.
      preprocessing: name of the recipe; None for a module, which takes 0..1.
      height: of its input in pixels.
      width: of its input in pixels.
      pooling: how maps became vectors: mean or none.
      precision: of the computation: fp32, bf16 or fp16.
      end_points: its outputs.
      input: name of the tensor that takes images, float32 [N, height, width, 3] in 0..1.
      outputs: names of the tensors of the end points, float32 [N, length].
      graph_def: the serialized graph.
      flags: that name the net, for ``_model.json``.
      scaled_decoding: whether large JPEGs are decoded smaller than they are.
    """

    name: str
    identity: str
    preprocessing: str | None
    height: int
    width: int
    pooling: str
    precision: str
    end_points: tuple[EndPoint, ...]
    input: str
    outputs: tuple[str, ...]
    graph_def: bytes = dataclasses.field(repr=False)
    flags: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    scaled_decoding: bool = True

    GRAPH_FILE: ClassVar[str] = "net.pb"
    FACTS_FILE: ClassVar[str] = "net.json"

    def features(self, images: Any) -> list[Any]:
        """Add the net to the current graph: images in 0..1 to one [N, length] tensor per end point."""
        from slim_train.tf_compat import tf

        graph_def = tf.GraphDef.FromString(self.graph_def)
        return list(tf.import_graph_def(graph_def, {self.input: images}, list(self.outputs), name=_SCOPE))

    def session(self, threads: int) -> Any:
        """Return a session on the current graph in the precision of the net."""
        from slim_train.retraining.modules import feature_session

        return feature_session(self.precision, threads)

    def facts(self) -> dict[str, Any]:
        """Return what features depend on, for ``_model.json``."""
        facts = {
            "model": self.name,
            "flags": dict(self.flags),
            "identity": self.identity,
            "preprocessing": {"recipe": self.preprocessing, "resize": "whole image, bilinear"},
            "image_size": [self.height, self.width],
            "pooling": self.pooling,
            "precision": self.precision,
            "end_points": {
                point.name: {"shape": list(point.shape), "length": point.length} for point in self.end_points
            },
        }
        # Not said of the default: folders from before there was a choice are continued.
        return facts if self.scaled_decoding else {**facts, "scaled_decoding": "never"}

    def write(self, folder: Path) -> None:
        """Write the net for processes that read it with :meth:`read`."""
        (folder / self.GRAPH_FILE).write_bytes(self.graph_def)
        facts = dataclasses.asdict(dataclasses.replace(self, graph_def=b""))
        del facts["graph_def"]
        (folder / self.FACTS_FILE).write_text(json.dumps(facts), encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> FeatureNet:
        """Return the net that :meth:`write` wrote."""
        facts = json.loads((folder / cls.FACTS_FILE).read_text(encoding="utf-8"))
        points = tuple(EndPoint(point["name"], tuple(point["shape"]), point["length"]) for point in facts["end_points"])
        facts |= {"end_points": points, "outputs": tuple(facts["outputs"])}
        return cls(**facts, graph_def=(folder / cls.GRAPH_FILE).read_bytes())
