"""The zoo: net names, their records, and graph builders by name.

``get_network_fn`` is the function of research/slim's ``nets_factory`` with the same name and result.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from slim_train.errors import UsageError
from slim_train.nets import (
    alexnet,
    cifarnet,
    face_vgg,
    inception,
    inception_resnet_v2,
    inception_v4,
    lenet,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    nasnet,
    overfeat,
    pnasnet,
    resnet,
    vgg,
)
from slim_train.nets.conventions import as_record
from slim_train.nets.discovery import complete_record
from slim_train.nets.network_fn import network_fn_of
from slim_train.nets.record import NetRecord
from slim_train.registry import BUILT_IN, Registry
from slim_train.user_functions import origin_of

_FAMILIES = (
    alexnet,
    cifarnet,
    face_vgg,
    inception,
    inception_resnet_v2,
    inception_v4,
    lenet,
    mobilenet_v1,
    mobilenet_v2,
    mobilenet_v3,
    nasnet,
    overfeat,
    pnasnet,
    resnet,
    vgg,
)
_RECORDS = types.MappingProxyType({record.name: record for family in _FAMILIES for record in family.RECORDS})


def _check(name: str, net: Any) -> None:
    if not isinstance(net, NetRecord) and not callable(net):
        raise UsageError(f"The net {name!r} must be a NetRecord or a function, not {type(net).__name__}.")


# What was registered, and its record; to complete one takes seconds.
_complete: dict[str, tuple[Any, NetRecord]] = {}
# Besides records, functions in research/slim's convention.
_NETS: Registry[Any] = Registry("net", "slim_train.nets", _RECORDS, _check, listed_by="slim_models")


def register_net(net: NetRecord | Callable[..., Any]) -> Any:
    """Make a net known by its name in this process, for ``--model_name`` and ``get_network_fn``.

    Args:
      net: its record, or a function in research/slim's convention, whose name it takes. Usable as a decorator.

    Returns:
      ``net``.

    Raises:
      UsageError: the name is that of a net of slim-train.
    """
    function: Any = net.builder if isinstance(net, NetRecord) else net
    name = net.name if isinstance(net, NetRecord) else net.__name__
    _NETS.register(name, net, origin_of(function))
    return net


def families() -> dict[str, tuple[NetRecord, ...]]:
    """Return the nets of slim-train by the modules that research/slim has them in, such as ``mobilenet_v1``."""
    return {family.__name__.rpartition(".")[2]: family.RECORDS for family in _FAMILIES}


def net_names() -> tuple[str, ...]:
    """Return the names that ``get_record`` and ``get_network_fn`` take, sorted."""
    return _NETS.names()


def is_registered(name: str, files: Iterable[Path]) -> bool:
    """Return whether one of ``files`` registered a net of this name."""
    return name in _NETS and _NETS.origin(name) in set(map(str, files))


def registered_record(name: str) -> NetRecord:
    """Return the record of a registered net as it was registered; :func:`get_record` completes it."""
    return as_record(_NETS.get(name), name)


def net_origin(name: str) -> str:
    """Return where the net ``name`` comes from: slim-train, a file or module, or a package with its version."""
    return _NETS.origin(name)


def get_record(name: str) -> NetRecord:
    """Return what is known of the net ``name``.

    Raises:
      UsageError: there is no such net; the message names the nearest, or lists all if none is near. A net of others
        that cannot be built.
    """
    net = _NETS.get(name)
    if net_origin(name) == BUILT_IN:
        return net
    known = _complete.get(name)
    if known is None or known[0] is not net:
        known = _complete[name] = net, complete_record(as_record(net, name))
    return known[1]


def get_network_fn(
    net: str | NetRecord,
    num_classes: int | None,
    weight_decay: float = 0.0,
    is_training: bool = False,
    batch_norm_decay: float | None = None,
    freeze_batch_norm: bool | Callable[[Any, str], bool] = False,
) -> Callable[..., tuple[Any, dict[str, Any]]]:
    """Return a function that builds a net on images.

    Args:
      net: one of ``net_names()``, or a record.
      num_classes: width of the logits. With 0 or None there are no logits and no auxiliary head, and the features take
        their place: [batch, width] or [batch, 1, 1, width].
      weight_decay: factor of the L2 regularization losses; 0 makes none.
      is_training: dropout drops, and batch norm normalizes by the batch and has update ops.
      batch_norm_decay: decay of the moving averages of batch norm; None takes that of the net's authors.
      freeze_batch_norm: batch norm uses its moving averages and leaves them alone, whatever ``is_training`` says. A
        function decides that for each layer, from the layer's inputs and its variable scope.

    Returns:
      A function of ``images``, float32 [batch, height, width, channels], and of the keyword arguments of the net's
      builder. It returns the logits, [batch, num_classes], and a dict of end points by name. Its attribute
      ``default_image_size`` is the image size of the released weights. It raises UsageError for images that are too
      small.

    Raises:
      UsageError: there is no such net.
    """
    record = get_record(net) if isinstance(net, str) else net
    return network_fn_of(record, num_classes, weight_decay, is_training, batch_norm_decay, freeze_batch_norm)
