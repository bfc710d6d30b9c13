"""PNASNet-5 (Liu et al. 2017, arXiv:1712.00559)."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

from slim_train.nets.blocks.modes import is_training
from slim_train.nets.blocks.nasnet_cells import (
    Cell,
    DropPath,
    Pair,
    Row,
    auxiliary_logits,
    classifier,
    identity,
    max_pool,
    nasnet_arg_scope,
    separable,
    stack_cells,
)
from slim_train.nets.record import NetRecord
from slim_train.tf_compat import slim

# Figure 1 of the paper: one cell, with stride 2 where the maps shrink.
_CELL = Cell(
    pairs=(
        Pair((separable(5), 1), (max_pool, 1)),
        Pair((separable(7), 0), (max_pool, 0)),
        Pair((separable(5), 0), (separable(3), 0)),
        Pair((separable(3), 4), (max_pool, 0)),
        Pair((separable(3), 1), (identity, 0)),
    ),
    output=(2, 3, 4, 5, 6),
)


@dataclasses.dataclass(frozen=True)
class _Size:
    """One of the published sizes.

    Attributes:
      cells: the number of cells after the stem's two; a third and two thirds through them the maps shrink.
      width: channels of an operation in the first cells; it doubles where the maps shrink.
      stem_width: channels of the first convolution.
      image_size: that the net was made for, in pixels.
      auxiliary_map_size: kernel of the wide layer in the auxiliary head.
      drop_path: of the released training.
    """

    cells: int
    width: int
    stem_width: int
    image_size: int
    auxiliary_map_size: int
    drop_path: DropPath

    def reductions(self) -> tuple[int, int]:
        """Return the numbers of the cells that shrink their maps."""
        return self.cells // 3, 2 * self.cells // 3


_RELEASES = "https://storage.googleapis.com/download.tensorflow.org/models"
_MOBILE = _Size(9, 54, 32, 224, 4, DropPath(1.0, 250_000))
_LARGE = _Size(12, 216, 96, 331, 6, DropPath(0.6, 250_000))


def pnasnet(images: Any, num_classes: int, size: _Size, dropout_keep_prob: float = 0.5) -> tuple[Any, dict[str, Any]]:
    """In training there is an auxiliary head, whose logits are the end point ``AuxLogits``."""
    net = slim.conv2d(images, size.stem_width, 3, stride=2, padding="VALID", scope="conv0")
    net = slim.batch_norm(net, scope="conv0_bn")
    end_points = stack_cells(net, 2, _rows(size), size.drop_path)
    net = end_points[f"Cell_{size.cells - 1}"]
    if num_classes and is_training(slim.dropout):
        number = size.reductions()[1] - 1
        end_points["AuxLogits"] = auxiliary_logits(
            end_points[f"Cell_{number}"], num_classes, size.auxiliary_map_size, scope=f"aux_{number}"
        )
    return classifier(net, end_points, num_classes, dropout_keep_prob), end_points


def _rows(size: _Size) -> list[Row]:
    rows = [
        Row("cell_stem_0", None, _CELL, size.width // 4, stride=2, previous=0),
        Row("cell_stem_1", "Stem", _CELL, size.width // 2, stride=2, previous=1),
    ]
    width = size.width
    for number in range(size.cells):
        shrinks = number in size.reductions()
        width *= 2 if shrinks else 1
        rows.append(Row(f"cell_{number}", f"Cell_{number}", _CELL, width, 2 if shrinks else 1, previous=len(rows)))
    return rows


def _record(name: str, size: _Size, **facts: Any) -> NetRecord:
    """``facts`` are further fields of the record."""
    return NetRecord(
        name=name,
        builder=functools.partial(pnasnet, size=size),
        arg_scope=functools.partial(nasnet_arg_scope, 0.9997, 1e-3),
        default_image_size=size.image_size,
        min_image_size=3,
        preprocessing="inception",
        head_scopes=("final_layer/FC", f"aux_{size.reductions()[1] - 1}/aux_logits/FC"),
        feature_end_point="global_pool",
        feature_width=5 * 4 * size.width,
        paper="https://arxiv.org/abs/1712.00559",
        num_classes=1001,
        checkpoint_url=f"{_RELEASES}/pnasnet-5_{name.removeprefix('pnasnet_')}_2017_12_13.tar.gz",
        **facts,
    )


RECORDS = (
    _record("pnasnet_mobile", _MOBILE, num_parameters=5_065_568, flops=1_174_588_560, imagenet_top1=74.2),
    _record("pnasnet_large", _LARGE, num_parameters=86_061_989, flops=49_874_800_224, imagenet_top1=82.9),
)
