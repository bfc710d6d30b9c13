"""Versions of a model: found, loaded, replaced, and refused when they are broken."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("prometheus_client", reason="serving is not installed: pip install .[serve]")

from slim_train.errors import UsageError
from slim_train.serving.batcher import BatchLimits
from slim_train.serving.models import Model, ModelStore
from slim_train.serving.options import BatchOptions
from slim_train.serving.request_metrics import Metrics
from slim_train.serving.sources import FolderSource, Found, fingerprint

TIMEOUT = 60.0


class Answers:
    """A servable that answers every request with the text it was loaded from."""

    labels = None

    def __init__(self, text: str) -> None:
        self.text = text
        self.gate = threading.Event()
        self.gate.set()
        self.closed = self.warm = False

    def prepare(self, data: bytes) -> bytes:
        return data

    def run(self, batch: list[bytes]) -> list[str]:
        assert self.gate.wait(TIMEOUT)
        assert not self.closed, "ran after it was closed"
        return [self.text] * len(batch)

    def warm_up(self, max_batch_size: int) -> None:
        if self.text == "cold":
            raise RuntimeError("it stays cold")
        self.warm = True

    def describe(self) -> dict[str, Any]:
        return {}

    def close(self) -> None:
        self.closed = True


class TextFile:
    """A source: a file's text; "broken" does not load."""

    def __init__(self, path: Path) -> None:
        self.name, self.path = "text", path
        self.loaded: list[Answers] = []

    def find(self) -> Found:
        return Found(self.path, None, fingerprint(self.path))

    def load(self, found: Found) -> Answers:
        text = self.path.read_text()
        if text == "broken":
            raise UsageError("it is broken")
        self.loaded.append(Answers(text))
        return self.loaded[-1]


@pytest.fixture
def source(tmp_path: Path) -> TextFile:
    (tmp_path / "model").write_text("first")
    return TextFile(tmp_path / "model")


@pytest.fixture
def model(source: TextFile) -> Iterator[Model]:
    with ThreadPoolExecutor(2) as pool:
        model = Model(source, BatchLimits(4, 0.0, 16), pool, Metrics())
        model.load()
        yield model
        model.close()


def ask(model: Model) -> str:
    _, (future,) = model.submit([b"?"])
    return future.result(TIMEOUT)


def refresh_twice(model: Model) -> None:
    """A change is taken up at the second look that finds it the same."""
    model.refresh()
    model.refresh()


def test_a_version_is_warm_before_it_answers(model: Model, source: TextFile) -> None:
    assert source.loaded[0].warm
    assert (ask(model), model.current.number) == ("first", 1)


def test_a_changed_file_becomes_the_next_version(model: Model, source: TextFile) -> None:
    source.path.write_text("second")
    refresh_twice(model)
    assert (ask(model), model.current.number) == ("second", 2)
    assert source.loaded[0].closed


def test_a_file_that_is_still_changing_is_not_loaded(model: Model, source: TextFile) -> None:
    model.refresh()
    for text in ("sec", "secon", "second"):
        source.path.write_text(text)
        model.refresh()
        assert ask(model) == "first"
    model.refresh()
    assert ask(model) == "second"


def test_what_has_not_changed_is_not_loaded_again(model: Model, source: TextFile) -> None:
    for _ in range(3):
        model.refresh()
    assert len(source.loaded) == 1


def test_a_broken_version_leaves_the_old_one_at_work_and_is_tried_once(
    model: Model, source: TextFile, caplog: pytest.LogCaptureFixture
) -> None:
    source.path.write_text("broken")
    for _ in range(4):
        model.refresh()
    assert ask(model) == "first"
    assert model.failure and "it is broken" in model.failure
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1
    source.path.write_text("second")
    refresh_twice(model)
    assert (ask(model), model.failure) == ("second", None)


