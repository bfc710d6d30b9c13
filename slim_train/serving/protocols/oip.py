"""The Open Inference Protocol, version 2, over REST, as KServe, Triton and MLServer speak it.

Requests and answers have the forms of its specification (github.com/kserve/open-inference-protocol). The input is one
tensor of BYTES, a base64 text for each image; the outputs are ``classes`` and ``scores``, in the order of the labels.
"""

from __future__ import annotations

import asyncio
import reprlib
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

import slim_train
from slim_train.serving import answers
from slim_train.serving.errors import RequestError
from slim_train.serving.models import Model, ModelStore


def routes(store: ModelStore) -> APIRouter:
    """Return the routes of this protocol."""
    router = APIRouter(prefix="/v2", tags=["Open Inference Protocol"])

    @router.get("", summary="The server")
    async def server() -> JSONResponse:
        return JSONResponse({"name": "slim-train", "version": slim_train.__version__, "extensions": []})

    @router.get("/health/live", summary="The process answers")
    async def live() -> JSONResponse:
        return JSONResponse({"live": True})

    @router.get("/health/ready", summary="Every model is loaded and warm")
    async def ready() -> JSONResponse:
        return JSONResponse({"ready": store.is_ready}, 200 if store.is_ready else 503)

    @router.get("/models/{name}/versions/{version}", summary="Inputs and outputs of a version")
    @router.get("/models/{name}", summary="Inputs and outputs")
    async def metadata(name: str, version: str | None = None) -> JSONResponse:
        model = _model(store, name, version)
        return JSONResponse(_metadata(model, len(answers.check_labels(model.current, model))))

    @router.get("/models/{name}/versions/{version}/ready", summary="The version is loaded and warm")
    @router.get("/models/{name}/ready", summary="The model is loaded and warm")
    async def model_ready(name: str, version: str | None = None) -> JSONResponse:
        is_ready = store.get(name).is_ready
        if is_ready:
            _model(store, name, version)
        return JSONResponse({"name": name, "ready": is_ready}, 200 if is_ready else 503)

    @router.post("/models/{name}/versions/{version}/infer", summary="Scores of every class, by a version")
    @router.post("/models/{name}/infer", summary="Scores of every class")
    async def infer(request: Request, name: str, version: str | None = None) -> JSONResponse:
        """Body: {"inputs": [{"name": "image_bytes", "shape": [1], "datatype": "BYTES", "data": ["base64..."]}]}."""
        model = _model(store, name, version)
        answers.check_labels(model.current, model)
        content = await answers.read_json(request)
        request_id = _request_id(content)
        wanted = answers.wanted_outputs(_output_names(content))
        images = await asyncio.to_thread(_images, content, model)
        used, results = await answers.run(model, images)
        labels = answers.check_labels(used, model)
        shape = [len(results), len(labels)]
        outputs: dict[str, dict[str, Any]] = {
            "classes": {"datatype": "BYTES", "shape": shape, "data": [*labels] * len(results)},
            "scores": {
                "datatype": "FP32",
                "shape": shape,
                "data": [answers.number(score) for row in results for score in row],
            },
        }
        answer = {
            "model_name": model.name,
            "model_version": str(used.number),
            "outputs": [{"name": output, **outputs[output]} for output in wanted],
        }
        return JSONResponse(answer | request_id)

    return router


def _model(store: ModelStore, name: str, version: str | None) -> Model:
    model = store.get(name)
    answers.check_version(model, version)
    return model


def _request_id(content: dict[str, Any]) -> dict[str, str]:
    """Return the id as the answer repeats it, if there is one."""
    given = content.get("id")
    if given is None:
        return {}
    try:
        str.encode(given)
    except (TypeError, UnicodeEncodeError):  # JSON can spell half of a surrogate pair, which no answer can hold.
        raise RequestError(400, "'id' must be text.") from None
    return {"id": given}


def _output_names(content: dict[str, Any]) -> list[Any]:
    outputs = content.get("outputs")
    if outputs is None:
        return []
    if not isinstance(outputs, list) or not all(isinstance(output, dict) for output in outputs):
        raise RequestError(400, "'outputs' must be a list of objects.")
    return [output.get("name") for output in outputs]


def _images(content: dict[str, Any], model: Model) -> list[bytes]:
    inputs = content.get("inputs")
    if not isinstance(inputs, list) or len(inputs) != 1 or not isinstance(inputs[0], dict):
        raise RequestError(400, "'inputs' must be a list of one tensor, the images.")
    tensor = inputs[0]
    if tensor.get("datatype") != "BYTES":
        raise RequestError(400, f"The input's datatype must be BYTES, not {reprlib.repr(tensor.get('datatype'))}.")
    data, shape = tensor.get("data"), tensor.get("shape")
    if not isinstance(data, list) or not data:
        raise RequestError(400, "The input's data must be a list of base64 texts, one for each image.")
    count = len(data)
    model.check_count(count)
    if shape not in ([count], [count, 1]):
        raise RequestError(400, f"The input's shape does not fit its data: it must be [{count}].")
    return [answers.decode_base64(text, f"data[{index}]") for index, text in enumerate(data)]


def _metadata(model: Model, classes: int) -> dict[str, Any]:
    return {
        "name": model.name,
        "versions": [str(model.current.number)],
        "platform": "tensorflow",
        "inputs": [{"name": "image_bytes", "datatype": "BYTES", "shape": [-1]}],
        "outputs": [
            {"name": "classes", "datatype": "BYTES", "shape": [-1, classes]},
            {"name": "scores", "datatype": "FP32", "shape": [-1, classes]},
        ],
    }
