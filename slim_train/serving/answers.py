"""From the body of a request to a model's results: what the protocols have in common."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
import logging
import reprlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from fastapi import Request

from slim_train.serving.errors import RequestError
from slim_train.serving.models import Model, Version

log = logging.getLogger(__name__)

# As protocols of tensors call them.
_OUTPUTS = ("classes", "scores")
# The two characters in which base64 for URLs differs.
_OF_URLS = str.maketrans("-_", "+/")


async def run(model: Model, images: Sequence[bytes]) -> tuple[Version, list[Any]]:
    """Return the results of a model for some images, in their order.

    Raises:
      RequestError: an image cannot be read, the queue is full, no version is loaded, or the model failed.
    """
    version, futures = model.submit(images)
    results = await asyncio.gather(*map(asyncio.wrap_future, futures), return_exceptions=True)
    for index, result in enumerate(results):
        if isinstance(result, BaseException):
            raise _explained(result, index, len(results), model)
    return version, list(results)


def _explained(error: BaseException, index: int, count: int, model: Model) -> BaseException:
    if isinstance(error, RequestError):
        where = f"Image {index}: " if count > 1 else ""
        return RequestError(error.status, where + error.message, error.retry_after)
    if not isinstance(error, Exception):
        return error
    return RequestError(500, f"Model {model.name} failed on this request; the server's log says why.")


async def read_json(request: Request) -> dict[str, Any]:
    """Return the JSON object that a request holds.

    Raises:
      RequestError: 400, it holds none.
    """
    body = await request.body()
    if not body:
        raise RequestError(400, "The request has no body; it must be a JSON object.")
    content = await asyncio.to_thread(_parse, body)
    if not isinstance(content, dict):
        raise RequestError(400, f"The body must be a JSON object, not {_kind(content)}.")
    return content


def _parse(body: bytes) -> Any:
    try:
        return json.loads(body, parse_constant=_refuse_constant)
    except RecursionError:
        raise RequestError(400, "The body is nested too deeply.") from None
    except ValueError as error:
        raise RequestError(400, f"The body is not JSON: {error}.") from None


def _refuse_constant(name: str) -> None:
    """Python reads NaN and Infinity, which JSON does not have and no answer could repeat."""
    raise ValueError(f"{name} is not a JSON value")


def decode_base64(text: Any, where: str) -> bytes:
    """Return the bytes that base64 ``text`` stands for, in any form that clients send.

    These are the standard alphabet and the one for URLs, with and without padding, with line ends, and data URLs:
    ``data:image/jpeg;base64,...``.

    Raises:
      RequestError: 400, naming ``where`` it was.
    """
    if not isinstance(text, str):
        raise RequestError(400, f"{where} must be base64 text, not {_kind(text)}.")
    if text.startswith("data:"):
        head, _, text = text.partition(",")
        if not head.endswith(";base64"):
            raise RequestError(400, f"{where} is a data URL without base64: it must be data:image/...;base64,...")
    plain = "".join(text.split()).translate(_OF_URLS).rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise RequestError(400, f"{where} is not base64: {error}.") from None


def best_first(scores: Any, labels: Sequence[str], count: int) -> list[list[Any]]:
    """Return the ``count`` most likely of the classes: [label, probability] pairs; of equals the first class first."""
    order = np.argsort(-scores, kind="stable")[:count]
    return [[labels[index], number(scores[index])] for index in order]


def number(value: Any) -> float:
    """Return a float32 as the shortest decimal that stands for it, instead of the 17 digits of its float64."""
    return float(str(value))


def wanted_outputs(names: Sequence[Any]) -> Sequence[str]:
    """Return the outputs that a request asks for by name: all of them if it names none.

    Raises:
      RequestError: 400, there is no such output.
    """
    for name in names:
        if name not in _OUTPUTS:
            raise RequestError(400, f"There is no output {reprlib.repr(name)}: only {' and '.join(_OUTPUTS)}.")
    return names or _OUTPUTS


def check_version(model: Model, wanted: Any) -> None:
    """Check the version that a request asks for, a number or its text; None takes any.

    Raises:
      RequestError: 404, another version is served; 503, none is loaded.
    """
    current = model.current.number
    if wanted is not None and str(wanted) != str(current):
        raise RequestError(
            404, f"Model {model.name} has no version {reprlib.repr(wanted)}: version {current} is served."
        )


def check_labels(version: Version, model: Model) -> tuple[str, ...]:
    """Return the labels of a model that has scores.

    Raises:
      RequestError: 400, its results are in a form of its own.
    """
    if version.servable.labels is None:
        raise RequestError(400, f"Model {model.name} answers in its own format: use /service/{model.name}.")
    return version.servable.labels


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
