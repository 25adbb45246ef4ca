"""A server on loopback that answers like ours and does as a test says; what it was asked is kept.

Real sockets and a thread, because the command that talks to it runs in a process of its own.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ECOMMERCE = {
    "sector": "ecommerce",
    "sector_name": "E-ticaret",
    "confidence": 0.93,
    "top": [{"sector": "ecommerce", "confidence": 0.93}],
    "adapter": "ecommerce",
    "version": "0123456789ab",
    "engine": "fake",
    "fallback": None,
}
DONE = "[DONE]"


def chunk(text: str | None = None, *, finish: str | None = None, **more: Any) -> str:
    delta = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return json.dumps({"id": "chatcmpl-1", "model": "ecommerce@0123456789ab", "choices": [choice], **more})


def answer(*pieces: str, finish: str = "stop", about: dict[str, Any] = ECOMMERCE) -> list[str]:
    usage = {"prompt_tokens": 5, "completion_tokens": len(pieces), "total_tokens": 5 + len(pieces)}
    return [
        chunk("", turkish_ai=about),
        *(chunk(piece) for piece in pieces),
        chunk(finish=finish),
        json.dumps({"id": "chatcmpl-1", "model": "ecommerce@0123456789ab", "choices": [], "usage": usage}),
        DONE,
    ]


class ChatServer:
    """`events` are sent for every question. With `hold_after` set, that many are sent and then the answer hangs, until
    the client goes away: `hung_up` is set then."""

    def __init__(self) -> None:
        self.events = answer("Kargonuz ", "yolda.")
        self.status = 200
        self.refusal: dict[str, Any] = {}
        self.phase = "ready"
        self.hold_after: int | None = None
        self.holding = threading.Event()
        self.hung_up = threading.Event()
        self.asked: list[dict[str, Any]] = []
        self.url = ""


@contextmanager
def serving(server: ChatServer) -> Iterator[ChatServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name for it
            pass

        def do_GET(self) -> None:
            if self.path == "/ready":
                self._json(200 if server.phase == "ready" else 503, {"status": server.phase, "detail": "the model"})
            elif self.path == "/sectors":
                self._json(200, {"sectors": SECTORS})
            elif self.path == "/health":
                self._json(200, {"status": "alive", "version": "9.9.9", "detail": "ready"})
            else:
                self._json(404, {})

        def do_POST(self) -> None:
            server.asked.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            if server.status != 200:
                self._json(server.status, server.refusal)
                return
            self.send_response(200)
            self.send_header("content-type", "text/event-stream")
            self.send_header("connection", "close")
            self.end_headers()
            for number, event in enumerate(server.events):
                if number == server.hold_after:
                    self._hold()
                    return
                self.wfile.write(f"data: {event}\n\n".encode())
            self.close_connection = True

        def _hold(self) -> None:
            server.holding.set()
            if self.connection.recv(1) == b"":
                server.hung_up.set()
            self.close_connection = True

        def _json(self, status: int, body: object) -> None:
            content = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        server.url = f"http://127.0.0.1:{http.server_address[1]}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield server
        finally:
            http.shutdown()
            thread.join()


SECTORS = [
    {"id": "ecommerce", "name_tr": "E-ticaret", "name_en": "E-commerce", "version": "0123456789ab"},
    {"id": "healthcare", "name_tr": "Sağlık", "name_en": "Healthcare", "version": None},
    {"id": "energy", "name_tr": "Enerji", "name_en": "Energy", "version": None},
    {"id": "energy_distribution", "name_tr": "Enerji Dağıtımı", "name_en": "Energy Distribution", "version": None},
    {"id": "general", "name_tr": "Genel", "name_en": "General", "version": None},
]
