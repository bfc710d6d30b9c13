"""The Open Inference Protocol over gRPC, by Triton's own client, over a model that takes no time."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("grpc_health.v1", reason="gRPC is not installed: pip install .[grpc]")
pytest.importorskip("tensorflow_serving", reason="gRPC is not installed: pip install .[grpc]")
pytest.importorskip("tritonclient.grpc", reason="tritonclient is not installed: pip install .[triton]")

import tritonclient.grpc as client
from PIL import Image

from slim_train.serving.grpc_server import GrpcServer
from slim_train.serving.request_metrics import Metrics

TIMEOUT = 60


@pytest.fixture
def connect() -> Iterator[Callable[..., Any]]:
    """``connect(served)``: a client of its models."""
    servers = []

    def start(served: Any, api_keys: tuple[str, ...] = ()) -> Any:
        limits = {"host": "127.0.0.1", "port": 0, "max_message_bytes": 10_000, "max_calls": 8}
        server = GrpcServer(served.store, Metrics(), **limits, api_keys=api_keys)
        servers.append((server, client.InferenceServerClient(f"127.0.0.1:{server.listen()}")))
        return servers[-1][1]

    yield start
    for server, triton in servers:
        triton.close()
        server.stop(0)
        server.join(TIMEOUT)


def images(values: Any, datatype: str = "BYTES") -> Any:
    tensor = client.InferInput("image_bytes", list(values.shape), datatype)
    tensor.set_data_from_numpy(values)
    return tensor


def files(*contents: bytes) -> Any:
    return images(np.array(contents, np.object_))


def refusal(call: Callable[[], Any]) -> str:
    with pytest.raises(client.InferenceServerException) as error:
        call()
    return f"{error.value.status()} {error.value.message()}"


def test_images_get_the_scores_of_all_classes(serve: Callable[..., Any], connect: Callable[..., Any]) -> None:
    answer = connect(serve()).infer("pets", [files(b"cat", b"dog")], request_id="7", client_timeout=TIMEOUT)
    assert answer.as_numpy("classes").tolist() == [[b"cat", b"dog", b"hot_dog"]] * 2
    np.testing.assert_array_equal(answer.as_numpy("scores"), np.array([[0.7, 0.2, 0.25], [0.1, 0.7, 0.25]], np.float32))
    assert (answer.get_response().id, answer.get_response().model_version) == ("7", "3")


def test_images_may_be_pixels(serve: Callable[..., Any], connect: Callable[..., Any]) -> None:
    served, seen = serve(load=False), []
    served.servable.prepare = lambda data: seen.append(Image.open(io.BytesIO(data)).getpixel((1, 1))) or ord("c")
    served.store.load()
    pixels = images(np.full((1, 2, 2, 3), 9, np.uint8), "UINT8")
    wanted = [client.InferRequestedOutput("scores")]
    answer = connect(served).infer("pets", [pixels], outputs=wanted, client_timeout=TIMEOUT)
    assert seen == [(9, 9, 9)]
    assert answer.as_numpy("classes") is None


def test_state_and_metadata_are_those_of_rest(serve: Callable[..., Any], connect: Callable[..., Any]) -> None:
    served = serve(load=False)
    triton = connect(served)
    assert triton.is_server_live()
    assert not triton.is_server_ready()
    assert not triton.is_model_ready("pets")
    served.store.load()
    assert triton.is_server_ready()
    assert triton.is_model_ready("pets", "3")
    metadata = triton.get_model_metadata("pets", as_json=True)
    assert metadata == served.client.get("/v2/models/pets").json() | {
        "inputs": [{"name": "image_bytes", "datatype": "BYTES", "shape": ["-1"]}],
        "outputs": [
            {"name": "classes", "datatype": "BYTES", "shape": ["-1", "3"]},
            {"name": "scores", "datatype": "FP32", "shape": ["-1", "3"]},
        ],
    }


def test_only_the_state_of_the_server_is_open_without_a_key(
    serve: Callable[..., Any], connect: Callable[..., Any]
) -> None:
    triton = connect(serve(), api_keys=("secret",))
    assert triton.is_server_ready()
    assert "UNAUTHENTICATED" in refusal(lambda: triton.infer("pets", [files(b"cat")]))
    answer = triton.infer("pets", [files(b"cat")], headers={"x-api-key": "secret"})
    assert answer.as_numpy("scores").shape == (1, 3)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (lambda: files(b"nothing"), "INVALID_ARGUMENT The image cannot be read"),
        (lambda: images(np.zeros((1, 2, 2, 3), np.float32), "FP32"), "INVALID_ARGUMENT The input's datatype is 'FP32'"),
        (lambda: images(np.zeros((2, 2), np.uint8), "UINT8"), "INVALID_ARGUMENT The input holds 4 pixels in the shape"),
        (lambda: truncated(), "INVALID_ARGUMENT The raw input does not hold 1 images"),
    ],
)
def test_other_tensors_are_refused(
    serve: Callable[..., Any], connect: Callable[..., Any], tensor: Callable[[], Any], message: str
) -> None:
    triton = connect(serve())
    assert message in refusal(lambda: triton.infer("pets", [tensor()])).replace("StatusCode.", "")
    assert "no version '7'" in refusal(lambda: triton.infer("pets", [files(b"cat")], model_version="7"))


def truncated() -> Any:
    tensor = files(b"cat")
    tensor._raw_content = tensor._raw_content[:-1]
    return tensor
