"""Talk with a running server over its OpenAI-compatible API: is it ready, and what does it answer?

Used by `chat` and the conversation. Turns the server's events into pieces of an answer and its errors into ours.
Knows nothing of terminals.
"""

import json
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx

from turkish_ai.errors import EngineUnavailable, GenerationFailed, TurkishAiError
from turkish_ai.messages import Message

_CONNECT_S = 5.0
_STATUS_S = 5.0
_DONE = "[DONE]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """The answer's `turkish_ai` object: who answered, and why. `routed` says that the router chose."""

    sector: str
    sector_name: str
    confidence: float
    adapter: str | None
    version: str | None
    engine: str
    fallback: dict[str, str] | None
    routed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    finish_reason: str | None
    model: str
    usage: dict[str, int] | None


Piece = Origin | str | Ending
"""An answer is its Origin, then texts, then its Ending."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What `/ready` says: `phase` is loading, ready, draining or dead."""

    phase: str
    detail: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SectorCard:
    id: str
    name_tr: str
    name_en: str
    version: str | None


class ChatClient:
    """One server. Close it when done."""

    def __init__(self, url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url.rstrip("/")
        # An answer may take its time between tokens (a long prompt on a slow machine), so only connecting is bounded.
        # A proxy from the environment would not reach this machine's own server: trust_env is off.
        self._http = httpx.Client(
            base_url=self.url,
            timeout=httpx.Timeout(None, connect=_CONNECT_S),
            trust_env=False,
            transport=transport,
        )

    def close(self) -> None:
        self._http.close()

    def standing(self) -> Standing | None:
        """None when nobody answers there.

        Raises:
            EngineUnavailable: somebody does, and it is not this server.
        """
        try:
            response = self._http.get("/ready", timeout=_STATUS_S)
        except (httpx.TransportError, httpx.InvalidURL):
            return None
        try:
            body = response.json()
            return Standing(phase=str(body["status"]), detail=str(body["detail"]))
        except (ValueError, KeyError, TypeError):
            raise EngineUnavailable(
                f"What answers at {self.url} is not this project's server (/ready gave status {response.status_code}).",
                remedy="Give the server's address with --url, or start one on another port: turkish-ai serve --port.",
            ) from None

    def sectors(self) -> list[SectorCard]:
        try:
            response = self._http.get("/sectors", timeout=_STATUS_S)
            cards = response.json()["sectors"]
            return [
                SectorCard(id=c["id"], name_tr=c["name_tr"], name_en=c["name_en"], version=c["version"]) for c in cards
            ]
        except (httpx.TransportError, ValueError, KeyError, TypeError) as error:
            raise EngineUnavailable(f"{self.url}/sectors cannot be read ({error}).") from error

    @contextmanager
    def ask(
        self, messages: Sequence[Message], *, model: str, max_tokens: int | None
    ) -> Generator[Generator[Piece, None, None], None, None]:
        """An answer as it is written. Leaving the context hangs up, and the server stops decoding.

        Raises:
            TurkishAiError: what the server refused, in its words.
            EngineUnavailable: it cannot be reached.
            GenerationFailed: the answer broke off.
        """
        body: dict[str, Any] = {
            "model": model,
            "messages": [{"role": message.role, "content": message.content} for message in messages],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if max_tokens is not None:
            body["max_tokens"] = max_tokens
        try:
            with self._http.stream("POST", "/v1/chat/completions", json=body) as response:
                if response.status_code != 200:
                    raise _refusal(response.status_code, response.read())
                yield _pieces(response, routed=model == "auto")
        except httpx.ConnectError as error:
            raise EngineUnavailable(
                f"No server answers at {self.url} ({error}).", remedy="Start one: turkish-ai serve."
            ) from error
        except httpx.TransportError as error:
            raise GenerationFailed(f"The connection to {self.url} broke ({error}).", remedy="Ask again.") from error


def _pieces(response: httpx.Response, *, routed: bool) -> Generator[Piece, None, None]:
    finish_reason: str | None = None
    model = ""
    usage: dict[str, int] | None = None
    told = False
    for line in response.iter_lines():
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == _DONE:
            yield Ending(finish_reason=finish_reason, model=model, usage=usage)
            return
        event = _event(data)
        if "error" in event:
            raise _server_error(event["error"])
        model = event.get("model") or model
        usage = event.get("usage") or usage
        if not told and isinstance(event.get("turkish_ai"), dict):
            told = True
            yield _origin(event["turkish_ai"], routed=routed)
        for choice in event.get("choices") or ():
            finish_reason = choice.get("finish_reason") or finish_reason
            if text := (choice.get("delta") or {}).get("content"):
                yield text
    raise GenerationFailed("The server hung up before the answer was complete.", remedy="Ask again.")


def _event(data: str) -> dict[str, Any]:
    try:
        event = json.loads(data)
    except ValueError as error:
        raise GenerationFailed(f"The server sent an event that is not JSON ({error}).") from error
    if not isinstance(event, dict):
        raise GenerationFailed("The server sent an event that is not an object.")
    return event


def _origin(found: dict[str, Any], *, routed: bool) -> Origin:
    return Origin(
        sector=str(found.get("sector")),
        sector_name=str(found.get("sector_name") or found.get("sector")),
        confidence=float(found.get("confidence") or 0.0),
        adapter=found.get("adapter"),
        version=found.get("version"),
        engine=str(found.get("engine")),
        fallback=found.get("fallback"),
        routed=routed,
    )


def _refusal(status: int, body: bytes) -> TurkishAiError:
    try:
        return _server_error(json.loads(body)["error"])
    except (ValueError, KeyError, TypeError):
        return TurkishAiError(f"The server answered with status {status} and no reason.", remedy="Look at its log.")


def _server_error(error: Any) -> TurkishAiError:
    """The message already names the remedy."""
    message = error.get("message") if isinstance(error, dict) else error
    return TurkishAiError(str(message))
