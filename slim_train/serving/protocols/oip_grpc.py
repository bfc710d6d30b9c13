"""The Open Inference Protocol, version 2, over gRPC, as KServe, Triton and MLServer speak it.

Messages are those of ``tritonclient``. The input is one tensor: BYTES, a file for each image, or UINT8, their pixels;
the outputs are ``classes`` and ``scores``, in the order of the labels.
"""

from __future__ import annotations

import asyncio
import math
import reprlib
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
from tritonclient.grpc import service_pb2, service_pb2_grpc

import slim_train
from slim_train.serving import answers
from slim_train.serving.errors import RequestError
from slim_train.serving.models import Model, ModelStore
from slim_train.serving.pixels import bytes_of_values, encode_pixel_tensor

SERVICE = "inference.GRPCInferenceService"
# Probes of a cluster have no key.
OPEN_CALLS = (f"/{SERVICE}/ServerLive", f"/{SERVICE}/ServerReady")

_LENGTH = struct.Struct("<I")
_TAKES = "BYTES [N], a file for each image, or UINT8 [N, height, width, channels]"


def add_service(store: ModelStore, server: Any) -> None:
    """Let a server of gRPC answer with the models of ``store``."""
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(_Inference(store), server)


class _Inference(service_pb2_grpc.GRPCInferenceServiceServicer):
    """The calls of the protocol; those that are Triton's own are UNIMPLEMENTED."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store

    async def ServerLive(self, request: Any, context: Any) -> Any:
        """Return that the process answers."""
        return service_pb2.ServerLiveResponse(live=True)

    async def ServerReady(self, request: Any, context: Any) -> Any:
        """Return whether every model is loaded and warm."""
        return service_pb2.ServerReadyResponse(ready=self._store.is_ready)

    async def ServerMetadata(self, request: Any, context: Any) -> Any:
        """Return name and version of the server."""
        return service_pb2.ServerMetadataResponse(name="slim-train", version=slim_train.__version__)

    async def ModelReady(self, request: Any, context: Any) -> Any:
        """Return whether a model is loaded and warm."""
        is_ready = self._store.get(request.name).is_ready
        if is_ready:
            _model(self._store, request.name, request.version)
        return service_pb2.ModelReadyResponse(ready=is_ready)

    async def ModelMetadata(self, request: Any, context: Any) -> Any:
        """Return inputs and outputs of a model."""
        model = _model(self._store, request.name, request.version)
        classes = len(answers.check_labels(model.current, model))
        tensor = service_pb2.ModelMetadataResponse.TensorMetadata
        return service_pb2.ModelMetadataResponse(
            name=model.name,
            versions=[str(model.current.number)],
            platform="tensorflow",
            inputs=[tensor(name="image_bytes", datatype="BYTES", shape=[-1])],
            outputs=[
                tensor(name="classes", datatype="BYTES", shape=[-1, classes]),
                tensor(name="scores", datatype="FP32", shape=[-1, classes]),
            ],
        )

    async def ModelInfer(self, request: Any, context: Any) -> Any:
        """Return the scores of every class."""
        model = _model(self._store, request.model_name, request.model_version)
        answers.check_labels(model.current, model)
        wanted = answers.wanted_outputs([output.name for output in request.outputs])
        images = await asyncio.to_thread(_images, request, model)
        used, results = await answers.run(model, images)
        labels = answers.check_labels(used, model)
        answer = service_pb2.ModelInferResponse(model_name=model.name, model_version=str(used.number), id=request.id)
        # Raw, because tritonclient reads no other numbers.
        for name in wanted:
            is_scores = name == "scores"
            answer.outputs.add(name=name, datatype="FP32" if is_scores else "BYTES", shape=[len(results), len(labels)])
            raw = np.stack(results).astype("<f4").tobytes() if is_scores else _raw(labels) * len(results)
            answer.raw_output_contents.append(raw)
        return answer


def _model(store: ModelStore, name: str, version: str) -> Model:
    model = store.get(name)
    answers.check_version(model, version or None)
    return model


def _images(request: Any, model: Model) -> list[bytes]:
    """Return the images of the one tensor of a request, whatever its name."""
    if len(request.inputs) != 1:
        raise RequestError(400, f"There must be one input, {_TAKES}, not {len(request.inputs)}.")
    (tensor,) = request.inputs
    shape, raw = list(tensor.shape), request.raw_input_contents
    if len(raw) > 1 or any(size < 1 for size in shape):
        raise RequestError(400, f"The input has the shape {shape}: there must be an image in it.")
    model.check_count(shape[0] if shape and len(shape) != 3 else 1)
    if tensor.datatype == "BYTES":
        encoded = _elements(raw[0], math.prod(shape)) if raw else list(tensor.contents.bytes_contents)
        if shape not in ([len(encoded)], [len(encoded), 1]):
            raise RequestError(400, f"The input holds {len(encoded)} elements in the shape {shape}: it must be [N].")
        return encoded
    if tensor.datatype == "UINT8":
        content = raw[0] if raw else bytes_of_values(tensor.contents.uint_contents, "The input")
        return encode_pixel_tensor(content, shape, "The input")
    raise RequestError(400, f"The input's datatype is {reprlib.repr(tensor.datatype)}: it must be {_TAKES}.")


def _raw(texts: Sequence[str]) -> bytes:
    encoded = [text.encode() for text in texts]
    return b"".join(part for text in encoded for part in (_LENGTH.pack(len(text)), text))


def _elements(raw: bytes, count: int) -> list[bytes]:
    """Return the elements of a BYTES tensor, ``count`` of them: each with its length, 4 bytes, before it."""
    found, position = list[bytes](), 0
    while position + _LENGTH.size <= len(raw) and len(found) < count:
        start = position + _LENGTH.size
        position = start + _LENGTH.unpack_from(raw, position)[0]
        found.append(raw[start:position])
    if position != len(raw) or len(found) != count:
        raise RequestError(400, f"The raw input does not hold {count} images, each after its length in 4 bytes.")
    return found
