"""The layers of a net, read from its TensorFlow graph for inference, operation by operation.

Operations that belong together are one layer: a convolution and its bias, scaling and offset.
"""

from __future__ import annotations

import collections
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from slim_train.errors import UsageError
from slim_train.interchange.layer_graph import LINEAR, LOCAL_RESPONSE_NORMALIZATION, Layer, LayerGraph, layers_up_to
from slim_train.tf_compat import tf

_BATCH_NORMS = ("FusedBatchNorm", "FusedBatchNormV2", "FusedBatchNormV3")
_BATCH_NORM_ROLES = ("gamma", "beta", "moving_mean", "moving_variance")
_POOLS = {"MaxPool": "MaxPooling2D", "AvgPool": "AveragePooling2D"}
# Functions of each value, by the name that Keras has for them.
_ACTIVATIONS = {
    "Elu": "elu",
    "Exp": "exponential",
    "Selu": "selu",
    "Sigmoid": "sigmoid",
    "Softplus": "softplus",
    "Softsign": "softsign",
    "Tanh": "tanh",
}
_MERGES = {"Add": "Add", "AddV2": "Add", "Mul": "Multiply", "Sub": "Subtract", "Maximum": "Maximum"}
_PASSED_THROUGH = ("Identity", "StopGradient", "PreventGradient", "CheckNumerics")
_VARIABLES = ("VarHandleOp", "VariableV2", "Variable")
_VARIABLE_READS = (*_VARIABLES, "ReadVariableOp", "Identity")
# Operations of which only some inputs are data; the others say how.
_DATA_INPUTS = {"Reshape": 1, "Pad": 1, "PadV2": 1, "MirrorPad": 1, "Mean": 1, "StridedSlice": 1, "Squeeze": 1}


def read_layers(source: Any, output: Any, dropouts: Mapping[str, float] | None = None) -> LayerGraph:
    """Return the layers between two tensors of a graph for inference, with variables.

    Args:
      source: the tensor of the images, [batch, height, width, channels].
      output: the tensor of the result.
      dropouts: rates of dropout by the name of the tensor that passes through, see ``tf_compat.dropouts_noted``.

    Raises:
      UsageError: Keras has no layer for an operation; the message names it.
    """
    return _Reader(source, output, dropouts or {}).read()


