"""The net that a checkpoint is of, found by the names and shapes of its variables."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from slim_train.checkpoints import scopes
from slim_train.checkpoints.contents import read_contents
from slim_train.errors import UsageError
from slim_train.nets.factory import get_record, net_names, net_origin
from slim_train.nets.network_fn import network_fn_of
from slim_train.nets.record import NetRecord
from slim_train.registry import BUILT_IN
from slim_train.tf_compat import slim, tf

Shapes = Mapping[str, tuple[int, ...]]


@dataclasses.dataclass(frozen=True)
class Match:
    """A net compared with a checkpoint.

    Attributes:
      record: the net.
      num_classes: the width of its logits in the checkpoint.
      missing: model variables of the net that the checkpoint lacks.
      reshaped: those that it has in another shape.
      others: variables of the checkpoint that the net does not have.
    """

    record: NetRecord
    num_classes: int
    missing: tuple[str, ...]
    reshaped: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Whether all variables of the net, auxiliary heads aside, can be restored."""
        return not self.reshaped and all(is_auxiliary(name) for name in self.missing)

    @property
    def image_size(self) -> int:
        """Image height and width in pixels that the weights are probably for."""
        return (self._is_released and self.record.checkpoint_image_size) or self.record.default_image_size

    @property
    def preprocessing(self) -> str:
        """The recipe that the weights are probably for."""
        return (self._is_released and self.record.checkpoint_preprocessing) or self.record.preprocessing

    def input_flags(self) -> list[str]:
        """Return the flags of training that give the weights the input they are probably for."""
        return list(released_flags(self.record)) if self._is_released else []

    @property
    def _is_released(self) -> bool:
        """Whether these may be the released weights: those alone are for another size or recipe than the default."""
        return self.num_classes == self.record.num_classes


def released_flags(record: NetRecord) -> Iterator[str]:
    """Yield the flags of training that give the released weights of a net their input, if its defaults do not."""
    if record.checkpoint_preprocessing:
        yield f"--preprocessing_name={record.checkpoint_preprocessing}"
    if record.checkpoint_image_size:
        yield f"--train_image_size={record.checkpoint_image_size}"


def matches(shapes: Shapes, nets: tuple[NetRecord, ...] = ()) -> list[Match]:
    """Return the nets whose head is in a checkpoint, the best match first; one that fits exactly alone.

    Args:
      shapes: of the model variables in the checkpoint, by name.
      nets: records of nets that are not registered. They are compared with the registered ones.
    """
    found = []
    for record in _candidates(shapes, nets):
        num_classes = _num_classes(record, shapes)
        if num_classes:
            match = _compare(record, num_classes, shapes)
            if match.fits and not match.others:
                return [match]
            found.append(match)
    return sorted(found, key=lambda match: (len(match.missing) + len(match.reshaped), len(match.others)))


def identify(prefix: str) -> Match:
    """Return the net of a checkpoint.

    Raises:
      UsageError: it is no net that slim-train knows.
      RunError: the checkpoint cannot be read.
    """
    shapes = read_contents(prefix).model_shapes()
    found = matches(shapes)
    if found and found[0].fits:
        return found[0]
    if found:
        match = found[0]
        near = f" It resembles {match.record.name}, but {(*match.reshaped, *match.missing)[0]} differs."
    else:
        near = f" It holds {', '.join(scopes.top_scopes(shapes, depth=1)[:5]) or 'no variables of a net'}."
    raise UsageError(f"{prefix} is of no net that slim-train knows.{near} Give --model_name.")


def _candidates(shapes: Shapes, nets: tuple[NetRecord, ...]) -> Iterator[NetRecord]:
    """Yield nets whose head the checkpoint has, in its width if any has that: to build a net takes a second or more."""
    names = net_names()
    ours = [get_record(name) for name in names if net_origin(name) == BUILT_IN]
    with_head = [record for record in (*nets, *ours) if _head(record, shapes)]
    if with_head:
        yield from [record for record in with_head if _has_feature_width(record, shapes)] or with_head
        return
    others = (get_record(name) for name in names if net_origin(name) != BUILT_IN)
    yield from (record for record in others if _head(record, shapes))


def _head(record: NetRecord, shapes: Shapes) -> list[str]:
    """Return the variables of the main head in a checkpoint."""
    main = [scope for scope in record.head_scopes if not is_auxiliary(scope)]
    return [name for name in shapes if any(scopes.in_scope(name, scope) for scope in main)]


def _num_classes(record: NetRecord, shapes: Shapes) -> int | None:
    """Return the width of the logits in a checkpoint: the last dimension of all variables of the head."""
    widths = {shapes[name][-1] for name in _head(record, shapes) if shapes[name]}
    return widths.pop() if len(widths) == 1 else None


def _has_feature_width(record: NetRecord, shapes: Shapes) -> bool:
    return any(record.feature_width in shapes[name][:-1] for name in _head(record, shapes))


def _compare(record: NetRecord, num_classes: int, shapes: Shapes) -> Match:
    size = record.default_image_size
    with tf.Graph().as_default():
        # In training mode, in which nets have all of their variables.
        network_fn_of(record, num_classes, is_training=True)(
            tf.placeholder(tf.float32, [2, size, size, record.channels])
        )
        wanted = {variable.op.name: tuple(variable.shape.as_list()) for variable in slim.get_model_variables()}
    return Match(
        record,
        num_classes,
        missing=tuple(name for name in wanted if name not in shapes),
        reshaped=tuple(name for name in wanted if name in shapes and shapes[name] != wanted[name]),
        others=tuple(name for name in shapes if name not in wanted),
    )


def is_auxiliary(name: str) -> bool:
    """Return whether a variable is of an auxiliary head, which only training uses."""
    return scopes.auxiliary_scope(name) is not None
