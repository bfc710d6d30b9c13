"""TensorFlow Serving's calls, by its own stubs, over a model that takes no time."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("grpc_health.v1", reason="gRPC is not installed: pip install .[grpc]")
pytest.importorskip("tensorflow_serving", reason="gRPC is not installed: pip install .[grpc]")

import grpc
from PIL import Image
from tensorflow_serving.apis import (
    classification_pb2,
    get_model_metadata_pb2,
    get_model_status_pb2,
    model_service_pb2_grpc,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from slim_train.serving.grpc_server import GrpcServer
from slim_train.serving.request_metrics import Metrics
from slim_train.tf_compat import tf

TIMEOUT = 60
LABELS = [b"cat", b"dog", b"hot_dog"]


class Client:
    """TensorFlow Serving's stubs of a server with the model ``pets``, version 3."""

    def __init__(self, served: Any, max_message_bytes: int = 10_000) -> None:
        self.served = served
        limits = {"host": "127.0.0.1", "port": 0, "max_message_bytes": max_message_bytes, "max_calls": 8}
        self._server = GrpcServer(served.store, Metrics(), **limits)
        self._channel = grpc.insecure_channel(f"127.0.0.1:{self._server.listen()}")
        self.prediction = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)
        self.models = model_service_pb2_grpc.ModelServiceStub(self._channel)

    def predict(self, tensor: Any, name: str = "pets", **fields: Any) -> Any:
        request = predict_pb2.PredictRequest(**fields)
        request.model_spec.name = name
        request.inputs["image_bytes"].CopyFrom(tensor)
        return self.prediction.Predict(request, timeout=TIMEOUT)

    def close(self) -> None:
        self._channel.close()
        self._server.stop(0)
        self._server.join(TIMEOUT)


@pytest.fixture
def connect(serve: Callable[..., Any]) -> Iterator[Callable[..., Client]]:
    """``connect(**arguments of serve)``."""
    clients = []

    def make(**arguments: Any) -> Client:
        clients.append(Client(serve(**arguments)))
        return clients[-1]

    yield make
    for client in clients:
        client.close()


def strings(*values: bytes, shape: list[int] | None = None) -> Any:
    return tf.make_tensor_proto(list(values), tf.string, shape)


def refusal(call: Callable[[], Any]) -> tuple[Any, str]:
    with pytest.raises(grpc.RpcError) as error:
        call()
    return error.value.code(), error.value.details()


@pytest.mark.parametrize("shape", [[2], [2, 1]])
def test_images_get_the_scores_of_all_classes(connect: Callable[..., Client], shape: list[int]) -> None:
    answer = connect().predict(strings(b"cat", b"dog", shape=shape))
    assert (answer.model_spec.name, answer.model_spec.version.value) == ("pets", 3)
    assert tf.make_ndarray(answer.outputs["classes"]).tolist() == [LABELS, LABELS]
    np.testing.assert_array_equal(
        tf.make_ndarray(answer.outputs["scores"]), np.array([[0.7, 0.2, 0.25], [0.1, 0.7, 0.25]], np.float32)
    )


def test_only_the_outputs_that_are_asked_for_are_sent(connect: Callable[..., Client]) -> None:
    assert set(connect().predict(strings(b"cat"), output_filter=["scores"]).outputs) == {"scores"}


@pytest.mark.parametrize("shape", [(1, 2, 2, 3), (2, 2, 3), (1, 2, 2, 1)])
def test_images_may_be_pixels(connect: Callable[..., Client], shape: tuple[int, ...]) -> None:
    client, seen = connect(load=False), []
    client.served.servable.prepare = lambda data: seen.append(Image.open(io.BytesIO(data)).getpixel((1, 1))) or ord("c")
    client.served.store.load()
    client.predict(tf.make_tensor_proto(np.full(shape, 9, np.uint8)))
    assert seen == [9 if shape[-1] == 1 else (9, 9, 9)]


def of_shape(shape: list[int], **values: Any) -> Any:
    tensor = tf.make_tensor_proto(np.zeros(1, np.uint8))
    tensor.ClearField("tensor_content")
    tensor.ClearField("int_val")
    tensor.tensor_shape.CopyFrom(tf.TensorShape(shape).as_proto())
    for name, value in values.items():
        getattr(tensor, name).extend(value)
    return tensor


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (strings(b"nothing"), "cannot be read"),
        (strings(b"cat", b"cat", b"cat", b"cat", shape=[2, 2]), "holds 4 strings in the shape"),
        (tf.make_tensor_proto(np.zeros([1, 2, 2, 3], np.float32)), "has the type float32: the input must be"),
        (tf.make_tensor_proto(np.zeros([2, 2], np.uint8)), "holds 4 pixels in the shape"),
        (tf.make_tensor_proto(np.zeros([1, 2, 2, 2], np.uint8)), "is not an image"),
        (of_shape([2**20] * 3, int_val=[1]), "holds 1 pixels in the shape"),  # which would be an exabyte
        (of_shape([0, 2, 2, 3]), "there must be an image in it"),
        (of_shape([1, 1, 3], int_val=[0, 256, 300]), "has values beyond 0 to 255"),
        (tf.make_tensor_proto(np.zeros([1000, 1, 1, 3], np.uint8)), "1000 images in one request are too many"),
        (strings(*[b"cat"] * 1000), "1000 images in one request are too many"),
    ],
)
def test_other_tensors_are_refused(connect: Callable[..., Client], tensor: Any, message: str) -> None:
    client = connect()
    code, details = refusal(lambda: client.predict(tensor))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert message in details
    assert client.predict(strings(b"cat")).outputs


