"""Serve image classifiers over HTTP: the command."""

from __future__ import annotations

import importlib.util
import sys

from slim_train.cli.command import Command
from slim_train.errors import UsageError
from slim_train.serving.options import ServeOptions

_NEEDED = ("fastapi", "multipart", "prometheus_client", "uvicorn")


def _run(options: ServeOptions) -> None:
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise UsageError(f'Serving needs {", ".join(missing)}: pip install "slim-train[serve]".')
    from slim_train.serving import server

    server.run(options)


COMMAND = Command(
    name="serve_image_classifier",
    summary="Answer HTTP requests with the classes of images. Serves exports, training folders and what retrain "
    "leaves, or the models of a UAI conf.json; speaks the UAI service's /service, TensorFlow Serving's REST interface "
    "and the Open Inference Protocol, and has a page for people.",
    defaults=ServeOptions(),
    run=_run,
)


def main() -> int:
    """Entry point of the console script."""
    return COMMAND.main()


if __name__ == "__main__":
    sys.exit(main())