def test_what_prevents_a_look_for_new_versions_is_logged_once(
    source: TextFile, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = ModelStore([source], BatchOptions(), Metrics())
    store.load()
    find, failures = source.find, iter(["away", "away"])

    def find_later() -> Found:
        if failure := next(failures, None):
            raise OSError(failure)
        store.stop()
        return find()

    monkeypatch.setattr(source, "find", find_later)
    with caplog.at_level("INFO"):
        store.watch(0.001)
    store.close()
    assert caplog.text.count("cannot look for new versions (away)") == 1
    assert "looks for new versions again" in caplog.text


def test_a_version_that_fails_when_it_is_warmed_up_is_closed(model: Model, source: TextFile) -> None:
    source.path.write_text("cold")
    refresh_twice(model)
    cold = source.loaded[-1]
    assert (cold.text, cold.closed) == ("cold", True)
    assert ask(model) == "first"


def test_a_model_whose_files_are_gone_goes_on(model: Model, source: TextFile) -> None:
    source.path.unlink()
    refresh_twice(model)
    assert ask(model) == "first"


def test_requests_in_flight_are_answered_by_the_version_that_took_them(model: Model, source: TextFile) -> None:
    old = source.loaded[0]
    old.gate.clear()
    _, (in_flight,) = model.submit([b"?"])
    source.path.write_text("second")
    model.refresh()
    loading = threading.Thread(target=model.refresh)
    loading.start()
    deadline = time.monotonic() + TIMEOUT
    while model.current.number == 1 and time.monotonic() < deadline:
        loading.join(0.01)
    assert ask(model) == "second"  # while the old version still has something to do
    assert not in_flight.done() and not old.closed
    old.gate.set()
    loading.join(TIMEOUT)
    assert (in_flight.result(TIMEOUT), old.closed) == ("first", True)


def test_no_request_is_lost_while_versions_come_and_go(model: Model, source: TextFile) -> None:
    stop = threading.Event()

    def keep_asking() -> set[str]:
        answers = {ask(model)}
        while not stop.is_set():
            answers.add(ask(model))
        return answers

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(keep_asking) for _ in range(4)]
        for number in range(20):
            source.path.write_text(f"version {number}, {'x' * number}")
            refresh_twice(model)
        stop.set()
        answers = set().union(*(client.result(TIMEOUT) for client in clients))
    assert model.current.number == 21
    assert answers <= {servable.text for servable in source.loaded}


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="processes cannot be held to CPUs here")
def test_pictures_are_decoded_on_the_cpus_that_the_process_may_run_on(
    source: TextFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = threading.Event()
    monkeypatch.setattr(Answers, "prepare", lambda self, data: decoded.wait(TIMEOUT) and data)
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cpus)})
    try:
        store = ModelStore([source], BatchOptions(), Metrics())
    finally:
        os.sched_setaffinity(0, cpus)
    store.load()
    store.get().submit([b"?"] * 5)
    assert len([thread for thread in threading.enumerate() if thread.name.startswith("decode")]) == 1
    decoded.set()
    store.close()


def test_a_store_that_is_stopped_loads_no_further_model(source: TextFile) -> None:
    class Last(TextFile):
        def load(self, found: Found) -> Answers:
            store.stop()
            return super().load(found)

    last = Last(source.path)
    last.name = "last"
    store = ModelStore([last, source], BatchOptions(), Metrics())
    store.load()
    assert (len(last.loaded), len(source.loaded)) == (1, 0)
    assert store.close()


def test_a_store_closes_without_a_model_that_hangs(source: TextFile, caplog: pytest.LogCaptureFixture) -> None:
    store = ModelStore([source], BatchOptions(), Metrics())
    store.load()
    (hanging,) = source.loaded
    hanging.gate.clear()
    _, (future,) = store.get().submit([b"?"])
    assert not store.close(0.01)
    assert "version 1 still runs" in caplog.text
    assert not hanging.closed  # what runs must keep what it runs on
    hanging.gate.set()
    assert future.result(TIMEOUT) == "first"


def test_the_step_of_a_training_folder_is_the_version(training_folder: Path) -> None:
    (checkpoint,) = training_folder.glob("*.index")
    found = FolderSource("name", training_folder, 50).find()
    assert f"model.ckpt-{found.number}.index" == checkpoint.name


def test_the_highest_numbered_saved_model_is_the_version(tmp_path: Path) -> None:
    for number in ("1", "2", "10"):
        (tmp_path / number).mkdir()
        (tmp_path / number / "saved_model.pb").write_bytes(b"")
    (tmp_path / "11").mkdir()  # still being copied
    found = FolderSource("name", tmp_path, 50).find()
    assert (found.path, found.number) == (tmp_path / "10", 10)


def test_a_training_folder_changes_with_its_checkpoint_and_not_with_its_logs(tmp_path: Path) -> None:
    (tmp_path / "checkpoint").write_text("1")
    (tmp_path / "metrics.jsonl").write_text("{}")
    before = fingerprint(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("{}{}")
    (tmp_path / "events.out.tfevents.1").write_text("")
    (tmp_path / "model.ckpt-2.index").write_text("")
    assert fingerprint(tmp_path) == before
    (tmp_path / "checkpoint").write_text("22")
    assert fingerprint(tmp_path) != before


def test_a_file_within_an_export_changes_it(tmp_path: Path) -> None:
    (tmp_path / "variables").mkdir()
    (tmp_path / "variables" / "data").write_text("1")
    before = fingerprint(tmp_path)
    (tmp_path / "variables" / "data").write_text("22")
    assert fingerprint(tmp_path) != before


def test_two_models_of_one_name_are_refused(source: TextFile) -> None:
    with pytest.raises(UsageError, match="Two models are called 'text'"):
        ModelStore([source, source], BatchOptions(), Metrics())


def test_nothing_to_serve_is_refused() -> None:
    with pytest.raises(UsageError, match="--model_dir or --conf is required"):
        ModelStore([], BatchOptions(), Metrics())


def test_a_predictor_is_served(training_folder: Path, photo: Callable[..., bytes]) -> None:
    store = ModelStore([FolderSource("flowers", training_folder, 50)], BatchOptions(max_batch_size=2), Metrics())
    store.load()
    version, futures = store.get().submit([photo(), photo("PNG", (40, 50), "L"), photo("BMP", seed=1)])
    scores = [future.result(TIMEOUT) for future in futures]
    store.close()
    assert version.servable.labels == ("daisy", "dandelion", "roses", "sunflowers", "tulips")
    assert [round(float(row.sum()), 4) for row in scores] == [1.0, 1.0, 1.0]
