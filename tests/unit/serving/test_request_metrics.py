"""What /metrics tells Prometheus."""

from __future__ import annotations

import pytest

pytest.importorskip("prometheus_client", reason="serving is not installed: pip install .[serve]")

from slim_train.serving.request_metrics import Metrics


def test_requests_and_runs_are_counted_by_route_and_model() -> None:
    metrics = Metrics()
    for status in (200, 200, 400):
        metrics.observe_request("/predict", status, 0.02)
    metrics.batch_observer("pets")(6, 0.1)
    lines = metrics.render().decode().splitlines()
    assert 'slim_train_requests_total{route="/predict",status="200"} 2.0' in lines
    assert 'slim_train_requests_total{route="/predict",status="400"} 1.0' in lines
    assert 'slim_train_request_seconds_count{route="/predict"} 3.0' in lines
    assert 'slim_train_batch_size_sum{model="pets"} 6.0' in lines
    assert 'slim_train_batch_seconds_bucket{le="0.075",model="pets"} 0.0' in lines
    assert 'slim_train_batch_seconds_bucket{le="0.1",model="pets"} 1.0' in lines


def test_the_queue_is_asked_for_whenever_prometheus_asks() -> None:
    metrics, queue = Metrics(), [1]
    metrics.watch_queue("pets", lambda: len(queue))
    assert 'slim_train_queue{model="pets"} 1.0' in metrics.render().decode()
    queue.append(2)
    assert 'slim_train_queue{model="pets"} 2.0' in metrics.render().decode()


def test_two_servers_in_a_process_have_numbers_of_their_own() -> None:
    first, second = Metrics(), Metrics()
    first.set_version("pets", 7)
    assert 'slim_train_model_version{model="pets"} 7.0' in first.render().decode()
    assert 'model="pets"' not in second.render().decode()
