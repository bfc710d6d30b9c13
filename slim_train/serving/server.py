"""The server: models loaded in the background, uvicorn in front of them, and an end without a dropped request."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import uvicorn
from PIL import Image

from deployment.signals import handled
from slim_train.errors import UsageError
from slim_train.serving.app import create_app
from slim_train.serving.models import ModelStore
from slim_train.serving.options import ServedOptions, ServeOptions, ServerOptions, named_paths, read_api_keys
from slim_train.serving.request_metrics import Metrics
from slim_train.serving.sources import FolderSource, Source
from slim_train.serving.uai.source import UaiSource
from slim_train.training_options import UserCodeOptions

log = logging.getLogger(__name__)

# Folders that exports are in, which say nothing of the model.
_NO_NAMES = ("", "export", "saved_model", "model")
# When all requests are answered or refused, threads have so long to notice.
_END_SECS = 2.0
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


def run(options: ServeOptions) -> None:
    """Serve until SIGTERM or Ctrl-C, then finish the requests in flight.

    Where a model hangs, the process is ended instead of returning.

    Raises:
      UsageError: nothing to serve, a model that cannot be, or a port that cannot be listened on.
      RunError: a checkpoint does not fit its net.
    """
    keys = read_api_keys(options.server.api_key_file)
    metrics = Metrics()
    store = ModelStore(_sources(options.served, options.code, options.server.max_megapixels), options.batching, metrics)
    # What Pillow warns of from half of its own limit on is refused here by one of ours.
    warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
    app = create_app(
        store,
        metrics,
        top_k=options.served.top_k,
        max_body_bytes=int(options.server.max_body_mb * 1e6),
        api_keys=keys,
    )
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=options.server.stop_secs,
    )
    with contextlib.ExitStack() as until_the_end:
        with _listening(options.server) as listener, _grpc(options, store, metrics, keys) as stop_grpc:
            _say_where(listener, bool(keys))

            def begin_stop() -> None:
                store.stop()
                stop_grpc(0.0 if loading.error else options.server.stop_secs)

            server = OrderlyServer(config, begin_stop)
            loading = _Loading(store, server, options.served.poll_secs)
            until_the_end.enter_context(server.capture_signals())  # one more signal shall not spoil the exit code
            loading.start()
            server.run(sockets=[listener])
            begin_stop()  # once more: uvicorn does not shut down what a signal has stopped while it started
        loading.join(_END_SECS)
        ended = store.close(_END_SECS) and not loading.is_alive()
        if loading.error:
            raise loading.error
        if not ended:
            _end_at_once()
    log.info("All requests are answered; the server has ended.")


@contextlib.contextmanager
def _grpc(
    options: ServeOptions, store: ModelStore, metrics: Metrics, keys: tuple[str, ...]
) -> Iterator[Callable[[float], None]]:
    """Answer gRPC, if it is asked for, while the block runs; yield what begins the end of that.

    Raises:
      UsageError: the extra is missing, or the port cannot be listened on.
    """
    asked = options.server
    if asked.grpc_port is None:
        yield lambda seconds: None
        return
    try:
        from slim_train.serving.grpc_server import GrpcServer
    except ImportError as error:
        raise UsageError(
            f"--grpc_port={asked.grpc_port} requires the extra [grpc] ({error}): pip install 'slim-train[grpc]'."
        ) from error
    server = GrpcServer(
        store,
        metrics,
        host=asked.host,
        port=asked.grpc_port,
        max_message_bytes=int(asked.max_body_mb * 1e6),
        max_calls=options.batching.max_queue,
        api_keys=keys,
    )
    log.info("Listening for gRPC on %s port %d", asked.host, server.listen())
    try:
        yield server.stop
    finally:
        server.stop(asked.stop_secs)
        server.join(asked.stop_secs + _END_SECS)


def _end_at_once() -> NoReturn:
    """End with success, though a model is being loaded or does not come back: nobody waits for it any more.

    Its thread may be anywhere within TensorFlow, where it would not survive an orderly end of the interpreter.
    """
    log.warning("The server stops while a model is still running.")
    logging.shutdown()
    os._exit(0)


def _sources(served: ServedOptions, code: UserCodeOptions, max_megapixels: float) -> list[Source]:
    sources: list[Source] = []
    for name, path in named_paths("model_dir", served.model_dir):
        sources.append(FolderSource(name or _model_name(path), path, max_megapixels, code, served.scaled_decoding))
    for name, path in named_paths("conf", served.conf):
        sources.append(UaiSource(name, path, max_megapixels, served.scaled_decoding))
    return sources


def _model_name(path: Path) -> str:
    """Return what a folder or file is about: ``fer`` for models/fer/export/saved_model/1."""
    parts = [path.resolve().stem, *(parent.name for parent in path.resolve().parents)]
    return next((part for part in parts if part not in _NO_NAMES and not part.isdecimal()), "model")


class OrderlyServer(uvicorn.Server):
    """Uvicorn that stops being ready when it begins to stop, and ends with the exit code of success.

    Args:
      config: of uvicorn.
      begin_stop: called when a stop begins, before requests in flight are waited for.
    """

    def __init__(self, config: uvicorn.Config, begin_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._begin_stop = begin_stop
        self._signal: signal.Signals | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop on SIGTERM and SIGINT. Uvicorn's own raises the signal again at the end: a stop is no failure here."""
        with handled((signal.SIGINT, signal.SIGTERM), self._stop):
            yield

    def _stop(self, number: int, frame: object) -> None:
        # It may interrupt itself, or a thread that holds any lock: it takes none.
        self.force_exit = self.should_exit and number == signal.SIGINT
        self._signal = signal.Signals(number)
        self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the requests in flight."""
        if self._signal:
            log.info("%s: finishing the requests in flight.", self._signal.name)
        self._begin_stop()
        await super().shutdown(sockets)


class _Loading(threading.Thread):
    """Loads all models while the server already answers that it is alive, then watches for new versions.

    Attributes:
      error: why a model cannot be served; the server is stopped then.
    """

    def __init__(self, store: ModelStore, server: uvicorn.Server, poll_secs: float) -> None:
        super().__init__(name="models", daemon=True)
        self.error: Exception | None = None
        self._store, self._server, self._poll_secs = store, server, poll_secs

    def run(self) -> None:
        """Load, then watch."""
        try:
            self._store.load()
        except Exception as error:
            self.error = error
            self._server.should_exit = True
            return
        if self._store.is_ready:
            log.info("Ready.")
        if self._poll_secs:
            self._store.watch(self._poll_secs)


@contextlib.contextmanager
def _listening(options: ServerOptions) -> Iterator[socket.socket]:
    """A socket bound to the address asked for."""
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    # Without the protocol asyncio does not see that this is TCP, and leaves Nagle's algorithm on: 40 ms an answer.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((options.host, options.port))
            listener.listen()  # From here on, who connects waits for an answer instead of being refused.
        except OSError as error:
            raise UsageError(
                f"Cannot listen on --host={options.host} --port={options.port}: {error.strerror or error}."
            ) from error
        yield listener


def _say_where(listener: socket.socket, has_keys: bool) -> None:
    host, port = listener.getsockname()[:2]
    log.info("Listening on http://%s:%d", f"[{host}]" if ":" in host else host, port)
    if host not in _LOOPBACK and not has_keys:
        log.warning("Anyone who can reach this port can use the service. --api_key_file requires a key.")
