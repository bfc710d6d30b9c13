"""Requests become batches, and each gets its own answer."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from slim_train.serving.batcher import Batcher, BatchLimits
from slim_train.serving.errors import RequestError

TIMEOUT = 60.0
LIMITS = BatchLimits(max_batch_size=4, timeout=TIMEOUT, max_queue=8)


class Model:
    """Doubles numbers; remembers its batches; waits at a gate that tests open."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.open = threading.Event()
        self.started = threading.Event()

    def prepare(self, data: bytes) -> int:
        return int(data)

    def run(self, batch: list[int]) -> list[int]:
        self.batches.append(batch)
        self.started.set()
        assert self.open.wait(TIMEOUT)
        if 13 in batch:
            raise RuntimeError("thirteen")
        return [2 * number for number in batch]


@pytest.fixture
def model() -> Model:
    return Model()


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(2) as pool:
        yield pool


def answers(futures: list[Any]) -> list[Any]:
    return [future.result(TIMEOUT) for future in futures]


def numbers(*values: int) -> list[bytes]:
    return [str(value).encode() for value in values]


def test_each_request_gets_its_own_answer(model: Model, pool: ThreadPoolExecutor) -> None:
    model.open.set()
    batcher = Batcher(model.prepare, model.run, LIMITS, pool)
    assert answers(batcher.submit(numbers(1, 2, 3, 4, 5, 6))) == [2, 4, 6, 8, 10, 12]
    batcher.close()


def test_a_request_that_is_alone_does_not_wait_for_others(model: Model, pool: ThreadPoolExecutor) -> None:
    model.open.set()
    limits = BatchLimits(max_batch_size=4, timeout=10 * TIMEOUT, max_queue=8)
    batcher = Batcher(model.prepare, model.run, limits, pool)
    assert answers(batcher.submit(numbers(7))) == [14]
    batcher.close()


def test_what_comes_while_a_batch_runs_is_the_next_batch(model: Model, pool: ThreadPoolExecutor) -> None:
    batcher = Batcher(model.prepare, model.run, LIMITS, pool)
    first = batcher.submit(numbers(1))
    assert model.started.wait(TIMEOUT)
    rest = batcher.submit(numbers(2, 3, 4, 5, 6))
    model.open.set()
    assert answers(first + rest) == [2, 4, 6, 8, 10, 12]
    assert [len(batch) for batch in model.batches] == [1, 4, 1]
    batcher.close()


def test_a_batch_does_not_wait_for_a_slow_picture_longer_than_the_timeout(
    model: Model, pool: ThreadPoolExecutor
) -> None:
    model.open.set()
    slow = threading.Event()

    def prepare(data: bytes) -> int:
        if data == b"0":
            assert slow.wait(TIMEOUT)
        return int(data)

    batcher = Batcher(prepare, model.run, BatchLimits(4, 0.01, 8), pool)
    futures = batcher.submit(numbers(0, 1))
    assert futures[1].result(TIMEOUT) == 2  # would not come before the slow one with a long timeout
    assert not futures[0].done()
    slow.set()
    assert futures[0].result(TIMEOUT) == 0
    batcher.close()


def test_a_full_queue_refuses_and_takes_requests_again_later(model: Model, pool: ThreadPoolExecutor) -> None:
    batcher = Batcher(model.prepare, model.run, LIMITS, pool)
    accepted = batcher.submit(numbers(*range(8)))
    with pytest.raises(RequestError) as refused:
        batcher.submit(numbers(8))
    assert refused.value.status == 503
    assert refused.value.headers() == {"Retry-After": "1"}
    model.open.set()
    answers(accepted)
    assert answers(batcher.submit(numbers(8))) == [16]
    batcher.close()


def test_a_request_of_many_images_is_accepted_whole_or_not_at_all(model: Model, pool: ThreadPoolExecutor) -> None:
    batcher = Batcher(model.prepare, model.run, LIMITS, pool)
    accepted = batcher.submit(numbers(1, 2, 3, 4, 5))
    with pytest.raises(RequestError):
        batcher.submit(numbers(1, 2, 3, 4))
    assert batcher.unanswered == 5
    model.open.set()
    answers(accepted)
    batcher.close()


def test_more_images_than_the_queue_holds_are_told_so(model: Model, pool: ThreadPoolExecutor) -> None:
    batcher = Batcher(model.prepare, model.run, LIMITS, pool)
    with pytest.raises(RequestError, match="9 images in one request are too many: at most 8") as refused:
        batcher.submit(numbers(*range(9)))
    assert refused.value.status == 413
    batcher.close()


def test_bytes_that_cannot_be_prepared_fail_alone(model: Model, pool: ThreadPoolExecutor) -> None:
    model.open.set()
    batcher = Batcher(model.prepare, model.run, LIMITS, pool)
    good, bad = batcher.submit([b"1", b"one"])
    assert good.result(TIMEOUT) == 2
    with pytest.raises(ValueError, match="invalid literal"):
        bad.result(TIMEOUT)
    assert batcher.unanswered == 0
    batcher.close()


def test_a_request_that_the_model_fails_on_does_not_take_its_batch_along(
    model: Model, pool: ThreadPoolExecutor
) -> None:
    batcher = Batcher(model.prepare, model.run, LIMITS, pool)
    first = batcher.submit(numbers(1))
    assert model.started.wait(TIMEOUT)
    twelve, thirteen = batcher.submit(numbers(12, 13))
    model.open.set()
    assert [answers(first), twelve.result(TIMEOUT)] == [[2], 24]
    with pytest.raises(RuntimeError, match="thirteen"):
        thirteen.result(TIMEOUT)
    batcher.close()


def test_a_model_that_loses_a_result_is_an_error_not_a_wrong_answer(pool: ThreadPoolExecutor) -> None:
    batcher = Batcher(int, lambda batch: [], LIMITS, pool)
    with pytest.raises(ValueError, match="0 results for 1 requests"):
        answers(batcher.submit(numbers(1)))
    batcher.close()


def test_closing_does_not_wait_for_a_model_that_hangs(model: Model, pool: ThreadPoolExecutor) -> None:
    batcher = Batcher(model.prepare, model.run, LIMITS, pool)
    futures = batcher.submit(numbers(1))
    assert model.started.wait(TIMEOUT)
    assert not batcher.close(0.01)
    model.open.set()
    assert answers(futures) == [2]
    assert batcher.close(TIMEOUT)


def test_closing_answers_what_was_accepted(model: Model, pool: ThreadPoolExecutor) -> None:
    batcher = Batcher(model.prepare, model.run, LIMITS, pool)
    futures = batcher.submit(numbers(1, 2, 3, 4, 5, 6))
    closing = threading.Thread(target=batcher.close)
    closing.start()
    assert not futures[5].done()
    model.open.set()
    closing.join(TIMEOUT)
    assert answers(futures) == [2, 4, 6, 8, 10, 12]
