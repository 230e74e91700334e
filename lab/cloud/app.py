"""The ASGI application: both APIs on one port, each call checked, routed, run in a worker thread and logged."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lab.cloud.backend import Backend
from lab.cloud.dialects import ApiDialect
from lab.cloud.messages import ApiRequest, ApiResponse, Handler

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def application(backend: Backend, dialects: Sequence[ApiDialect], log: logging.Logger) -> Starlette:
    """Put the dialects behind one application; special prefixes must come before the empty one."""

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        await run_in_threadpool(backend.actions.resume)
        yield

    routes = [route for dialect in dialects for route in _routes(backend, dialect, log)]
    app = Starlette(routes=routes, lifespan=lifespan)
    app.router.redirect_slashes = False
    return app


def _routes(backend: Backend, dialect: ApiDialect, log: logging.Logger) -> list[Route]:
    serve = partial(_serve, backend=backend, dialect=dialect, log=log)
    known = [
        Route(
            dialect.prefix + path,
            partial(serve, handler=handler, scopes=dialect.scopes(method, path)),
            methods=[method],
        )
        for (method, path), handler in dialect.routes.items()
    ]
    # Every other path under the prefix is answered with this API's own error, after the same checks.
    rest = Route(dialect.prefix + "/{rest:path}", partial(serve, known_methods=known), methods=METHODS)
    return [*known, rest]


async def _serve(
    request: Request,
    *,
    backend: Backend,
    dialect: ApiDialect,
    log: logging.Logger,
    handler: Handler | None = None,
    scopes: Collection[str] = (),
    known_methods: Sequence[Route] = (),
) -> Response:
    started, request_id, path = time.monotonic(), str(uuid.uuid4()), request.url.path
    admission = dialect.admit(request.headers.get("authorization"), path, request_id)
    if admission.refusal is not None:
        answer = admission.refusal
    elif handler is None:
        known = any(route.path_regex.match(path) for route in known_methods)
        answer = dialect.unmatched(405 if known else 404, path, request_id)
    elif not all(admission.allowed(scope) for scope in scopes):
        answer = dialect.forbidden(request_id)
    else:
        call = ApiRequest(
            backend=backend,
            path=request.path_params,
            query=request.query_params,
            content=await request.body(),
            base=f"{request.url.scheme}://{request.url.netloc}",
            url_path=path,
            allowed=admission.allowed,
        )
        answer = await run_in_threadpool(_answer, handler, call, partial(dialect.refuse, request_id=request_id))
    # Log no body, query or headers: they may hold secrets, and names and times are enough.
    log.info("%s %s %s %.0f ms", request.method, path, answer.status, (time.monotonic() - started) * 1000)
    return _response(answer, {**admission.headers, "x-request-id": request_id})


def _answer(handler: Handler, call: ApiRequest, refuse: Callable[[Exception], ApiResponse]) -> ApiResponse:
    try:
        return handler(call)
    except Exception as error:  # noqa: BLE001 - the dialect tells refusals from bugs, and logs the latter
        return refuse(error)


def _response(answer: ApiResponse, headers: Mapping[str, str]) -> Response:
    if answer.body is None:
        return Response(status_code=answer.status, headers=dict(headers), media_type="application/json")
    return JSONResponse(answer.body, status_code=answer.status, headers=dict(headers))
