"""Hold a connection to its limits before there is a request: how many, how long a head may be, and how late.

`app` has uvicorn make one `GuardedConnection` for each client. What cannot be read as a request is answered in the
shape of every other error, and counted. Knows nothing of routes or bodies.
"""

import asyncio
import uuid
from dataclasses import dataclass
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from turkish_ai.api.envelope import dressed
from turkish_ai.api.errors import ErrorWriter
from turkish_ai.errors import (
    HeadersTooLarge,
    HeadersTooSlow,
    TooManyConnections,
    TurkishAiError,
    UnreadableRequest,
)
from turkish_ai.metrics import OTHER, Metrics
from turkish_ai.settings import RequestLimits

_LINGER_S = 1.0
"""How long what a refused client still sends is thrown away: a reset would take the answer from it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectionRules:
    limits: RequestLimits
    metrics: Metrics
    errors: ErrorWriter

    def connection(self, **given: Any) -> "GuardedConnection":
        """What uvicorn calls for each client, with its own arguments."""
        return GuardedConnection(rules=self, **given)


class GuardedConnection(HttpToolsProtocol):
    """uvicorn's, with a limit on the head's size and time, on connections, and with our errors."""

    def __init__(self, *, rules: ConnectionRules, **given: Any) -> None:
        super().__init__(**given)
        self._rules = rules
        self._refusal: TurkishAiError | None = None
        self._refused = False
        self._head_bytes = 0  # of the request that is arriving, as far as its lines are complete
        self._unread_bytes = 0  # received since the head began in an earlier read, complete lines or not
        self._in_head = False
        self._deadline: asyncio.TimerHandle | None = None

    # --- what asyncio calls -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        limit = self._rules.limits.connections
        if len(self.connections) > limit:
            self._refuse(
                TooManyConnections(
                    f"{limit} connections are open, the most this server takes.",
                    remedy="Close those that are idle, or raise inference.limits.connections.",
                )
            )
            return
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return  # taken and thrown away, so that closing does not cut off the answer
        began_before = self._in_head
        super().data_received(data)
        if self._in_head and began_before:
            self._unread_bytes += len(data)
            if self._unread_bytes > self._rules.limits.header_bytes:
                self._refuse(self._too_large())
        if self._deadline is None and not self._is_answering():
            self._expect_head()

    # --- what the parser calls --------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = self._unread_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count(len(name) + len(value) + 4)  # ": " and the line's end
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._stop_waiting()
        super().on_headers_complete()
        if self.scope["http_version"] == "1.0":
            _send_without_chunks(self.cycle)

    def send_400_response(self, msg: str) -> None:
        """uvicorn's way to say that the parser gave up; our callbacks make it give up too."""
        self._refuse(self._refusal or UnreadableRequest("What came is not an HTTP request that can be read."))

    # --- limits -----------------------------------------------------------------------------------------------------

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > self._rules.limits.header_bytes:
            self._refusal = self._too_large()
            raise self._refusal  # the parser stops, and asks for send_400_response

    def _expect_head(self) -> None:
        self._deadline = self.loop.call_later(self._rules.limits.header_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _give_up(self) -> None:
        self._deadline = None
        if self._in_head:
            seconds = self._rules.limits.header_seconds
            self._refuse(HeadersTooSlow(f"The request's headers did not arrive within {seconds:g} seconds."))
        else:
            self.transport.close()  # nobody asked for anything

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _too_large(self) -> HeadersTooLarge:
        return HeadersTooLarge(
            f"The request's line and headers have more than {self._rules.limits.header_bytes:,} bytes.",
            remedy="Send fewer or shorter ones.",
        )

    # --- refusing ---------------------------------------------------------------------------------------------------

    def _refuse(self, error: TurkishAiError) -> None:
        """Answer and close; where an earlier answer is still being written, only close."""
        if self._refused:
            return
        self._refused = True
        self._stop_waiting()
        self._rules.metrics.http_requests.labels(OTHER, OTHER, str(error.http_status)).inc()
        if self._is_answering() or self.transport.is_closing():
            self.transport.close()
            return
        self._deadline = self.loop.call_later(_LINGER_S, self.transport.close)
        self.connections.discard(self)  # it takes nobody's place, and no shutdown waits for it
        response = self._rules.errors.response(error)
        headers = [header for header in response.raw_headers if header[0] != b"connection"]
        headers = dressed([*headers, (b"connection", b"close")], uuid.uuid4().hex)
        lines = [STATUS_LINE[response.status_code], *(b"%s: %s\r\n" % header for header in headers), b"\r\n"]
        self.transport.write(b"".join(lines) + bytes(response.body))
        self.transport.write_eof()


def _send_without_chunks(cycle: RequestResponseCycle) -> None:
    """HTTP/1.0 knows no chunks (RFC 9112, 6.1): what has no length ends with the connection."""
    send = cycle.send
    has_length = True

    async def plain(message: Any) -> None:
        nonlocal has_length
        if message["type"] == "http.response.start":
            has_length = any(name.lower() == b"content-length" for name, _ in message["headers"])
            cycle.chunked_encoding = None if has_length else False
        elif not has_length:
            cycle.expected_content_length += len(message.get("body", b""))
        await send(message)

    cycle.send = plain  # type: ignore[method-assign]  # uvicorn offers no other place
