"""NASNet-A (Zoph et al. 2017, arXiv:1707.07012)."""

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
    avg_pool,
    classifier,
    identity,
    max_pool,
    nasnet_arg_scope,
    separable,
    stack_cells,
)
from slim_train.nets.record import NetRecord
from slim_train.tf_compat import slim

# Figure 4 of the paper.
_NORMAL_CELL = Cell(
    pairs=(
        Pair((separable(5), 0), (separable(3), 1)),
        Pair((separable(5), 1), (separable(3), 1)),
        Pair((avg_pool, 0), (identity, 1)),
        Pair((avg_pool, 1), (avg_pool, 1)),
        Pair((separable(3), 0), (identity, 0)),
    ),
    output=(1, 2, 3, 4, 5, 6),
)
_REDUCTION_CELL = Cell(
    pairs=(
        Pair((separable(5), 0), (separable(7), 1)),
        Pair((max_pool, 0), (separable(7), 1)),
        Pair((avg_pool, 0), (separable(5), 1)),
        Pair((identity, 3), (avg_pool, 2)),
        Pair((separable(3), 2), (max_pool, 0)),
    ),
    output=(3, 4, 5, 6),
)


@dataclasses.dataclass(frozen=True)
class _Size:
    """One of the published sizes.

    Attributes:
      cells: the number of normal cells; a reduction cell comes after each third of them.
      width: channels of an operation in the first normal cells; it doubles with each reduction.
      stem_width: channels of the first convolution.
      image_size: that the net was made for, in pixels.
      imagenet_stem: begin with two reduction cells.
      skip_reduction: the cell after a reduction sees the input of the cell before it, not of the reduction itself.
      auxiliary_map_size: kernel of the wide layer in the auxiliary head.
      drop_path: of the released training.
      dropout_keep_prob: before the classifier.
    """

    cells: int
    width: int
    stem_width: int
    image_size: int
    imagenet_stem: bool
    skip_reduction: bool
    auxiliary_map_size: int
    drop_path: DropPath
    dropout_keep_prob: float

    def reductions(self) -> tuple[int, int]:
        """Return the numbers of the cells that come after a reduction."""
        return self.cells // 3, 2 * self.cells // 3


_CIFAR = _Size(18, 32, 96, 32, False, False, 4, DropPath(0.6, 937_500), 1.0)
_MOBILE = _Size(12, 44, 32, 224, True, False, 4, DropPath(1.0, 250_000), 0.5)
_LARGE = _Size(18, 168, 96, 331, True, True, 6, DropPath(0.7, 250_000), 0.5)


def nasnet(
    images: Any, num_classes: int, size: _Size, dropout_keep_prob: float | None = None
) -> tuple[Any, dict[str, Any]]:
    """In training there is an auxiliary head, whose logits are the end point ``AuxLogits``."""
    if size.imagenet_stem:
        net = slim.conv2d(images, size.stem_width, 3, stride=2, padding="VALID", scope="conv0")
        net = slim.batch_norm(net, scope="conv0_bn")
        end_points = stack_cells(net, 2, _rows(size), size.drop_path)
    else:
        net = slim.conv2d(images, size.stem_width, 3, scope="l1_stem_3x3")
        net = slim.batch_norm(net, scope="l1_stem_bn")
        end_points = {"Stem": net, **stack_cells(net, 1, _rows(size), size.drop_path)}
    net = end_points[f"Cell_{size.cells - 1}"]
    if num_classes and is_training(slim.dropout):
        number = size.reductions()[1] - 1
        end_points["AuxLogits"] = auxiliary_logits(
            end_points[f"Cell_{number}"], num_classes, size.auxiliary_map_size, scope=f"aux_{number}"
        )
    keep_prob = size.dropout_keep_prob if dropout_keep_prob is None else dropout_keep_prob
    return classifier(net, end_points, num_classes, keep_prob), end_points


def _rows(size: _Size) -> list[Row]:
    rows = []
    if size.imagenet_stem:
        rows.append(Row("cell_stem_0", None, _REDUCTION_CELL, size.width // 4, stride=2, previous=0))
        rows.append(Row("cell_stem_1", "Stem", _REDUCTION_CELL, size.width // 2, stride=2, previous=1))
    width = size.width
    for number in range(size.cells):
        previous = len(rows)
        if number in size.reductions():
            width *= 2
            name = size.reductions().index(number)
            rows.append(Row(f"reduction_cell_{name}", f"Reduction_Cell_{name}", _REDUCTION_CELL, width, 2, previous))
            if not size.skip_reduction:
                previous = len(rows)
        rows.append(Row(f"cell_{number}", f"Cell_{number}", _NORMAL_CELL, width, 1, previous))
    return rows


def _record(
    name: str, size: _Size, preprocessing: str, batch_norm_decay: float, epsilon: float, **facts: Any
) -> NetRecord:
    """``facts`` are further fields of the record."""
    return NetRecord(
        name=name,
        builder=functools.partial(nasnet, size=size),
        arg_scope=functools.partial(nasnet_arg_scope, batch_norm_decay, epsilon),
        default_image_size=size.image_size,
        min_image_size=3 if size.imagenet_stem else 1,
        preprocessing=preprocessing,
        head_scopes=("final_layer/FC", f"aux_{size.reductions()[1] - 1}/aux_logits/FC"),
        feature_end_point="global_pool",
        feature_width=6 * 4 * size.width,
        paper="https://arxiv.org/abs/1707.07012",
        **facts,
    )


RECORDS = (
    _record(
        "nasnet_cifar",
        _CIFAR,
        "cifarnet",
        batch_norm_decay=0.9,
        epsilon=1e-5,
        num_classes=10,
        num_parameters=3_346_538,
        flops=1_088_666_624,
    ),
    _record(
        "nasnet_mobile",
        _MOBILE,
        "inception",
        batch_norm_decay=0.9997,
        epsilon=1e-3,
        num_classes=1001,
        num_parameters=5_291_035,
        flops=1_127_279_744,
        imagenet_top1=74.0,
        checkpoint_url="https://storage.googleapis.com/download.tensorflow.org/models/nasnet-a_mobile_04_10_2017.tar.gz",
    ),
    _record(
        "nasnet_large",
        _LARGE,
        "inception",
        batch_norm_decay=0.9997,
        epsilon=1e-3,
        num_classes=1001,
        num_parameters=88_757_183,
        flops=47_566_837_380,
        imagenet_top1=82.7,
        checkpoint_url="https://storage.googleapis.com/download.tensorflow.org/models/nasnet-a_large_04_10_2017.tar.gz",
    ),
)
