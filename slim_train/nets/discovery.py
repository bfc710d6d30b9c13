"""What a user's record does not say, found by building the net: the scopes of its head, and its features.

The head is what depends on the number of classes, so the net is built with two of them and the shapes are compared.
Features are what the head's variables are first applied to, before any dropout.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from slim_train.errors import UsageError
from slim_train.nets.network_fn import network_fn_of
from slim_train.nets.record import Builder, NetRecord
from slim_train.tf_compat import dimensions_of_version_1, tf

# The end point that is added to a net's own.
FEATURES = "features"

# No layer of a net is likely to have one of these widths by itself.
_CLASS_COUNTS = (11, 13)
_FEWEST_CLASSES = 2
_VARIABLE_OPS = ("VarHandleOp", "VariableV2", "Variable")
_RANDOM_OPS = ("RandomUniform", "StatelessRandomUniformV2", "StatelessRandomUniform")
_SAME_NUMBERS = ("Identity", "Reshape", "Squeeze", "ExpandDims")
_OF_DROPOUT = ("Mul", "RealDiv", "SelectV2", "Select")

_complete: dict[int, tuple[NetRecord, NetRecord]] = {}


def complete_record(record: NetRecord) -> NetRecord:
    """Return ``record`` with what it does not say: head scopes, feature end point and width.

    The builder of the result also makes the end point :data:`FEATURES`, returns features for 0 classes, and has all
    variables among the model variables. The net is built on images of its default size.

    Raises:
      UsageError: it cannot be built, or nothing in it depends on the number of classes.
    """
    known = _complete.get(id(record))
    if known is None:
        # The record is kept: its id must not become another's.
        known = _complete[id(record)] = record, _completed(record)
    return known[1]


def smallest_image(record: NetRecord) -> int:
    """Return the smallest height and width in pixels that the net of a complete record can be built on."""
    low, high = 0, record.default_image_size
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _can_be_built(record, middle) else (middle, high)
    return high


def feature_width(record: NetRecord, image_size: int) -> int:
    """Return the number of features of an image of a complete record, which may depend on the image's size."""
    if image_size == record.default_image_size or record.feature_end_point != FEATURES:
        return record.feature_width
    with tf.Graph().as_default():
        _, _, end_points = _build(record, _FEWEST_CLASSES, image_size)
        return _width(end_points.get(FEATURES))


def _completed(record: NetRecord) -> NetRecord:
    try:
        return _found(record)
    except (UsageError, AttributeError) as error:
        if not _asks_for_dimensions(error.__cause__ or error):
            raise
    return _found(dataclasses.replace(record, builder=_with_dimensions(record.builder)))


def _asks_for_dimensions(error: BaseException) -> bool:
    """Return whether an exception says that a dimension of a shape is a number."""
    message = str(error) if isinstance(error, AttributeError) else ""
    return message in ("'int' object has no attribute 'value'", "'NoneType' object has no attribute 'value'")


