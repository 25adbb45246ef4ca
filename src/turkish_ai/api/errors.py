"""The one place that turns errors into responses, in the shape of OpenAI's API.

`ErrorWriter` is used by the exception handlers that `install` registers, by the middlewares, and by the stream that
fails after its first byte. Knows nothing of what went wrong beyond what the error says of itself.
"""

import json
import math
from collections.abc import Iterable
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match

from turkish_ai.api.disconnect import ClientGone
from turkish_ai.errors import Draining, InvalidRequest, MethodNotAllowed, NotFound, TurkishAiError

CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that left; only metrics and logs see it."""

_log = structlog.get_logger("turkish_ai.api")


def error_object(error: TurkishAiError) -> dict[str, Any]:
    return {"error": {"message": str(error), "type": error.type, "param": error.param, "code": error.code}}


def draining() -> Draining:
    return Draining("The server is stopping and takes no new requests.", remedy="Ask another replica, or try again.")


class ErrorWriter:
    """`retry_after_s` is what a retryable error advises when it does not say better itself."""

    def __init__(self, *, retry_after_s: float) -> None:
        self._retry_after_s = retry_after_s

    def response(self, error: TurkishAiError) -> Response:
        headers = {}
        if error.retry_after_s is not None or (error.retryable and error.http_status in (408, 409, 503)):
            after_s = error.retry_after_s if error.retry_after_s is not None else self._retry_after_s
            headers["retry-after"] = str(max(1, math.ceil(after_s)))
        if error.http_status == 401:
            headers["www-authenticate"] = "Bearer"
        if error.http_status == 408 or isinstance(error, Draining):
            headers["connection"] = "close"  # the rest of the body may never come, and nothing new is read
        if error.http_status >= 500:
            _log.warning("request failed", status=error.http_status, code=error.code, error=str(error))
        body = json.dumps(error_object(error), ensure_ascii=False).encode()
        return Response(body, status_code=error.http_status, headers=headers, media_type="application/json")

    def internal(self, request_id: str) -> TurkishAiError:
        """What a caller learns of an error that nobody foresaw: nothing but where to find it."""
        return TurkishAiError("The server failed on this request.", remedy=f"Its log has the reason: {request_id}.")


def install(app: FastAPI, errors: ErrorWriter) -> None:
    """Have `app` answer every error through `errors`. What nobody foresaw is answered by `envelope.Envelope`."""

    async def ours(_: Request, error: Exception) -> Response:
        assert isinstance(error, TurkishAiError)
        return errors.response(error)

    async def routing(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        path = request.scope["path"][:200]  # not request.url, which trusts the Host header to be one
        if error.status_code == 404:
            found: TurkishAiError = NotFound(f"There is nothing at {path}.", remedy="GET /docs lists the routes.")
            return errors.response(found)
        if error.status_code == 405:
            allowed = sorted(_methods_at(request, app.routes))
            found = MethodNotAllowed(
                f"{request.method} is not allowed at {path}.", remedy=f"Use {' or '.join(allowed)}."
            )
            response = errors.response(found)
            response.headers["allow"] = ", ".join(allowed)
            return response
        return errors.response(InvalidRequest(str(error.detail)))

    async def unreadable(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        finding = error.errors()[0]
        param = ".".join(str(part) for part in finding["loc"][1:])
        return errors.response(InvalidRequest(f"{param}: {finding['msg']}.", param=param))

    async def gone(_: Request, error: Exception) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)

    app.add_exception_handler(TurkishAiError, ours)
    app.add_exception_handler(HTTPException, routing)
    app.add_exception_handler(RequestValidationError, unreadable)
    app.add_exception_handler(ClientGone, gone)


def _methods_at(request: Request, routes: Iterable[BaseRoute]) -> set[str]:
    found: set[str] = set()
    for route in routes:
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or set()
    return found
