"""Keys, metrics, the page, and what holds for all routes."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import slim_train.serving

PAGE = Path(slim_train.serving.__file__).parent / "page"


@pytest.mark.parametrize("headers", [{"Authorization": "Bearer two"}, {"X-API-Key": "one"}])
def test_any_of_the_keys_opens(serve: Callable[..., Any], headers: dict[str, str]) -> None:
    client = serve(api_keys=("one", "two")).client
    assert client.post("/service", content=b"cat", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer three"}, {"Authorization": "Basic one"}, {"X-API-Key": ""}]
)
def test_without_a_key_there_is_no_answer(serve: Callable[..., Any], headers: dict[str, str]) -> None:
    client = serve(api_keys=("one", "two")).client
    for path in ("/service", "/v1/models/pets:predict", "/v2/models/pets/infer"):
        response = client.post(path, content=b"cat", headers=headers)
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        assert "API key" in response.json()["error"]
    assert client.get("/metrics", headers=headers).status_code == 401
    assert client.get("/models", headers=headers).status_code == 401


@pytest.mark.parametrize("path", ["/", "/docs", "/page/app.js", "/v2/health/ready"])
def test_probes_and_the_page_need_no_key(serve: Callable[..., Any], path: str) -> None:
    assert serve(api_keys=("one",)).client.get(path).status_code == 200


def test_metrics_count_answers_by_route_and_batches_by_model(client: Any) -> None:
    for body in (b"cat", b"dog", b"what"):
        client.post("/service", content=body)
    client.get("/no/such/path")
    metrics = client.get("/metrics").text
    assert 'slim_train_requests_total{route="/service",status="200"} 2.0' in metrics
    assert 'slim_train_requests_total{route="/service",status="400"} 1.0' in metrics
    assert 'slim_train_requests_total{route="other",status="404"} 1.0' in metrics
    assert 'slim_train_batch_size_sum{model="pets"} 2.0' in metrics
    assert 'slim_train_model_version{model="pets"} 3.0' in metrics
    assert 'slim_train_queue{model="pets"} 0.0' in metrics


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_page_may_load_nothing_from_elsewhere(client: Any, path: str) -> None:
    response = client.get(path)
    assert response.headers["content-type"].startswith("text/html")
    assert "default-src 'self'" in response.headers["content-security-policy"]


@pytest.mark.parametrize("file", sorted(PAGE.iterdir()), ids=lambda path: path.name)
def test_no_file_of_the_page_names_an_outside_address(file: Path) -> None:
    addresses = set(re.findall(r"(?:https?:)?//[\w.]+", file.read_text(encoding="utf-8")))
    assert addresses <= {"http://www.w3.org"}  # the name of SVG, which nobody fetches


def test_everything_the_page_refers_to_is_there(client: Any) -> None:
    for page in ("/", "/docs"):
        for reference in re.findall(r'(?:href|src)="([^"#]+)"', client.get(page).text):
            assert client.get(f"/{reference.removeprefix('./')}").status_code == 200, reference


def test_every_post_route_is_described_for_docs(client: Any) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    assert {"/service", "/v1/models/{name}:predict", "/v2/models/{name}/infer"} <= set(paths)
    assert all(route.get("summary") for routes in paths.values() for route in routes.values())
