"""TensorFlow Serving's gRPC interface: PredictionService and ModelService.

Messages are those of ``tensorflow-serving-api``, so that its clients may be pointed at either server. The signature
that is served is that of the SavedModels of export_inference_graph: images in; ``classes`` and ``scores`` out, in the
order of the labels.
"""

from __future__ import annotations

import asyncio
import math
import reprlib
from typing import Any

import numpy as np
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from slim_train.inference.loaders import CLASSIFY, SERVING
from slim_train.serving import answers
from slim_train.serving.errors import RequestError
from slim_train.serving.models import Model, ModelStore, Version
from slim_train.serving.pixels import bytes_of_values, encode_pixel_tensor
from slim_train.tf_compat import tf

SERVICES = ("tensorflow.serving.PredictionService", "tensorflow.serving.ModelService")

_METADATA = "signature_def"
_ENCODED = "image/encoded"
_PREDICT = "tensorflow/serving/predict"
_TAKES = "image_bytes as DT_STRING [N], or pixels as DT_UINT8 [N, height, width, channels]"


def add_services(store: ModelStore, server: Any) -> None:
    """Let a server of gRPC answer with the models of ``store``."""
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(_Prediction(store), server)
    model_service_pb2_grpc.add_ModelServiceServicer_to_server(_ModelStatus(store), server)


class _Prediction(prediction_service_pb2_grpc.PredictionServiceServicer):
    """Predict, Classify and GetModelMetadata; other calls are UNIMPLEMENTED."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store

    async def Predict(self, request: Any, context: Any) -> Any:
        """Return the scores of every class."""
        model = _model(self._store, request.model_spec)
        answers.check_labels(model.current, model)
        wanted = answers.wanted_outputs(request.output_filter)
        images = await asyncio.to_thread(_images, request.inputs, model)
        used, results = await answers.run(model, images)
        labels = answers.check_labels(used, model)
        outputs = {
            "classes": lambda: tf.make_tensor_proto([list(labels)] * len(results)),
            "scores": lambda: tf.make_tensor_proto(np.stack(results).astype(np.float32)),
        }
        answer = predict_pb2.PredictResponse(model_spec=_spec(model, used, SERVING))
        for name in wanted:
            answer.outputs[name].CopyFrom(outputs[name]())
        return answer

    async def Classify(self, request: Any, context: Any) -> Any:
        """Return labels and scores of each example, best first."""
        model = _model(self._store, request.model_spec, CLASSIFY)
        answers.check_labels(model.current, model)
        images = await asyncio.to_thread(_images_of_examples, request.input, model)
        used, results = await answers.run(model, images)
        labels = answers.check_labels(used, model)
        result = classification_pb2.ClassificationResult(
            classifications=[
                classification_pb2.Classifications(
                    classes=[
                        classification_pb2.Class(label=label, score=score)
                        for label, score in answers.best_first(scores, labels, len(labels))
                    ]
                )
                for scores in results
            ]
        )
        return classification_pb2.ClassificationResponse(model_spec=_spec(model, used, CLASSIFY), result=result)

    async def GetModelMetadata(self, request: Any, context: Any) -> Any:
        """Return the signature."""
        model = _model(self._store, request.model_spec)
        unknown = [field for field in request.metadata_field if field != _METADATA]
        if unknown or not request.metadata_field:
            raise RequestError(400, f"metadata_field must be {_METADATA!r}: there is no other metadata.")
        version = model.current
        classes = len(answers.check_labels(version, model))
        answer = get_model_metadata_pb2.GetModelMetadataResponse(model_spec=_spec(model, version, ""))
        signatures = get_model_metadata_pb2.SignatureDefMap()
        signatures.signature_def[SERVING].CopyFrom(_signature(classes))
        answer.metadata[_METADATA].Pack(signatures)
        return answer


class _ModelStatus(model_service_pb2_grpc.ModelServiceServicer):
    """GetModelStatus; models are not configured by calls."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store

    async def GetModelStatus(self, request: Any, context: Any) -> Any:
        """Return whether a model answers, and what keeps a newer version from it."""
        spec = request.model_spec
        model = self._store.get(spec.name or None)
        states = get_model_status_pb2.ModelVersionStatus
        if not model.is_ready:
            return get_model_status_pb2.GetModelStatusResponse(
                model_version_status=[states(version=1, state=states.LOADING)]
            )
        _check_version(model, spec)
        found = [states(version=model.current.number, state=states.AVAILABLE)]
        if model.failure:
            failed = states(state=states.END)
            failed.status.error_code, failed.status.error_message = 2, model.failure  # UNKNOWN, as over REST
            found.insert(0, failed)
        return get_model_status_pb2.GetModelStatusResponse(model_version_status=found)


