"""TensorFlow Serving's REST interface."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

LABELS = ["cat", "dog", "hot_dog"]


def b64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def test_status_names_the_version_that_answers(client: Any) -> None:
    assert client.get("/v1/models/pets").json() == {
        "model_version_status": [
            {"version": "3", "state": "AVAILABLE", "status": {"error_code": "OK", "error_message": ""}}
        ]
    }
    assert client.get("/v1/models/pets/versions/3").status_code == 200


def test_status_of_a_model_that_is_being_loaded(serve: Callable[..., Any]) -> None:
    (status,) = serve(load=False).client.get("/v1/models/pets").json()["model_version_status"]
    assert status["state"] == "LOADING"


@pytest.mark.parametrize(
    "instances",
    [[b64(b"cat"), b64(b"dog")], [{"image_bytes": b64(b"cat")}, {"image_bytes": b64(b"dog")}]],
    ids=["bare", "named"],
)
def test_instances_are_answered_row_by_row(client: Any, instances: list[Any]) -> None:
    response = client.post("/v1/models/pets:predict", json={"instances": instances})
    assert response.json() == {
        "predictions": [
            {"classes": LABELS, "scores": [0.7, 0.2, 0.25]},
            {"classes": LABELS, "scores": [0.1, 0.7, 0.25]},
        ]
    }


@pytest.mark.parametrize("instance", [[[[9, 9, 9]]], {"image": [[[9, 9, 9]]]}], ids=["bare", "named"])
def test_instances_may_be_pixels(serve: Callable[..., Any], instance: Any) -> None:
    served = serve(load=False)
    seen = []
    served.servable.prepare = lambda data: seen.append(Image.open(io.BytesIO(data)).getpixel((0, 0))) or ord("c")
    served.store.load()
    response = served.client.post("/v1/models/pets:predict", json={"instances": [instance]})
    assert response.status_code == 200
    assert seen == [(9, 9, 9)]


@pytest.mark.parametrize("inputs", [[b64(b"cat")], {"image_bytes": [b64(b"cat")]}], ids=["bare", "named"])
def test_inputs_are_answered_by_columns(client: Any, inputs: Any) -> None:
    response = client.post("/v1/models/pets/versions/3:predict", json={"inputs": inputs})
    assert response.json() == {"outputs": {"classes": [LABELS], "scores": [[0.7, 0.2, 0.25]]}}


@pytest.mark.parametrize("signature", ["serving_default", "classify"])
def test_classify_answers_all_labels_best_first(client: Any, signature: str) -> None:
    body = {"signature_name": signature, "examples": [{"image/encoded": b64(b"dog")}]}
    response = client.post("/v1/models/pets:classify", json=body)
    assert response.json() == {"results": [[["dog", 0.7], ["hot_dog", 0.25], ["cat", 0.1]]]}


def test_metadata_has_the_signature(client: Any) -> None:
    metadata = client.get("/v1/models/pets/metadata").json()
    assert metadata["model_spec"] == {"name": "pets", "signature_name": "", "version": "3"}
    signature = metadata["metadata"]["signature_def"]["signature_def"]["serving_default"]
    assert signature["outputs"]["scores"]["tensor_shape"]["dim"] == [
        {"size": "-1", "name": ""},
        {"size": "3", "name": ""},
    ]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "no body"),
        (b"{", "not JSON"),
        (b"\xff\xfe", "not JSON"),
        (b"[" * 9_000, "nested too deeply"),
        (b'{"instances": [{"b64": "Y2F0"}], "id": NaN}', "not JSON: NaN"),
        (b"[]", "must be a JSON object, not a list"),
        (b"{}", "one of 'instances' and 'inputs'"),
        (b'{"instances": [], "inputs": []}', "one of 'instances' and 'inputs'"),
        (b'{"instances": []}', "is empty"),
        (b'{"instances": {"b64": "Y2F0"}}', "must be a list"),
        (b'{"instances": ["Y2F0"]}', "instances[0] must be an image"),
        (b'{"instances": [{"b64": 1}]}', "instances[0] must be base64 text, not a number"),
        (b'{"instances": [{"b64": "Y2F?"}]}', "instances[0] is not base64"),
        (b'{"instances": [{"b64": "Y2F0"}, {"b64": "eA=="}]}', "Image 1: The image cannot be read"),
        (b'{"instances": [[[[0.5]]]]}', "instances[0] has fractions"),
        (b'{"instances": [{"image": [[[0, 0, 256]]]}]}', "instances[0] has values from 0 to 256"),
        pytest.param(b'{"instances": %s}' % (b"[" * 800 + b"]" * 800), "instances[0] is not an image", id="deep"),
        (b'{"instances": [{"b64": "Y2F0"}], "signature_name": "pixels"}', "no signature 'pixels'"),
        pytest.param(
            b'{"instances": [{"b64": "Y2F0"}], "signature_name": %s}' % (b"[" * 800 + b"]" * 800),
            "no signature [[[[[[[...]]]]]]]: only",
            id="deep signature",
        ),
    ],
)
def test_wrong_bodies_get_400_and_the_reason(client: Any, body: bytes, message: str) -> None:
    response = client.post("/v1/models/pets:predict", content=body)
    assert response.status_code == 400
    assert message in response.json()["error"]


def test_classify_wants_examples(client: Any) -> None:
    for body in ({}, {"examples": []}, {"examples": [{"image": "x"}]}, {"context": {}, "examples": []}):
        assert client.post("/v1/models/pets:classify", json=body).status_code == 400


@pytest.mark.parametrize(
    "path", ["/v1/models/pet:predict", "/v1/models/pets/versions/4:predict", "/v1/models/pets:eat"]
)
def test_what_is_not_there_gets_404(client: Any, path: str) -> None:
    response = client.post(path, json={"instances": [b64(b"cat")]})
    assert response.status_code in (404, 405)
    assert response.json()["error"]


def test_a_model_in_a_form_of_its_own_is_predicted_but_not_classified(serve: Callable[..., Any]) -> None:
    served = serve()
    served.servable.labels = None
    served.servable.run = lambda batch: ["a cat\n"] * len(batch)
    served.store.get().load()  # takes the other run
    predicted = served.client.post("/v1/models/pets:predict", json={"instances": [b64(b"cat")]})
    assert predicted.json() == {"predictions": ["a cat\n"]}
    classified = served.client.post("/v1/models/pets:classify", json={"examples": [{"i": b64(b"cat")}]})
    assert classified.status_code == 400
    assert "/service/pets" in classified.json()["error"]
    assert served.client.post("/service", content=b"cat").text == "a cat\n"
