"""The service against a server that runs one image after the other under a lock, and against no server at all.

Both servers are processes of their own on the same web server and the same predictor; they take turns of some
seconds, and what is printed are medians over pairs of turns. With one client the service takes turns, request by
request, with the predictor called in this process: what HTTP, threads and batching cost.

  export_inference_graph --checkpoint_path=mobilenet_v2.ckpt --model_name=mobilenet_v2 --export_dir=export ...
  python scripts/benchmark.py serve --model_dir=export
"""

from __future__ import annotations

import argparse
import contextlib
import http.client
import io
import os
import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[2]
_START_SECS = 300


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this benchmark."""
    parser.add_argument("--model_dir", required=True, help="what is served, as for serve_image_classifier")
    parser.add_argument("--images", help="folder of JPEG files; default: made ones of 500x375 pixels")
    parser.add_argument("--clients", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=10.0, help="length of a turn")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each server")
    parser.add_argument("--requests", type=int, default=300, help="of the one client")
    parser.add_argument("--flags", default="", help="further flags of serve_image_classifier, space-separated")


def run(args: argparse.Namespace) -> Iterator[dict[str, Any]]:
    """Yield the ratios of many clients, then those of one."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    images = _images(args.images)
    ours = [sys.executable, str(_ROOT / "scripts" / "serve_image_classifier.py"), "--port=0", *args.flags.split()]
    with _server([*ours, f"--model_dir={args.model_dir}"]) as service:
        with _server([sys.executable, __file__, args.model_dir]) as locked:
            yield _many_clients(args, images, service, locked)
        yield _one_client(args, images, service)


def _many_clients(args: argparse.Namespace, images: list[bytes], service: int, locked: int) -> dict[str, Any]:
    latencies: dict[int, list[list[float]]] = {service: [], locked: []}
    order = [service, locked]
    for port in order:
        _turn(port, images, args.clients, seconds=2.0)
    for _ in range(args.rounds):
        for port in order:
            latencies[port].append(_turn(port, images, args.clients, args.seconds))
        order.reverse()
    rates = {port: [len(turn) / args.seconds for turn in turns] for port, turns in latencies.items()}
    tails = [(statistics.median(turn), _quantile(turn, 0.99)) for turn in latencies[service]]
    return {
        "clients": args.clients,
        "service_requests_per_second": round(statistics.median(rates[service]), 1),
        "locked_requests_per_second": round(statistics.median(rates[locked]), 1),
        "ratio": round(statistics.median(a / b for a, b in zip(rates[service], rates[locked], strict=True)), 3),
        "p50_ms": round(1000 * statistics.median(p50 for p50, _ in tails), 1),
        "p99_ms": round(1000 * statistics.median(p99 for _, p99 in tails), 1),
        "p99_over_p50": round(statistics.median(p99 / p50 for p50, p99 in tails), 2),
    }


def _one_client(args: argparse.Namespace, images: list[bytes], service: int) -> dict[str, Any]:
    from slim_train.inference.predictor import load_predictor

    predictor = load_predictor(args.model_dir)
    connection = http.client.HTTPConnection("127.0.0.1", service)
    calls: tuple[Callable[[bytes], Any], ...] = (
        lambda image: _ask(connection, image),
        lambda image: predictor.predict([image]),
    )
    seconds: tuple[list[float], ...] = ([], [])
    for index in range(args.requests + 20):
        for which in (0, 1) if index % 2 else (1, 0):
            began = time.perf_counter()
            calls[which](images[index % len(images)])
            if index >= 20:  # The first ones plan kernels.
                seconds[which].append(time.perf_counter() - began)
    over_http, bare = map(statistics.median, seconds)
    return {
        "clients": 1,
        "service_p50_ms": round(1000 * over_http, 2),
        "bare_p50_ms": round(1000 * bare, 2),
        "ratio": round(over_http / bare, 3),
    }


def _turn(port: int, images: list[bytes], clients: int, seconds: float) -> list[float]:
    """Return the latencies of all answers in a turn; each client asks again as soon as it has its answer."""
    end = time.perf_counter() + seconds
    latencies: list[float] = []

    def ask_until_the_end(first: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        index = first
        while (began := time.perf_counter()) < end:
            _ask(connection, images[index % len(images)])
            latencies.append(time.perf_counter() - began)
            index += 1
        connection.close()

    threads = [threading.Thread(target=ask_until_the_end, args=(first,)) for first in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return latencies


def _ask(connection: http.client.HTTPConnection, image: bytes) -> None:
    connection.request("POST", "/service", image, {"Content-Type": "image/jpeg"})
    response = connection.getresponse()
    answer = response.read()
    if response.status != 200:
        raise RuntimeError(f"{response.status}: {answer.decode()}")


def _quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


def _images(folder: str | None) -> list[bytes]:
    if folder:
        paths = sorted(Path(folder).rglob("*.jpg"))[:64]
        return [path.read_bytes() for path in paths]
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    images = []
    for _ in range(16):
        # Coarse noise, enlarged: as many bytes as a photo of that size has.
        coarse = Image.fromarray(random.integers(0, 256, (75, 100, 3), dtype=np.uint8))
        buffer = io.BytesIO()
        coarse.resize((500, 375), Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
        images.append(buffer.getvalue())
    return images


@contextlib.contextmanager
def _server(command: list[str]) -> Iterator[int]:
    """A server that is ready, by its port."""
    environment = os.environ | {"PYTHONPATH": str(_ROOT), "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        port = _port(process)
        _wait_until_ready(port, process)
        yield port
    finally:
        process.terminate()
        process.wait()


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stderr
    for line in process.stderr:
        if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
            # The pipe must not fill up.
            threading.Thread(target=process.stderr.read, daemon=True).start()
            return int(found[1])
    raise RuntimeError(f"{' '.join(process.args)} ended before it listened.")  # type: ignore[arg-type]


def _wait_until_ready(port: int, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + _START_SECS
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        with contextlib.suppress(OSError):
            connection.request("GET", "/v2/health/ready")
            if connection.getresponse().status == 200:
                return
        connection.close()
        time.sleep(0.2)
    raise RuntimeError("The server is not ready.")


def _serve_under_a_lock(model_dir: str) -> None:
    """The other server: a thread for each request, and one image at a time decoded and run."""
    import socket

    import numpy as np
    import uvicorn
    from starlette.applications import Starlette
    from starlette.concurrency import run_in_threadpool
    from starlette.requests import Request
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from slim_train.inference.predictor import load_predictor

    predictor = load_predictor(model_dir)
    lock = threading.Lock()

    def classify(image: bytes) -> list[Any]:
        with lock:
            (scores,) = predictor.predict([image])
        best = np.argsort(-scores)[:5]
        return [[predictor.labels[index], float(scores[index])] for index in best]

    async def service(request: Request) -> JSONResponse:
        return JSONResponse(await run_in_threadpool(classify, await request.body()))

    async def ready(request: Request) -> JSONResponse:
        return JSONResponse(True)

    app = Starlette(routes=[Route("/service", service, methods=["POST"]), Route("/v2/health/ready", ready)])
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.bind(("127.0.0.1", 0))
        print(f"http://127.0.0.1:{listener.getsockname()[1]}", file=sys.stderr, flush=True)
        uvicorn.Server(uvicorn.Config(app, log_config=None)).run(sockets=[listener])


if __name__ == "__main__":
    _serve_under_a_lock(sys.argv[1])
