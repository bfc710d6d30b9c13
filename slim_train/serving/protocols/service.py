"""``POST /service``: an image in, [label, probability] pairs out, as the UAI inference service answers."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response
from starlette.datastructures import UploadFile

from slim_train.serving import answers
from slim_train.serving.errors import RequestError
from slim_train.serving.models import Model, ModelStore
from slim_train.serving.servable import ToExplain, cannot_explain

_MOST_LABELS = 1000

_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"image": {"type": "string", "format": "binary"}}}
            },
        },
    }
}


def routes(store: ModelStore, top_k: int) -> APIRouter:
    """Return the routes of this protocol.

    Args:
      store: the models.
      top_k: classes in an answer unless the request asks for another number.
    """
    router = APIRouter(tags=["service"])

    @router.post("/service", openapi_extra=_BODY, summary="Classify an image with the first model")
    async def service(request: Request, top_k: int = Query(top_k, ge=1)) -> Response:
        """Return the image is the body, or a file of a multipart form; several files get a list of answers."""
        return await _answer(store, None, request, top_k)

    @router.post("/service/{model}", openapi_extra=_BODY, summary="Classify an image with a model of this name")
    async def service_of_model(request: Request, model: str, top_k: int = Query(top_k, ge=1)) -> Response:
        """Return the image is the body, or a file of a multipart form; several files get a list of answers."""
        return await _answer(store, model, request, top_k)

    @router.post("/explain", openapi_extra=_BODY, summary="Show where the first model looks")
    async def explain(request: Request) -> Response:
        """Return a JPEG: the image as the net sees it, under the heat of its likeliest class (Grad-CAM)."""
        return await _explanation(store, None, request)

    @router.post("/explain/{model}", openapi_extra=_BODY, summary="Show where a model of this name looks")
    async def explain_of_model(request: Request, model: str) -> Response:
        """Return a JPEG: the image as the net sees it, under the heat of its likeliest class (Grad-CAM)."""
        return await _explanation(store, model, request)

    @router.get("/models", summary="What is served")
    async def models() -> JSONResponse:
        """Return the models, the one that answers /service first; of many classes only the number."""
        return JSONResponse([_description(model) for model in store])

    @router.get("/models/{model}/labels", summary="The classes of a model")
    async def labels(model: str) -> JSONResponse:
        """Return the names of the classes, in the order of the scores."""
        found = store.get(model)
        return JSONResponse(answers.check_labels(found.current, found))

    return router


def _description(model: Model) -> dict[str, Any]:
    description: dict[str, Any] = {"name": model.name, "ready": model.is_ready}
    if not model.is_ready:
        return description
    servable = model.current.servable
    description |= {"version": model.current.number, **servable.describe()}
    if servable.labels is not None and len(servable.labels) > _MOST_LABELS:
        # Hundreds of kilobytes, which the page would load each time.
        del description["labels"]
        description["num_classes"] = len(servable.labels)
    return description


async def _answer(store: ModelStore, name: str | None, request: Request, top_k: int) -> Response:
    model = store.get(name)
    images, many = await _images(request)
    version, results = await answers.run(model, images)
    labels = version.servable.labels
    if labels is not None:
        results = [answers.best_first(scores, labels, top_k) for scores in results]
    answer = results if many else results[0]
    return PlainTextResponse(answer) if isinstance(answer, str) else JSONResponse(answer)


async def _explanation(store: ModelStore, name: str | None, request: Request) -> Response:
    model = store.get(name)
    if not model.current.servable.describe().get("explains"):
        raise cannot_explain(f"Model {model.name}")
    images, many = await _images(request)
    if many:
        raise RequestError(400, "One image at a time is explained.")
    _, (result,) = await answers.run(model, [ToExplain(images[0])])
    if not isinstance(result, bytes):  # of a new version that cannot
        raise cannot_explain(f"Model {model.name}")
    return Response(result, media_type="image/jpeg", headers={"Cache-Control": "no-store"})


async def _images(request: Request) -> tuple[list[bytes], bool]:
    """Return what was sent, and whether it was several files."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        images: list[Any] = [await request.body()]
    else:
        async with request.form() as form:
            images = [await part.read() for _, part in form.multi_items() if isinstance(part, UploadFile)]
        if not images:
            raise RequestError(400, "The form has no file in it; send one as in curl -F image=@cat.jpg.")
    for image in images:
        if not image:
            raise RequestError(400, "There is no image in the request; send one as in curl -T cat.jpg.")
    return images, len(images) > 1