def test_what_is_not_served_is_not_found(connect: Callable[..., Client]) -> None:
    client = connect()
    code, details = refusal(lambda: client.predict(strings(b"cat"), name="pet"))
    assert code == grpc.StatusCode.NOT_FOUND
    assert "Did you mean pets?" in details
    request = predict_pb2.PredictRequest()
    request.model_spec.version.value = 7
    code, details = refusal(lambda: client.prediction.Predict(request, timeout=TIMEOUT))
    assert (code, details) == (grpc.StatusCode.NOT_FOUND, "Model pets has no version 7: version 3 is served.")
    request.model_spec.version_label = "stable"
    assert "no version labels" in refusal(lambda: client.prediction.Predict(request, timeout=TIMEOUT))[1]


def test_a_request_without_a_name_means_the_first_model(connect: Callable[..., Client]) -> None:
    assert connect(names=("pets", "others")).predict(strings(b"cat"), name="").model_spec.name == "pets"


def test_a_large_request_is_refused(connect: Callable[..., Client]) -> None:
    client = connect()
    assert refusal(lambda: client.predict(strings(b"c" * 20_000)))[0] == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_model_that_is_loading_is_unavailable(connect: Callable[..., Client]) -> None:
    client = connect(load=False)
    assert refusal(lambda: client.predict(strings(b"cat")))[0] == grpc.StatusCode.UNAVAILABLE
    (state,) = client.models.GetModelStatus(
        get_model_status_pb2.GetModelStatusRequest(), timeout=TIMEOUT
    ).model_version_status
    assert state.state == get_model_status_pb2.ModelVersionStatus.LOADING


def test_a_model_that_fails_is_an_internal_error(connect: Callable[..., Client]) -> None:
    client = connect()
    code, details = refusal(lambda: client.predict(strings(b"!")))
    assert (code, details) == (
        grpc.StatusCode.INTERNAL,
        "Model pets failed on this request; the server's log says why.",
    )


def test_the_status_names_the_version(connect: Callable[..., Client]) -> None:
    (state,) = (
        connect()
        .models.GetModelStatus(get_model_status_pb2.GetModelStatusRequest(), timeout=TIMEOUT)
        .model_version_status
    )
    assert (state.version, state.state) == (3, get_model_status_pb2.ModelVersionStatus.AVAILABLE)


def test_examples_are_classified_best_first(connect: Callable[..., Client]) -> None:
    client, request = connect(), classification_pb2.ClassificationRequest()
    for data in (b"dog", b"cat"):
        features = request.input.example_list.examples.add().features
        features.feature["image/encoded"].bytes_list.value.append(data)
    answer = client.prediction.Classify(request, timeout=TIMEOUT)
    found = [[one.label for one in image.classes] for image in answer.result.classifications]
    assert found == [["dog", "hot_dog", "cat"], ["cat", "hot_dog", "dog"]]
    assert answer.result.classifications[0].classes[0].score == pytest.approx(0.7)


def test_examples_without_an_image_are_refused(connect: Callable[..., Client]) -> None:
    client, request = connect(), classification_pb2.ClassificationRequest()
    assert "must be an example_list" in refusal(lambda: client.prediction.Classify(request, timeout=TIMEOUT))[1]
    request.input.example_list.examples.add().features.feature["image"].bytes_list.value.append(b"cat")
    code, details = refusal(lambda: client.prediction.Classify(request, timeout=TIMEOUT))
    assert code == grpc.StatusCode.INVALID_ARGUMENT
    assert "examples[0] must have one image, the bytes of the feature image/encoded" in details


def test_the_signature_is_that_of_a_saved_model(connect: Callable[..., Client]) -> None:
    request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
    answer = connect().prediction.GetModelMetadata(request, timeout=TIMEOUT)
    signatures = get_model_metadata_pb2.SignatureDefMap()
    assert answer.metadata["signature_def"].Unpack(signatures)
    signature = signatures.signature_def["serving_default"]
    assert set(signature.inputs) == {"image_bytes"}
    assert [dim.size for dim in signature.outputs["scores"].tensor_shape.dim] == [-1, 3]