def _with_dimensions(builder: Builder) -> Builder:
    def build(images: Any, num_classes: int, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        with dimensions_of_version_1():
            return builder(images, num_classes, **kwargs)

    return build


def _width(features: Any) -> int:
    return 0 if features is None else tf.TensorShape(features.shape[1:]).num_elements() or 0


def _found(record: NetRecord) -> NetRecord:
    plain = dataclasses.replace(record, builder=_with_model_variables(record.builder))
    shapes = []
    for num_classes in _CLASS_COUNTS:
        with tf.Graph().as_default():
            images, logits, end_points = _build(plain, num_classes)
            _check_placeholders(record, images, logits)
            shapes.append({variable.op.name: variable.shape.as_list() for variable in tf.global_variables()})
            if num_classes == _CLASS_COUNTS[0]:
                continue
            _check_names(plain, *shapes)
            head = [name for name in shapes[1] if shapes[0].get(name) != shapes[1][name]]
            if not head:
                raise UsageError(f"The net {record.name} has no variable whose shape depends on the number of classes.")
            head_scopes = record.head_scopes or _scopes(head, shapes[1])
            if record.feature_end_point:
                features = end_points.get(record.feature_end_point)
            else:
                features = _features(images, logits, head_scopes)
    builder = _with_features(plain.builder, record, head_scopes)
    return dataclasses.replace(
        record,
        builder=builder,
        head_scopes=head_scopes,
        feature_end_point=record.feature_end_point or FEATURES,
        feature_width=record.feature_width or _width(features),
    )


def _check_placeholders(record: NetRecord, images: Any, logits: Any) -> None:
    """Refuse a net that waits for values of its own, such as the rate of dropout."""
    others = [op for op in tf.get_default_graph().get_operations() if op.type == "Placeholder" and op is not images.op]
    if others and _Dependence(lambda op: op in others)(logits.op):
        raise UsageError(
            f"The net {record.name} needs values for placeholders of its own, {others[0].name} among them, and nobody "
            "feeds these: take is_training as an argument, and rates as Python numbers."
        )


def _check_names(record: NetRecord, fewer: Mapping[str, Any], more: Mapping[str, Any]) -> None:
    """Refuse a net whose variables have other names in each graph: no checkpoint would fit it."""
    if set(fewer) == set(more):
        return
    with tf.Graph().as_default():
        _build(record, _CLASS_COUNTS[0])
        now = [variable.op.name for variable in tf.global_variables()]
    others = sorted(set(fewer).difference(now))
    if others:
        raise UsageError(
            f"The net {record.name} names its variables differently each time it is built, {others[0]} among them. "
            "Layers of Keras do that: give each a name, or take those of tf.layers or slim."
        )


def _build(record: NetRecord, num_classes: int, image_size: int | None = None) -> tuple[Any, Any, Mapping[str, Any]]:
    size = image_size or record.default_image_size
    images = tf.placeholder(tf.float32, [2, size, size, record.channels], name="images")
    # In training mode: some nets have an auxiliary head in that alone.
    logits, end_points = network_fn_of(record, num_classes, is_training=True)(images)
    return images, logits, end_points


def _can_be_built(record: NetRecord, image_size: int) -> bool:
    try:
        with tf.Graph().as_default():
            _build(record, _FEWEST_CLASSES, image_size)
    except (UsageError, ValueError, ZeroDivisionError):
        return False
    return True


def _scopes(names: list[str], all_names: Iterable[str]) -> tuple[str, ...]:
    """Return the fewest scopes that hold exactly ``names``."""
    found: dict[str, None] = {}
    for name in names:
        scope = name
        while "/" in scope:
            wider = scope.rpartition("/")[0]
            if any(other.startswith(f"{wider}/") and other not in names for other in all_names):
                break
            scope = wider
        found[scope] = None
    return tuple(found)


def _with_model_variables(builder: Builder) -> Builder:
    """Return a builder after which all variables that it made are model variables, as those of slim's layers are."""

    def build(images: Any, num_classes: int, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        before = {id(variable) for variable in tf.global_variables()}
        result = builder(images, num_classes, **kwargs)
        known = {id(variable) for variable in tf.get_collection(tf.GraphKeys.MODEL_VARIABLES)}
        for variable in tf.global_variables():
            if id(variable) not in before and id(variable) not in known:
                tf.add_to_collection(tf.GraphKeys.MODEL_VARIABLES, variable)
        return result

    return build


def _with_features(builder: Builder, record: NetRecord, head_scopes: tuple[str, ...]) -> Builder:
    """Return a builder that also makes the end point of features, and returns these for 0 classes."""

    def build(images: Any, num_classes: int, **kwargs: Any) -> tuple[Any, dict[str, Any]]:
        logits, end_points = builder(images, num_classes or _FEWEST_CLASSES, **kwargs)
        if not record.feature_end_point:
            features = _features(images, logits, head_scopes)
            if features is not None:
                end_points = {**end_points, FEATURES: features}
        if num_classes:
            return logits, end_points
        features = end_points.get(record.feature_end_point or FEATURES)
        if features is None:
            raise UsageError(
                f"The net {record.name} has no features that its head alone is applied to, so they cannot be computed "
                "or cached."
            )
        _forget_variables(head_scopes)
        return tf.reshape(features, [-1, tf.TensorShape(features.shape[1:]).num_elements()]), end_points

    return build


def _forget_variables(scopes: tuple[str, ...]) -> None:
    """Take the variables of a head that nothing uses out of the graph's collections."""
    graph = tf.get_default_graph()
    for key in (tf.GraphKeys.GLOBAL_VARIABLES, tf.GraphKeys.MODEL_VARIABLES, tf.GraphKeys.TRAINABLE_VARIABLES):
        kept = [variable for variable in graph.get_collection(key) if not _in_scopes(variable.op.name, scopes)]
        graph.get_collection_ref(key)[:] = kept


def _in_scopes(name: str, scopes: tuple[str, ...]) -> bool:
    return any(name == scope or name.startswith(f"{scope}/") for scope in scopes)


def _features(images: Any, logits: Any, head_scopes: tuple[str, ...]) -> Any:
    """Return the one tensor that the head of the logits is applied to, or None if there are several."""
    of_images = _Dependence(lambda op: op is images.op)
    of_head = _Dependence(lambda op: op.type in _VARIABLE_OPS and _in_scopes(op.name, head_scopes))
    found: dict[str, Any] = {}
    waiting, seen = [logits.op], {logits.op}
    while waiting:
        for tensor in waiting.pop().inputs:
            if not of_images(tensor.op):
                continue
            if not of_head(tensor.op):
                found[tensor.name] = tensor
            elif tensor.op not in seen:
                seen.add(tensor.op)
                waiting.append(tensor.op)
    if len(found) != 1 or not of_head(logits.op):
        return None
    (features,) = found.values()
    return _before_dropout(features, of_images)


def _before_dropout(tensor: Any, of_images: _Dependence) -> Any:
    """Return what a dropout, or a change of shape, was applied to."""
    is_random = _Dependence(lambda op: op.type in _RANDOM_OPS)
    in_dropout = False
    while True:
        op = tensor.op
        inputs = [entry for entry in op.inputs if of_images(entry.op)]
        others = [entry for entry in op.inputs if not of_images(entry.op)]
        is_mask = op.type in _OF_DROPOUT and any(is_random(entry.op) for entry in others)
        # Scaling by a constant belongs to the dropout that follows it.
        is_scale = in_dropout and op.type in ("Mul", "RealDiv")
        if len(inputs) != 1 or not (op.type in _SAME_NUMBERS or is_mask or is_scale):
            return tensor
        in_dropout = is_mask or (in_dropout and not is_scale)
        tensor = inputs[0]


class _Dependence:
    """Whether the output of an op depends on ops of a kind. Shapes do not count as dependence."""

    def __init__(self, is_source: Any) -> None:
        self._is_source = is_source
        self._known: dict[Any, bool] = {}

    def __call__(self, op: Any) -> bool:
        # Not recursive: nets are deeper than Python's stack. Loops in a graph end where they were entered.
        waiting, entered = [op], {op}
        while waiting:
            current = waiting[-1]
            if current in self._known:
                waiting.pop()
            elif self._is_source(current):
                self._known[current] = True
            else:
                inputs = [] if current.type == "Shape" else [tensor.op for tensor in current.inputs]
                unknown = [entry for entry in inputs if entry not in self._known and entry not in entered]
                waiting.extend(unknown)
                entered.update(unknown)
                if not unknown:
                    self._known[current] = any(self._known.get(entry, False) for entry in inputs)
        return self._known[op]
