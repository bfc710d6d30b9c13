"""The application: protocols, page, metrics and errors put together."""

from __future__ import annotations

import logging
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException

import slim_train
from slim_train.serving.errors import RequestError
from slim_train.serving.middleware import CountRequests, LimitBody, RefuseAtEnd, RequireKey
from slim_train.serving.models import ModelStore
from slim_train.serving.protocols import oip, service, tfserving
from slim_train.serving.request_metrics import Metrics

log = logging.getLogger(__name__)

_PAGE = Path(__file__).with_name("page")
# Probes of a cluster have no key, and the page asks for one.
_OPEN_PATHS = ("/", "/docs", "/openapi.json", "/page/", "/v2/health/live", "/v2/health/ready")
_PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def create_app(
    store: ModelStore, metrics: Metrics, *, top_k: int, max_body_bytes: int, api_keys: tuple[str, ...] = ()
) -> FastAPI:
    """Return the application that answers with the models of ``store``.

    Args:
      store: the models; need not be loaded yet.
      metrics: shown at /metrics.
      top_k: classes in an answer of /service.
      max_body_bytes: larger requests get 413.
      api_keys: requests must bring one of them; none: no key is asked for.
    """
    # FastAPI's own documentation pages fetch their scripts from another server.
    app = FastAPI(
        title="slim-train",
        version=slim_train.__version__,
        description='Image classification. Errors are JSON: {"error": "what was wrong"}.',
        docs_url=None,
        redoc_url=None,
    )
    app.include_router(service.routes(store, top_k))
    app.include_router(tfserving.routes(store))
    app.include_router(oip.routes(store))
    _add_pages(app, metrics)
    _add_error_handlers(app)
    # The last one added is the first to see a request.
    app.add_middleware(LimitBody, max_bytes=max_body_bytes)
    if api_keys:
        app.add_middleware(RequireKey, keys=api_keys, open_paths=_OPEN_PATHS)
    app.add_middleware(RefuseAtEnd)
    app.add_middleware(CountRequests, metrics=metrics)
    return app


def _add_pages(app: FastAPI, metrics: Metrics) -> None:
    @app.get("/", include_in_schema=False)
    async def page() -> FileResponse:
        return FileResponse(_PAGE / "index.html", headers=_PAGE_HEADERS)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> FileResponse:
        return FileResponse(_PAGE / "docs.html", headers=_PAGE_HEADERS)

    @app.get("/metrics", tags=["operation"], summary="For Prometheus")
    async def show_metrics() -> Response:
        return Response(metrics.render(), media_type=metrics.content_type)

    app.mount("/page", StaticFiles(directory=_PAGE))


def _add_error_handlers(app: FastAPI) -> None:
    @app.exception_handler(RequestError)
    async def refused(request: Request, error: RequestError) -> JSONResponse:
        return JSONResponse({"error": error.message}, error.status, error.headers())

    @app.exception_handler(HTTPException)
    async def no_such_route(request: Request, error: HTTPException) -> JSONResponse:
        message = f"There is nothing at {request.url.path}; /docs lists what there is."
        if error.status_code != 404:
            message = f"{request.method} {request.url.path}: {error.detail}"
        return JSONResponse({"error": message}, error.status_code, error.headers)

    @app.exception_handler(RequestValidationError)
    async def not_valid(request: Request, error: RequestValidationError) -> JSONResponse:
        faults = "; ".join(f"{fault['loc'][-1]}: {fault['msg']}" for fault in error.errors())
        return JSONResponse({"error": f"{faults}."}, 400)

    @app.exception_handler(Exception)
    async def our_fault(request: Request, error: Exception) -> JSONResponse:
        return JSONResponse({"error": "The server failed on this request; its log says why."}, 500)