class _Reader:
    """Reads one graph."""

    def __init__(self, source: Any, output: Any, dropouts: Mapping[str, float]) -> None:
        self._source, self._output, self._dropouts = source, output, dropouts
        self._layers: dict[str, Layer] = {}
        self._layer_of: dict[str, str] = {}  # by the name of a tensor
        self._operations = _between(source, output)
        self._uses = collections.Counter(
            tensor.name for operation in self._operations for tensor in _data_inputs(operation)
        )

    def read(self) -> LayerGraph:
        source = self._source
        self._add("InputLayer", source, (), {"dtype": "float32"})
        standardized = {operation: _standardized(operation) for operation in self._operations}
        skipped = {inner for found in standardized.values() if found for inner in found[1]}
        for operation in self._operations:
            found = standardized[operation]
            if found:
                # Like tf.image.per_image_standardization but for images that are flat up to a single step of a pixel.
                config = {"axis": [1, 2, 3], "epsilon": 1e-6, "center": False, "scale": False}
                self._add("LayerNormalization", operation.outputs[0], [self._layer(found[0])], config)
            elif operation is not source.op and operation not in skipped:
                self._read_operation(operation)
        output = self._layer_of[self._output.name]
        # Without the layers that became a part of a later one.
        return LayerGraph(layers_up_to(output, self._layers), output)

    def _read_operation(self, operation: Any) -> None:
        kind, output = operation.type, operation.outputs[0]
        readers: dict[str, Callable[[Any, Any], object]] = {
            "Conv2D": self._convolution,
            "DepthwiseConv2dNative": self._convolution,
            "MatMul": self._matrix_product,
            "BiasAdd": self._bias,
            "Relu": lambda operation, output: self._follow("ReLU", output, {}),
            "Relu6": lambda operation, output: self._follow("ReLU", output, {"max_value": 6.0}),
            "LeakyRelu": self._leaky_relu,
            "ConcatV2": self._concatenation,
            "AddN": lambda operation, output: self._merge("Add", output, operation.inputs),
            "LRN": self._local_response_normalization,
            "Mean": self._mean,
            "Pad": self._padding,
            "PadV2": self._padding,
            "StridedSlice": self._cropping,
            "Reshape": self._reshape,
            "Squeeze": self._reshape,
            "Softmax": lambda operation, output: self._follow("Softmax", output, {}),
            "RealDiv": self._arithmetic,
            **dict.fromkeys(_MERGES, self._arithmetic),
            **dict.fromkeys(_BATCH_NORMS, self._batch_norm),
            **dict.fromkeys(_POOLS, self._pool),
            **dict.fromkeys(_PASSED_THROUGH, self._identity),
        }
        if kind in _ACTIVATIONS:
            self._follow("Activation", output, {"activation": _ACTIVATIONS[kind]})
        elif kind in readers:
            readers[kind](operation, output)
        else:
            raise _unsupported(operation)

    def _add(
        self,
        kind: str,
        output: Any,
        inputs: Iterable[str],
        config: Mapping[str, Any],
        weights: Mapping[str, Any] | None = None,
    ) -> Layer:
        """Add a layer that computes the tensor ``output``."""
        shape: Any = output.shape.as_list()[1:] if output.shape.rank else [None]
        if None in shape:
            raise _unsupported(output.op, "has an output whose size is not known")
        layer = Layer(kind, output.op.name, tuple(inputs), dict(config), dict(weights or {}), tuple(shape))
        self._layers[layer.name] = layer
        self._layer_of[output.name] = layer.name
        return layer

    def _follow(self, kind: str, output: Any, config: Mapping[str, Any]) -> Layer:
        """Add a layer on the first input of the operation."""
        return self._add(kind, output, [self._layer(output.op.inputs[0])], config)

    def _layer(self, tensor: Any) -> str:
        name = self._layer_of.get(tensor.name)
        if name is None:
            raise _unsupported(tensor.op, "is a weight where images are expected")
        return name

    def _only_use(self, tensor: Any) -> Layer | None:
        """Return the layer of a tensor, if the operation at hand is all that takes it."""
        return self._layers[self._layer_of[tensor.name]] if self._uses[tensor.name] == 1 else None

    def _identity(self, operation: Any, output: Any) -> None:
        rate = self._dropouts.get(output.name)
        if rate is not None:
            self._follow("Dropout", output, {"rate": rate})
        else:
            self._layer_of[output.name] = self._layer(operation.inputs[0])

    def _convolution(self, operation: Any, output: Any) -> None:
        _check_layout(operation)
        images, kernel = operation.inputs
        strides, dilations = operation.get_attr("strides")[1:3], operation.get_attr("dilations")[1:3]
        padding, source = operation.get_attr("padding").decode(), self._layer(images)
        if padding == "EXPLICIT":
            pads = np.reshape(operation.get_attr("explicit_paddings"), [4, 2])[1:3].tolist()
            source = self._pad(operation, images, source, pads)
            padding = "VALID"
        height, width, in_channels, out_channels = kernel.shape.as_list()
        config: dict[str, Any] = {
            "kernel_size": (height, width),
            "strides": tuple(strides),
            "dilation_rate": tuple(dilations),
            "padding": padding.lower(),
        }
        if operation.type == "Conv2D":
            kind = "Conv2D"
            config |= {"filters": out_channels, "groups": images.shape.as_list()[-1] // in_channels}
        else:
            kind = "DepthwiseConv2D"
            config |= {"depth_multiplier": out_channels}
        self._add(kind, output, [source], config, {"kernel": self._weight(kernel)})

    def _pad(self, operation: Any, images: Any, source: str, pads: list[list[int]]) -> str:
        """Add a layer for padding that is a part of a convolution."""
        (top, bottom), (left, right) = pads
        height, width, channels = images.shape.as_list()[1:]
        name = f"{operation.name}/padding"
        shape = (height + top + bottom, width + left + right, channels)
        config = {"padding": ((top, bottom), (left, right))}
        self._layers[name] = Layer("ZeroPadding2D", name, (source,), config, {}, shape)
        return name

    def _matrix_product(self, operation: Any, output: Any) -> None:
        if operation.get_attr("transpose_a") or operation.get_attr("transpose_b"):
            raise _unsupported(operation, "transposes its inputs")
        images, kernel = operation.inputs
        weights = {"kernel": self._weight(kernel)}
        self._add("Dense", output, [self._layer(images)], {"units": output.shape.as_list()[-1]}, weights)

    def _bias(self, operation: Any, output: Any) -> None:
        images, bias = operation.inputs
        before = self._only_use(images)
        if before is None or before.kind not in LINEAR or "bias" in before.weights:
            raise _unsupported(
                operation, "adds a bias to what is not the result of a convolution or a dense layer alone"
            )
        self._add(before.kind, output, before.inputs, before.config, {**before.weights, "bias": self._weight(bias)})

    def _batch_norm(self, operation: Any, output: Any) -> None:
        _check_layout(operation)
        if operation.get_attr("is_training"):
            raise _unsupported(operation, "uses the statistics of the batch")
        weights = dict(zip(_BATCH_NORM_ROLES, map(self._weight, operation.inputs[1:5]), strict=True))
        for role, neutral in (("gamma", 1.0), ("beta", 0.0)):
            weight = weights[role]
            if not isinstance(weight, str) and np.all(weight == neutral):
                del weights[role]
        config = {"epsilon": round(operation.get_attr("epsilon"), 9)}
        self._add("BatchNormalization", output, [self._layer(operation.inputs[0])], config, weights)

    def _leaky_relu(self, operation: Any, output: Any) -> None:
        self._follow("LeakyReLU", output, {"negative_slope": round(operation.get_attr("alpha"), 7)})

    def _local_response_normalization(self, operation: Any, output: Any) -> None:
        config = {name: round(operation.get_attr(name), 9) for name in ("bias", "alpha", "beta")}
        config["radius"] = operation.get_attr("depth_radius")
        self._follow(LOCAL_RESPONSE_NORMALIZATION, output, config)

    def _pool(self, operation: Any, output: Any) -> None:
        _check_layout(operation)
        (batch, *size, depth), (_, *strides, _) = operation.get_attr("ksize"), operation.get_attr("strides")
        padding = operation.get_attr("padding").decode()
        if batch != 1 or depth != 1 or padding == "EXPLICIT":
            raise _unsupported(operation, "pools over channels or with explicit padding")
        config = {"pool_size": tuple(size), "strides": tuple(strides), "padding": padding.lower()}
        self._follow(_POOLS[operation.type], output, config)

    def _concatenation(self, operation: Any, output: Any) -> None:
        *parts, axis = operation.inputs
        axis = int(tf.get_static_value(axis))
        config = {"axis": axis - output.shape.rank if axis > 0 else axis}
        self._add("Concatenate", output, [self._layer(part) for part in parts], config)

    def _mean(self, operation: Any, output: Any) -> None:
        axes = sorted(np.ravel(tf.get_static_value(operation.inputs[1])) % operation.inputs[0].shape.rank)
        if operation.inputs[0].shape.rank != 4 or axes != [1, 2]:
            raise _unsupported(operation, f"takes the mean over the axes {[int(axis) for axis in axes]}")
        self._follow("GlobalAveragePooling2D", output, {"keepdims": bool(operation.get_attr("keep_dims"))})

    def _padding(self, operation: Any, output: Any) -> None:
        pads = tf.get_static_value(operation.inputs[1])
        value = tf.get_static_value(operation.inputs[2]) if operation.type == "PadV2" else 0
        if pads is None or len(pads) != 4 or np.any(pads[[0, 3]]) or value != 0:
            raise _unsupported(operation, "pads other than height and width, or with other values than zeros")
        self._follow("ZeroPadding2D", output, {"padding": tuple(map(tuple, pads[1:3].tolist()))})

    def _cropping(self, operation: Any, output: Any) -> None:
        images = operation.inputs[0]
        begin, strides = (tf.get_static_value(operation.inputs[index]) for index in (1, 3))
        masks = [operation.get_attr(f"{name}_mask") for name in ("ellipsis", "new_axis", "shrink_axis")]
        before, after = images.shape.as_list(), output.shape.as_list()
        if begin is None or any(masks) or len(before) != 4 or np.any(strides != 1) or before[3] != after[3]:
            raise _unsupported(operation, "slices other than the borders of images")
        start = [0 if operation.get_attr("begin_mask") >> axis & 1 else int(begin[axis]) for axis in (1, 2)]
        first = [max(0, side + size if side < 0 else side) for side, size in zip(start, before[1:3], strict=True)]
        config = {"cropping": tuple((first[i], before[i + 1] - after[i + 1] - first[i]) for i in (0, 1))}
        self._follow("Cropping2D", output, config)

    def _reshape(self, operation: Any, output: Any) -> None:
        before, after = operation.inputs[0].shape.as_list()[1:], output.shape.as_list()[1:]
        if before == after:
            self._layer_of[output.name] = self._layer(operation.inputs[0])
        elif len(after) == 1:
            self._follow("Flatten", output, {})
        else:
            self._follow("Reshape", output, {"target_shape": tuple(after)})

    def _merge(self, kind: str, output: Any, tensors: Iterable[Any]) -> None:
        self._add(kind, output, [self._layer(tensor) for tensor in tensors], {})

    def _arithmetic(self, operation: Any, output: Any) -> None:
        """Two tensors, or a tensor and a constant."""
        left, right = operation.inputs
        constants = [_constant(tensor) for tensor in (left, right)]
        if constants[0] is None and constants[1] is None and operation.type in _MERGES:
            self._merge(_MERGES[operation.type], output, (left, right))
        elif constants[1] is not None:
            self._affine(operation, left, constants[1])
        elif constants[0] is not None and operation.type in ("Add", "AddV2", "Mul"):
            self._affine(operation, right, constants[0])
        elif constants[0] is not None and operation.type == "Sub":
            self._rescale(output, right, -1.0, constants[0])
        else:
            raise _unsupported(operation)

    def _affine(self, operation: Any, tensor: Any, constant: NDArray[np.float64]) -> None:
        scale, offset = {
            "Add": (1.0, constant),
            "AddV2": (1.0, constant),
            "Sub": (1.0, -constant),
            "Mul": (constant, 0.0),
            "RealDiv": (1.0 / constant, 0.0),
        }.get(operation.type, (None, None))
        if scale is None or offset is None:
            raise _unsupported(operation)
        self._rescale(operation.outputs[0], tensor, scale, offset)

    def _rescale(self, output: Any, tensor: Any, scale: Any, offset: Any) -> None:
        """Add ``tensor`` times ``scale`` plus ``offset``, together with what was done in this way before."""
        before, source = self._only_use(tensor), self._layer(tensor)
        if before is not None and before.kind == "Rescaling":
            offset = before.config["offset"] * scale + offset
            scale = before.config["scale"] * scale
            source = before.inputs[0]
        elif before is not None and before.kind == "ReLU" and self._is_hard_sigmoid(before, scale, offset):
            self._add("Activation", output, self._layers[before.inputs[0]].inputs, {"activation": "hard_sigmoid"})
            return
        self._add("Rescaling", output, [source], {"scale": _number(scale), "offset": _number(offset)})

    def _is_hard_sigmoid(self, relu: Layer, scale: Any, offset: Any) -> bool:
        """Whether this is relu6(x + 3) / 6."""
        shift = self._layers[relu.inputs[0]]
        return (
            relu.config == {"max_value": 6.0}
            and shift.kind == "Rescaling"
            and shift.config == {"scale": 1.0, "offset": 3.0}
            and np.ndim(scale) == 0
            and bool(np.isclose(scale, 1 / 6, rtol=1e-6))
            and bool(np.all(offset == 0.0))
        )

    def _weight(self, tensor: Any) -> str | NDArray[np.float32]:
        """Return the name of the variable that a tensor reads, or its constant value."""
        operation = tensor.op
        while operation.type in _VARIABLE_READS and operation.type not in _VARIABLES:
            operation = operation.inputs[0].op
        if operation.type in _VARIABLES:
            return operation.name
        value = tf.get_static_value(tensor)
        if value is None:
            raise _unsupported(operation, "computes a weight")
        return value.astype(np.float32)


def _between(source: Any, output: Any) -> list[Any]:
    """Return the operations that compute ``output`` from ``source``, each after its inputs."""
    needed, pending = {source.op}, [output.op]
    while pending:
        operation = pending.pop()
        if operation not in needed:
            needed.add(operation)
            pending += [tensor.op for tensor in _data_inputs(operation)]
    on_the_way, ordered = {source.op}, [source.op]
    for operation in output.graph.get_operations():
        if operation in needed and any(tensor.op in on_the_way for tensor in _data_inputs(operation)):
            on_the_way.add(operation)
            ordered.append(operation)
    if output.op not in on_the_way:
        raise UsageError(f"The net cannot be written in Keras: {output.name} does not depend on the images.")
    return ordered


def _standardized(operation: Any) -> tuple[Any, set[Any]] | None:
    """Return what an operation brings to mean 0 and deviation 1 by image, and the operations that take part; or None.

    Those are (x - mean) / max(sqrt(mean of squared differences), constant), as tf.nn.moments has them.
    """
    if operation.type != "RealDiv" or [tensor.op.type for tensor in operation.inputs] != ["Sub", "Maximum"]:
        return None
    difference, deviation = (tensor.op for tensor in operation.inputs)
    images, mean = difference.inputs
    inner: set[Any] = {difference, deviation, mean.op}
    while deviation.type in ("Maximum", "Sqrt", "Mean", "Squeeze", "Reshape") and deviation is not mean.op:
        inner.add(deviation)
        deviation = deviation.inputs[0].op
    if deviation.type != "SquaredDifference" or deviation.inputs[0] is not images:
        return None
    inner |= {deviation, deviation.inputs[1].op}
    axes = tf.get_static_value(mean.op.inputs[1]) if mean.op.type == "Mean" else ()
    return (images, inner - {operation}) if sorted(np.ravel(axes)) == [1, 2, 3] else None


def _data_inputs(operation: Any) -> list[Any]:
    return list(operation.inputs)[: _DATA_INPUTS.get(operation.type)]


def _constant(tensor: Any) -> NDArray[np.float64] | None:
    """Return the value of a constant that is one number, or one for each channel; None if it is computed."""
    value = tf.get_static_value(tensor)
    if value is None:
        return None
    if np.size(value) not in (1, *np.shape(value)[-1:]):
        raise _unsupported(tensor.op, f"is a constant {list(value.shape)}, neither one number nor one for each channel")
    value = np.asarray(value, np.float64)
    return value.reshape(()) if value.size == 1 else value.reshape(-1)


def _number(value: Any) -> Any:
    """Return a number for a scalar, else an array."""
    return float(value) if np.ndim(value) == 0 else np.asarray(value)


def _check_layout(operation: Any) -> None:
    if operation.get_attr("data_format") != b"NHWC":
        raise _unsupported(operation, "has the channels before height and width")


def _unsupported(operation: Any, why: str = "") -> UsageError:
    reason = why or "has no layer in Keras"
    return UsageError(
        f"The net cannot be written in Keras: the operation {operation.type} ({operation.name}) {reason}."
    )