def _model(store: ModelStore, spec: Any, *others: str) -> Model:
    """Return the model that a request names: the first one if it names none."""
    model = store.get(spec.name or None)
    _check_version(model, spec)
    if spec.signature_name not in ("", SERVING, *others):
        given = reprlib.repr(spec.signature_name)
        raise RequestError(400, f"There is no signature {given}: only {SERVING}, which takes images.")
    return model


def _check_version(model: Model, spec: Any) -> None:
    if spec.version_label:
        raise RequestError(404, f"Model {model.name} has no version labels: leave the version out, or give its number.")
    answers.check_version(model, spec.version.value if spec.HasField("version") else None)


def _spec(model: Model, version: Version, signature: str) -> Any:
    spec = model_pb2.ModelSpec(name=model.name, signature_name=signature)
    spec.version.value = version.number
    return spec


def _images(inputs: Any, model: Model) -> list[bytes]:
    """Return the images of the one tensor of a request, whatever its name."""
    if len(inputs) != 1:
        raise RequestError(400, f"There must be one input, {_TAKES}, not {len(inputs)}.")
    ((name, tensor),) = inputs.items()
    where = f"inputs[{reprlib.repr(name)}]"
    shape = [dimension.size for dimension in tensor.tensor_shape.dim]
    count = math.prod(shape)
    if tensor.tensor_shape.unknown_rank or any(size < 1 for size in shape):
        raise RequestError(400, f"{where} has the shape {shape}: there must be an image in it.")
    model.check_count(shape[0] if len(shape) != 3 else 1)
    # Not tf.make_ndarray: it fills a tensor up to its shape, of whatever size, with the last value.
    if tensor.dtype == tf.string.as_datatype_enum:
        encoded = list(tensor.string_val)
        if shape[1:] not in ([], [1]) or len(encoded) != count:
            raise RequestError(400, f"{where} holds {len(encoded)} strings in the shape {shape}: it must be [N].")
        return encoded
    if tensor.dtype == tf.uint8.as_datatype_enum:
        content = tensor.tensor_content or bytes_of_values(tensor.int_val, where)
        return encode_pixel_tensor(content, shape, where)
    raise RequestError(400, f"{where} has the type {_type_name(tensor.dtype)}: the input must be {_TAKES}.")


def _type_name(number: int) -> str:
    try:
        return str(tf.as_dtype(number).name)
    except TypeError:
        return str(number)


def _images_of_examples(given: Any, model: Model) -> list[bytes]:
    kind = given.WhichOneof("kind")
    if kind != "example_list":
        raise RequestError(400, "The input must be an example_list: an image belongs to its example.")
    if not given.example_list.examples:
        raise RequestError(400, "The example_list is empty: there must be an image in it.")
    model.check_count(len(given.example_list.examples))
    images = []
    for index, example in enumerate(given.example_list.examples):
        features = example.features.feature
        values = features[_ENCODED].bytes_list.value if _ENCODED in features else []
        if len(values) != 1:
            raise RequestError(400, f"examples[{index}] must have one image, the bytes of the feature {_ENCODED}.")
        images.append(values[0])
    return images


def _signature(classes: int) -> Any:
    def tensor(dtype: Any, *shape: int) -> Any:
        return tf.TensorInfo(dtype=dtype.as_datatype_enum, tensor_shape=tf.TensorShape([None, *shape]).as_proto())

    return tf.saved_model.build_signature_def(
        {"image_bytes": tensor(tf.string)},
        {"classes": tensor(tf.string, classes), "scores": tensor(tf.float32, classes)},
        _PREDICT,
    )
