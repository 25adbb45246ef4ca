"""A server for one session: in this process, on a free port of the loopback address, gone when the session ends.

Used by `chat` where no server answers. What it serves is `app`'s; a thread of its own runs it, so that Ctrl-C stays
with the conversation.
"""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from turkish_ai.errors import EngineUnavailable

if TYPE_CHECKING:
    from fastapi import FastAPI

_POLL_S = 0.05
_STOP_S = 10.0


@contextmanager
def local_server(app: "FastAPI", listener: socket.socket) -> Iterator[None]:
    """Serve `app`, made by `app.create_app`, until the context is left; it is ready when the context is entered.

    Raises:
        TurkishAiError: whatever stopped the loading.
    """
    import uvicorn  # the server's imports, only paid where one is started

    runtime = app.state.runtime
    server = uvicorn.Server(
        uvicorn.Config(app, lifespan="on", log_config=None, access_log=False, server_header=False, ws="none")
    )
    runtime.on_failure = lambda: setattr(server, "should_exit", True)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="local-server", daemon=True)
    thread.start()
    try:
        _wait_until_loaded(url_of(listener), thread)
        if runtime.failure is not None:
            raise runtime.failure
        if not thread.is_alive():
            raise EngineUnavailable(
                "The server for this session stopped while it was starting.",
                message_tr="Bu oturum için başlatılan sunucu açılırken durdu.",
            )
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=_STOP_S)


def listen_on_a_free_port() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=128)


def url_of(listener: socket.socket) -> str:
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def _wait_until_loaded(url: str, thread: threading.Thread) -> None:
    """Until it is ready, or will never be."""
    from turkish_ai.cli.chat_client import ChatClient, Unanswered

    client = ChatClient(url)
    try:
        while thread.is_alive():
            try:
                standing = client.standing()
            except Unanswered:  # loading keeps the machine busy
                continue
            if standing is not None and standing.phase in ("ready", "dead"):
                return
            time.sleep(_POLL_S)
    finally:
        client.close()
