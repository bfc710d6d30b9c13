"""TensorFlow Serving's REST interface: /v1/models/NAME with its status, metadata, :predict and :classify.

Requests and answers have the forms of TensorFlow Serving's own documentation (tensorflow.org/tfx/serving/api_rest), so
that a client may be pointed at either server.
"""

from __future__ import annotations

import asyncio
import reprlib
from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from slim_train.inference.loaders import CLASSIFY, SERVING
from slim_train.serving import answers
from slim_train.serving.errors import RequestError
from slim_train.serving.models import Model, ModelStore
from slim_train.serving.pixels import encode_pixels


def routes(store: ModelStore) -> APIRouter:
    """Return the routes of this protocol."""
    router = APIRouter(prefix="/v1/models", tags=["TensorFlow Serving"])

    @router.get("/{name}/versions/{version}", summary="Status of a version")
    @router.get("/{name}", summary="Status")
    async def status(name: str, version: str | None = None) -> JSONResponse:
        model = store.get(name)
        if not model.is_ready:
            return JSONResponse({"model_version_status": [_status("1", "LOADING")]})
        answers.check_version(model, version)
        states = [_status(str(model.current.number), "AVAILABLE")]
        if model.failure:
            states.insert(0, _status("", "END", model.failure))
        return JSONResponse({"model_version_status": states})

    @router.get("/{name}/versions/{version}/metadata", summary="Signatures of a version")
    @router.get("/{name}/metadata", summary="Signatures")
    async def metadata(name: str, version: str | None = None) -> JSONResponse:
        model = store.get(name)
        answers.check_version(model, version)
        return JSONResponse(_metadata(model, answers.check_labels(model.current, model)))

    @router.post("/{name}/versions/{version}:predict", summary="Scores of every class, by a version")
    @router.post("/{name}:predict", summary="Scores of every class")
    async def predict(request: Request, name: str, version: str | None = None) -> JSONResponse:
        """Body: {"instances": [{"b64": "..."}]}, or {"inputs": ...} for an answer by columns.

        An image may also be a list of pixels, [height, width, 3], with whole numbers from 0 to 255.
        """
        model = store.get(name)
        answers.check_version(model, version)
        content = await answers.read_json(request)
        _check_signature(content)
        if ("instances" in content) == ("inputs" in content):
            raise RequestError(400, "The body must have one of 'instances' and 'inputs'.")
        key = "instances" if "instances" in content else "inputs"
        images = await asyncio.to_thread(_images, content[key], key, model)
        used, results = await answers.run(model, images)
        return JSONResponse(_predictions(used.servable.labels, results, by_row=key == "instances"))

    @router.post("/{name}/versions/{version}:classify", summary="Labels and scores, best first, by a version")
    @router.post("/{name}:classify", summary="Labels and scores, best first")
    async def classify(request: Request, name: str, version: str | None = None) -> JSONResponse:
        """Body: {"examples": [{"image/encoded": {"b64": "..."}}]}."""
        model = store.get(name)
        answers.check_version(model, version)
        answers.check_labels(model.current, model)
        content = await answers.read_json(request)
        _check_signature(content, CLASSIFY)
        if "context" in content:
            raise RequestError(400, "'context' is not taken: an image belongs to its example.")
        images = await asyncio.to_thread(_images, content.get("examples"), "examples", model)
        used, results = await answers.run(model, images)
        labels = answers.check_labels(used, model)
        return JSONResponse({"results": [answers.best_first(scores, labels, len(labels)) for scores in results]})

    return router


def _status(version: str, state: str, error: str = "") -> dict[str, Any]:
    code = "UNKNOWN" if error else "OK"
    return {"version": version, "state": state, "status": {"error_code": code, "error_message": error}}


def _check_signature(content: dict[str, Any], *others: str) -> None:
    """Of an export there are more, and a client of TensorFlow Serving may name the one that is meant here."""
    signature = content.get("signature_name", SERVING)
    if signature not in (SERVING, "", *others):
        given = reprlib.repr(signature)
        raise RequestError(400, f"There is no signature {given}: only {SERVING}, which takes encoded images.")


def _images(value: Any, key: str, model: Model) -> list[bytes]:
    """Return the images of a request: ``{"b64": ...}`` or pixels, alone or as the one input of an instance."""
    if isinstance(value, dict) and key == "inputs" and "b64" not in value and len(value) == 1:
        (value,) = value.values()
    if not isinstance(value, list):
        raise RequestError(400, f'{key!r} must be a list of images, each {{"b64": "..."}} or a list of pixels.')
    if not value:
        raise RequestError(400, f"{key!r} is empty: there must be an image in it.")
    model.check_count(len(value))
    return [_image(entry, f"{key}[{index}]") for index, entry in enumerate(value)]


def _image(entry: Any, where: str) -> bytes:
    if isinstance(entry, dict) and "b64" not in entry and len(entry) == 1:
        (entry,) = entry.values()
    if isinstance(entry, list) and len(entry) == 1 and isinstance(entry[0], dict):
        (entry,) = entry  # A feature of an Example is a list of values.
    if isinstance(entry, list):
        return encode_pixels(entry, where)
    if not isinstance(entry, dict) or set(entry) != {"b64"}:
        raise RequestError(400, f'{where} must be an image: {{"b64": "..."}}, or a list of pixels.')
    return answers.decode_base64(entry["b64"], where)


def _predictions(labels: Sequence[str] | None, results: Sequence[Any], by_row: bool) -> dict[str, Any]:
    if labels is None:
        return {"predictions" if by_row else "outputs": list(results)}
    scores = [[answers.number(score) for score in row] for row in results]
    if by_row:
        return {"predictions": [{"classes": list(labels), "scores": row} for row in scores]}
    return {"outputs": {"classes": [list(labels)] * len(scores), "scores": scores}}


def _metadata(model: Model, labels: Sequence[str]) -> dict[str, Any]:
    signature = {
        "inputs": {"image_bytes": _tensor("DT_STRING", -1)},
        "outputs": {"classes": _tensor("DT_STRING", -1, len(labels)), "scores": _tensor("DT_FLOAT", -1, len(labels))},
        "method_name": "tensorflow/serving/predict",
    }
    return {
        "model_spec": {"name": model.name, "signature_name": "", "version": str(model.current.number)},
        "metadata": {"signature_def": {"signature_def": {SERVING: signature}}},
    }


def _tensor(dtype: str, *shape: int) -> dict[str, Any]:
    sizes = [{"size": str(size), "name": ""} for size in shape]
    return {"dtype": dtype, "tensor_shape": {"dim": sizes, "unknown_rank": False}}
