"""A run on an MLflow server, written by a thread of its own: no step of the training waits for the server."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slim_train.checkpoints import training_folder
from slim_train.errors import UsageError

log = logging.getLogger(__name__)

# Of one request; the server takes 100 parameters and 1,000 metrics.
_MOST_PARAMS, _MOST_METRICS = 100, 500
_MOST_CHARACTERS = 500  # of a parameter
_MOST_WAITING = 20_000  # metrics; beyond that the oldest go
_RETRY_SECS = 30.0
_CLOSE_SECS = 15.0
_GONE = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")


def mlflow_client(uri: str) -> Any:
    """Return an MlflowClient that waits seconds for its server, not minutes; variables of the environment override it.

    Raises:
      UsageError: the package is missing, or does not take the URI.
    """
    for name, value in (
        ("MLFLOW_HTTP_REQUEST_TIMEOUT", "5"),
        ("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0"),
        ("MLFLOW_DISABLE_TELEMETRY", "true"),
        ("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true"),
    ):
        os.environ.setdefault(name, value)
    try:
        from mlflow import MlflowClient
    except ImportError as error:
        raise UsageError(f"--mlflow_uri requires MLflow ({error}): pip install 'slim-train[mlflow]'.") from error
    try:
        return MlflowClient(tracking_uri=uri)
    except Exception as error:  # Of a class that depends on the kind of URI.
        reason = without_password(f"{uri}: {error}", uri)
        raise UsageError(f"--mlflow_uri: MLflow does not take {reason}") from error


def without_password(text: str, uri: str) -> str:
    """Return a message without the user and the password that a URI may hold."""
    user_and_password, at, _ = uri.partition("://")[2].partition("/")[0].rpartition("@")
    return text.replace(f"{user_and_password}@", "") if at else text


class MlflowRun:
    """Sends metrics to a run. A server that does not answer costs one warning; what it misses is sent later.

    A training that is resumed in the same folder goes on with its run.

    Args:
      client: of :func:`mlflow_client`.
      uri: of the server, for messages.
      experiment: name; made if there is none.
      folder: the training folder, which keeps the run's id.
      params: hyper-parameters.
      tags: of the run.
    """

    def __init__(
        self,
        client: Any,
        uri: str,
        experiment: str,
        folder: Path,
        params: Mapping[str, Any],
        tags: Mapping[str, str],
    ) -> None:
        self._client, self._uri, self._experiment, self._folder = client, uri, experiment, folder
        self._params = {name: str(value)[:_MOST_CHARACTERS] for name, value in params.items()}
        self._tags = dict(tags)
        self._arrived: queue.Queue[tuple[str, float, int, int] | None] = queue.Queue(_MOST_WAITING)
        self._waiting: list[tuple[str, float, int, int]] = []
        self._status = "FINISHED"
        self._run_id: str | None = None
        self._has_params = False
        self._is_failing = False
        self._thread = threading.Thread(target=self._send_all, name="mlflow", daemon=True)

    def start(self) -> None:
        """Begin to send; further calls do nothing."""
        if not self._thread.is_alive() and not self._thread.ident:
            self._thread.start()

    def add(self, step: int, values: Mapping[str, float]) -> None:
        """Queue metrics of a step. Never waits."""
        now = int(time.time() * 1000)
        for name, value in values.items():
            try:
                self._arrived.put_nowait((name, float(value), now, step))
            except queue.Full:
                return

    def close(self, status: str) -> None:
        """Send what is left and end the run, within seconds.

        Args:
          status: FINISHED, FAILED or KILLED.
        """
        if not self._thread.ident:
            return
        self._status = status
        try:
            self._arrived.put(None, timeout=1)
        except queue.Full:
            return
        self._thread.join(_CLOSE_SECS)

    def _send_all(self) -> None:
        """Send metrics as they come, at most one request a second, until None comes."""
        retry_at, is_last = 0.0, False
        while not is_last:
            is_last = self._collect()
            if is_last or time.monotonic() >= retry_at:
                retry_at = time.monotonic() + (1 if self._sends(is_last) else _RETRY_SECS)

    def _collect(self) -> bool:
        """Move what has arrived to what waits; return whether that was all."""
        try:
            entry = self._arrived.get(timeout=1)
            while entry is not None:
                self._waiting.append(entry)
                entry = self._arrived.get_nowait()
            return True
        except queue.Empty:
            del self._waiting[:-_MOST_WAITING]
            return False

    def _sends(self, is_last: bool) -> bool:
        try:
            if self._run_id is None:
                self._run_id = self._resumed() or self._created()
            if not self._has_params:
                self._send_params(self._run_id)
            while self._waiting:
                batch = self._waiting[:_MOST_METRICS]
                self._client.log_batch(self._run_id, metrics=[_metric(*entry) for entry in batch])
                del self._waiting[: len(batch)]
            if is_last:
                self._client.set_terminated(self._run_id, self._status)
        except Exception as error:  # MLflow's, requests' or the operating system's: tracking never ends a training.
            if not self._is_failing:
                reason = " ".join(f"{self._uri} until it answers: {error}".split())
                log.warning("Training goes on without MLflow at %s", without_password(reason, self._uri)[:300])
            self._is_failing = True
            return False
        if self._is_failing:
            log.info("MLflow at %s answers again.", without_password(self._uri, self._uri))
        self._is_failing = False
        return True

    def _resumed(self) -> str | None:
        """Return the run of this folder, set to running; None if there is none, or the server does not know it."""
        known = training_folder.read_json(self._folder / training_folder.MLFLOW_RUN)
        run_id, has_params = known.get("run_id"), known.get("has_params", True)
        if run_id is None:
            return None
        try:
            self._client.update_run(str(run_id), status="RUNNING")
        except Exception as error:  # Its class is known only with the package.
            if getattr(error, "error_code", None) in _GONE:
                return None
            raise
        self._has_params = bool(has_params)
        return str(run_id)

    def _created(self) -> str:
        experiment = self._client.get_experiment_by_name(self._experiment)
        experiment_id = experiment.experiment_id if experiment else self._client.create_experiment(self._experiment)
        name = self._folder.absolute().name
        run_id: str = self._client.create_run(experiment_id, tags=self._tags, run_name=name).info.run_id
        self._remember(run_id)
        return run_id

    def _remember(self, run_id: str) -> None:
        """Keep the run in the training folder. Without it, a resumed training begins another run."""
        known = {"run_id": run_id, "has_params": self._has_params}
        try:
            training_folder.write_json(self._folder / training_folder.MLFLOW_RUN, known)
        except (OSError, UsageError) as error:
            log.warning("Cannot write %s: %s.", self._folder / training_folder.MLFLOW_RUN, error)

    def _send_params(self, run_id: str) -> None:
        """Send the hyper-parameters of a run that this made; those of one that is resumed stay as they are."""
        entries = [_param(*entry) for entry in self._params.items()]
        for begin in range(0, len(entries), _MOST_PARAMS):
            self._client.log_batch(run_id, params=entries[begin : begin + _MOST_PARAMS])
        self._has_params = True
        self._remember(run_id)


def _metric(name: str, value: float, timestamp: int, step: int) -> Any:
    from mlflow.entities import Metric

    return Metric(name, value, timestamp, step)


def _param(name: str, value: str) -> Any:
    from mlflow.entities import Param

    return Param(name, value)
