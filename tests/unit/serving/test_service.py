"""POST /service, as the UAI service answers it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

CAT = [["cat", 0.7], ["hot_dog", 0.25]]
DOG = [["dog", 0.7], ["hot_dog", 0.25]]


def test_the_body_is_the_picture_and_the_answer_pairs_best_first(client: Any) -> None:
    response = client.post("/service", content=b"cat")
    assert (response.status_code, response.json()) == (200, CAT)


def test_a_body_that_calls_itself_a_form_is_a_picture_all_the_same(client: Any) -> None:
    # What curl --data-binary says of it.
    response = client.post("/service", content=b"cat", headers={"Content-Type": "application/x-www-form-urlencoded"})
    assert response.json() == CAT


def test_a_file_of_a_multipart_form_is_the_picture(client: Any) -> None:
    assert client.post("/service", files={"image": ("a.jpg", b"dog")}).json() == DOG


def test_several_files_get_their_answers_in_order(client: Any) -> None:
    files = [("image", ("a.jpg", b"dog")), ("image", ("b.jpg", b"cat"))]
    assert client.post("/service", files=files).json() == [DOG, CAT]


def test_the_request_says_how_many_classes_it_wants(client: Any) -> None:
    assert client.post("/service?top_k=1", content=b"cat").json() == CAT[:1]
    assert len(client.post("/service?top_k=99", content=b"cat").json()) == 3


def test_another_model_is_asked_by_its_name(serve: Callable[..., Any]) -> None:
    served = serve(names=("pets", "others"))
    others = next(model for model in served.store if model.name == "others").current.servable
    assert served.client.post("/service/others", content=b"cat").json() == CAT
    assert (others.batches, served.servable.batches) == ([1], [])


def test_models_are_listed_with_what_they_tell_apart(serve: Callable[..., Any]) -> None:
    first, second = serve(names=("pets", "others")).client.get("/models").json()
    assert first == {
        "name": "pets",
        "ready": True,
        "version": 3,
        "net": "first_bytes",
        "labels": ["cat", "dog", "hot_dog"],
    }
    assert second["name"] == "others"


def test_thousands_of_labels_have_a_route_of_their_own(
    serve: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    served = serve()
    assert served.client.get("/models/pets/labels").json() == ["cat", "dog", "hot_dog"]
    many = tuple(f"class {number}" for number in range(21_843))
    monkeypatch.setattr(served.servable, "labels", many)
    assert len(served.client.get("/models").content) < 200
    assert served.client.get("/models").json()[0]["num_classes"] == 21_843
    assert served.client.get("/models/pets/labels").json() == list(many)
    assert served.client.get("/models/nets/labels").status_code == 404


@pytest.mark.parametrize(
    ("request_", "status", "message"),
    [
        ({"content": b""}, 400, "There is no image in the request"),
        ({"content": b"plain text"}, 400, "The image cannot be read: not an image."),
        ({"files": {"image": ("a.jpg", b"")}}, 400, "There is no image in the request"),
        ({"files": [("i", ("a", b"cat")), ("i", ("b", b"what"))]}, 400, "Image 1: The image cannot be read"),
        ({"data": {"image": "cat"}, "files": {}}, 400, "not an image"),
        ({"content": b"cat", "params": {"top_k": "many"}}, 400, "top_k"),
        ({"content": b"cat", "params": {"top_k": 0}}, 400, "top_k"),
        ({"content": b"--", "headers": {"Content-Type": "multipart/form-data"}}, 400, "oundary"),
        ({"content": b"x", "headers": {"Content-Type": "multipart/form-data; boundary=b"}}, 400, ""),
        ({"content": b"c" * 10_001}, 413, "at most 0.01 MB"),
        ({"content": (b"c" * 1000 for _ in range(11))}, 413, "at most 0.01 MB"),
    ],
)
def test_bad_requests_are_told_what_is_wrong(client: Any, request_: Any, status: int, message: str) -> None:
    response = client.post("/service", **request_)
    assert response.status_code == status
    assert message in response.json()["error"]
    assert client.post("/service", content=b"cat").json() == CAT  # and the server lives on


def test_a_form_without_a_file_is_told_so(client: Any) -> None:
    body = b'--b\r\nContent-Disposition: form-data; name="image"\r\n\r\ncat\r\n--b--\r\n'
    response = client.post("/service", content=body, headers={"Content-Type": "multipart/form-data; boundary=b"})
    assert response.status_code == 400
    assert "The form has no file in it" in response.json()["error"]


def test_a_body_as_large_as_allowed_passes(client: Any) -> None:
    assert client.post("/service", content=b"c" * 10_000).status_code == 200
    assert client.post("/service", content=(b"c" * 1000 for _ in range(10))).status_code == 200


def test_a_body_that_announces_its_size_is_refused_before_it_is_read(client: Any) -> None:
    response = client.post("/service", content=iter([b"cat"]), headers={"Content-Length": "10001"})
    assert response.status_code == 413


def test_an_unknown_model_gets_404_with_the_nearest_name(client: Any) -> None:
    response = client.post("/service/pet", content=b"cat")
    assert response.status_code == 404
    assert response.json() == {"error": "There is no model 'pet'. Did you mean pets? Models: pets."}


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/service", 405), ("GET", "/nothing", 404)])
def test_wrong_routes_get_json_too(client: Any, method: str, path: str, status: int) -> None:
    response = client.request(method, path)
    assert response.status_code == status
    assert response.json()["error"]


def test_a_model_that_is_not_loaded_yet_gets_503_with_retry_after(serve: Callable[..., Any]) -> None:
    response = serve(load=False).client.post("/service", content=b"cat")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert "is being loaded" in response.json()["error"]


def test_a_full_queue_gets_503_with_retry_after(serve: Callable[..., Any]) -> None:
    served = serve(limits={"max_queue": 2})
    served.servable.gate.clear()
    _, futures = served.store.get().submit([b"cat", b"dog"])
    response = served.client.post("/service", content=b"cat")
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")
    assert "Too many requests are waiting" in response.json()["error"]
    served.servable.gate.set()
    assert all(future.result(60) is not None for future in futures)
    assert served.client.post("/service", content=b"cat").json() == CAT


def test_a_model_that_fails_is_our_fault_and_leaves_the_server_alive(client: Any) -> None:
    response = client.post("/service", content=b"!")
    assert response.status_code == 500
    assert response.json() == {"error": "Model pets failed on this request; the server's log says why."}
    assert client.post("/service", content=b"cat").json() == CAT
