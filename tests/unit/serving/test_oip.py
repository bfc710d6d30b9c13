"""The Open Inference Protocol."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

CAT = base64.b64encode(b"cat").decode()
DOG = base64.b64encode(b"dog").decode()
NESTED = json.loads("[" * 800 + "]" * 800)


def tensor(**changes: Any) -> dict[str, Any]:
    return {"inputs": [{"name": "image_bytes", "shape": [1], "datatype": "BYTES", "data": [CAT]} | changes]}


def test_health_of_a_loaded_server(client: Any) -> None:
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    assert client.get("/v2/models/pets/ready").json() == {"name": "pets", "ready": True}
    assert client.get("/v2").json()["name"] == "slim-train"


def test_a_server_that_loads_is_alive_and_not_ready(serve: Callable[..., Any]) -> None:
    client = serve(load=False).client
    assert client.get("/v2/health/live").status_code == 200
    assert client.get("/v2/health/ready").status_code == 503
    assert client.get("/v2/models/pets/ready").status_code == 503


def test_a_server_that_stops_is_not_ready_and_still_answers(serve: Callable[..., Any]) -> None:
    served = serve()
    served.store.stop()
    assert served.client.get("/v2/health/ready").status_code == 503
    assert served.client.post("/service", content=b"cat").status_code == 200


def test_metadata_has_shapes(client: Any) -> None:
    metadata = client.get("/v2/models/pets/versions/3").json()
    assert (metadata["name"], metadata["versions"]) == ("pets", ["3"])
    assert metadata["inputs"] == [{"name": "image_bytes", "datatype": "BYTES", "shape": [-1]}]
    assert metadata["outputs"][1] == {"name": "scores", "datatype": "FP32", "shape": [-1, 3]}


def test_infer_answers_every_image_and_gives_the_id_back(client: Any) -> None:
    body = {"id": "42", **tensor(shape=[2], data=[CAT, DOG])}
    assert client.post("/v2/models/pets/infer", json=body).json() == {
        "id": "42",
        "model_name": "pets",
        "model_version": "3",
        "outputs": [
            {"name": "classes", "datatype": "BYTES", "shape": [2, 3], "data": ["cat", "dog", "hot_dog"] * 2},
            {"name": "scores", "datatype": "FP32", "shape": [2, 3], "data": [0.7, 0.2, 0.25, 0.1, 0.7, 0.25]},
        ],
    }


def test_infer_answers_the_outputs_that_were_asked_for(client: Any) -> None:
    outputs = client.post("/v2/models/pets/infer", json=tensor() | {"outputs": [{"name": "scores"}]}).json()["outputs"]
    assert [output["name"] for output in outputs] == ["scores"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "'inputs' must be a list of one tensor"),
        ({"inputs": {}}, "'inputs' must be a list of one tensor"),
        ({"inputs": [1]}, "'inputs' must be a list of one tensor"),
        (tensor(datatype="FP32"), "must be BYTES, not 'FP32'"),
        (tensor(data=[]), "must be a list of base64 texts"),
        (tensor(data="Y2F0"), "must be a list of base64 texts"),
        (tensor(shape=[2]), "shape does not fit its data: it must be [1]"),
        (tensor(shape=["1"]), "does not fit"),
        (tensor(shape=[]), "does not fit"),
        (tensor(shape=[-1, -1]), "does not fit"),
        (tensor(shape=1), "does not fit"),
        (tensor(data=["?"]), "data[0] is not base64"),
        (tensor() | {"outputs": [{"name": "logits"}]}, "no output 'logits'"),
        (tensor() | {"outputs": "scores"}, "'outputs' must be a list"),
    ],
)
def test_wrong_bodies_get_400_and_the_reason(client: Any, body: Any, message: str) -> None:
    response = client.post("/v2/models/pets/infer", json=body)
    assert response.status_code == 400
    assert message in response.json()["error"]


def test_a_column_of_images_is_taken_as_well(client: Any) -> None:
    outputs = client.post("/v2/models/pets/infer", json=tensor(shape=[2, 1], data=[CAT, DOG])).json()["outputs"]
    assert outputs[1]["shape"] == [2, 3]


def test_a_shape_of_large_numbers_is_neither_multiplied_nor_sent_back(client: Any) -> None:
    response = client.post("/v2/models/pets/infer", json=tensor(shape=[10**4000] * 2))
    assert (response.status_code, len(response.content) < 1000) == (400, True)


@pytest.mark.parametrize("given", [5, ["a"], "\ud800"])
def test_an_id_that_no_answer_could_repeat_gets_400(client: Any, given: Any) -> None:
    response = client.post("/v2/models/pets/infer", content=json.dumps({"id": given, **tensor()}))
    assert (response.status_code, response.json()) == (400, {"error": "'id' must be text."})


def test_an_id_of_null_is_none(client: Any) -> None:
    assert "id" not in client.post("/v2/models/pets/infer", json={"id": None, **tensor()}).json()


@pytest.mark.parametrize("changes", [{"datatype": NESTED}, {"datatype": "\ud800" * 500}])
def test_what_a_refusal_repeats_is_cut_short(client: Any, changes: dict[str, Any]) -> None:
    response = client.post("/v2/models/pets/infer", content=json.dumps(tensor(**changes)))
    assert (response.status_code, len(response.content) < 200) == (400, True)


def test_unknown_models_and_versions_get_404(client: Any) -> None:
    assert client.post("/v2/models/pet/infer", json=tensor()).status_code == 404
    assert client.post("/v2/models/pets/versions/4/infer", json=tensor()).status_code == 404
    assert client.get("/v2/models/pets/versions/4/ready").status_code == 404
