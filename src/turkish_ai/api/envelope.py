"""What every answer carries, whichever route gives it: a request id, safe headers, a log line and its metrics.

The outermost middleware of the application, built by `app`. It is also the last to see an error that nobody foresaw:
the caller gets a 500 without a traceback, the log gets the traceback under the request's id. Never sees a body.
"""

import asyncio
import re
import time
import uuid
from collections.abc import Iterable

import structlog
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from turkish_ai.api.errors import CLIENT_CLOSED_REQUEST, ErrorWriter, draining
from turkish_ai.errors import Draining
from turkish_ai.metrics import OTHER, Metrics

REQUEST_ID_HEADER = b"x-request-id"
PROBES = frozenset({"/health", "/ready", "/metrics"})
"""Routes for whoever watches the server: answered while it drains, logged only at `debug`."""
NO_CONTENT_POLICY = b"default-src 'none'; frame-ancestors 'none'"
"""The content security policy of everything that is not a page."""

_SANE_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_ALWAYS = ((b"x-content-type-options", b"nosniff"), (b"x-frame-options", b"DENY"), (b"referrer-policy", b"no-referrer"))
_UNLESS_SET = ((b"content-security-policy", NO_CONTENT_POLICY), (b"cache-control", b"no-store"))

_log = structlog.get_logger("turkish_ai.api")


class Envelope:
    def __init__(self, app: ASGIApp, *, metrics: Metrics, errors: ErrorWriter) -> None:
        self._app = app
        self._metrics = metrics
        self._errors = errors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        method = scope["method"]
        request_id = _request_id(scope["headers"])
        # A copy: uvicorn reads HEAD in its own and leaves the body out, the routes below see GET.
        scope = dict(scope, method="GET" if method == "HEAD" else method)
        scope.setdefault("state", {})["request_id"] = request_id
        structlog.contextvars.bind_contextvars(request_id=request_id)
        status = CLIENT_CLOSED_REQUEST
        answered = False

        async def dress(message: Message) -> None:
            nonlocal status, answered
            if message["type"] == "http.response.start":
                status, answered = message["status"], True
                message["headers"] = dressed(message["headers"], request_id)
            await send(message)

        try:
            await self._app(scope, receive, dress)
        except asyncio.CancelledError:  # by the server alone: it has waited for as long as a stop may take
            if answered:
                raise
            status = Draining.http_status
            await self._errors.response(draining())(scope, receive, dress)
        except Exception:  # the socket's edge: whatever reaches it must not reach the caller
            status = 500
            if answered:
                raise  # the server logs it and cuts the connection, so that nobody takes the rest for an answer
            _log.exception("unforeseen error", method=method, route=self._route(scope))
            await self._errors.response(self._errors.internal(request_id))(scope, receive, dress)
        finally:
            self._account(scope, method, status, time.perf_counter() - started)

    def _account(self, scope: Scope, method: str, status: int, took_s: float) -> None:
        route = self._route(scope)
        self._metrics.http_requests.labels(route, method if method in _METHODS else OTHER, str(status)).inc()
        self._metrics.http_seconds.labels(route).observe(took_s)
        log = _log.debug if route in PROBES else _log.info  # they come every few seconds and say nothing new
        log("request", method=method, route=route, status=status, took_ms=round(took_s * 1000, 1))

    def _route(self, scope: Scope) -> str:
        return self._metrics.route(getattr(scope.get("route"), "path", OTHER))


def _request_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The caller's, if it can stand in a header and a log line as it is; else a new one."""
    for name, value in headers:
        if name == REQUEST_ID_HEADER and _SANE_ID.fullmatch(value):
            return value.decode("ascii")
    return uuid.uuid4().hex


def dressed(headers: Iterable[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    dressed = list(headers)
    present = {name for name, _ in dressed}
    dressed.append((REQUEST_ID_HEADER, request_id.encode("ascii")))
    dressed.extend(_ALWAYS)
    dressed.extend(header for header in _UNLESS_SET if header[0] not in present)
    return dressed
