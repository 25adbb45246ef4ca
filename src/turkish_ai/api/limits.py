"""Hold a request's body to its size and its time, chunked or not, before anything is made of it.

ASGI middleware, built by `app`. A body over a limit raises where the route reads it, and so does one that is still
arriving when the server stops: the one place that writes errors answers it. Knows nothing of what the body says.
"""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from turkish_ai.api.lifecycle import Lifecycle
from turkish_ai.errors import BodyTooLarge, BodyTooSlow
from turkish_ai.settings import RequestLimits


class BodyLimits:
    def __init__(self, app: ASGIApp, *, limits: RequestLimits, lifecycle: Lifecycle) -> None:
        self._app = app
        self._lifecycle = lifecycle
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        announced = _content_length(scope)
        if announced == 0:
            await self._app(scope, receive, send)
            return
        deadline = asyncio.get_running_loop().time() + self._limits.body_seconds
        received = 0
        complete = False

        async def limited() -> Message:
            nonlocal received, complete
            if complete:
                return await receive()
            if announced is not None and announced > self._limits.body_bytes:
                raise self._too_large(announced)
            try:
                async with self._lifecycle.reading(deadline):
                    message = await receive()
            except TimeoutError:
                raise BodyTooSlow(
                    f"The body did not arrive within {self._limits.body_seconds:g} seconds ({received:,} bytes came).",
                    remedy="Send it again over a faster connection.",
                ) from None
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > self._limits.body_bytes:
                    raise self._too_large(received)
            complete = not message.get("more_body", False)
            return message

        await self._app(scope, limited, send)

    def _too_large(self, size: int) -> BodyTooLarge:
        return BodyTooLarge(
            f"The body has {size:,} bytes or more; at most {self._limits.body_bytes:,} are taken.",
            remedy="Send a shorter conversation.",
        )


def _content_length(scope: Scope) -> int | None:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            return int(value)
    return None
