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

from turkish_ai.cli import texts
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


class Unanswered(EngineUnavailable):
    """Somebody listens there and says nothing in time: a server of ours that is very busy, or a stranger."""


class Refused(TurkishAiError):
    """What a server said instead of an answer. Its message names the remedy; `refusal` is its code."""

    def __init__(self, message: str, *, refusal: str | None, message_tr: str | None = None) -> None:
        super().__init__(message, message_tr=message_tr)
        self.refusal = refusal


class ChatClient:
    """One server. Close it when done.

    `url` may be the API's, with /v1. Raises EngineUnavailable if it is no URL.
    """

    def __init__(self, url: str, *, transport: httpx.BaseTransport | None = None) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        try:
            self._http = self._client(transport)
        except (httpx.InvalidURL, ValueError) as error:
            raise EngineUnavailable(
                f"{url} is not a URL ({error}).",
                remedy="Give one like http://127.0.0.1:8000.",
                message_tr=f"{url} bir URL değil ({error}).",
                remedy_tr="http://127.0.0.1:8000 gibi bir adres verin.",
            ) from error

    def _client(self, transport: httpx.BaseTransport | None) -> httpx.Client:
        # An answer may take its time between tokens (a long prompt on a slow machine), so only connecting is bounded.
        # A proxy from the environment would not reach this machine's own server: trust_env is off.
        return httpx.Client(
            base_url=self.url,
            timeout=httpx.Timeout(None, connect=_CONNECT_S),
            trust_env=False,
            transport=transport,
        )

    def close(self) -> None:
        self._http.close()

    def standing(self) -> Standing | None:
        """None when nobody listens there.

        Raises:
            Unanswered: somebody does, and does not answer in time.
            EngineUnavailable: somebody does, and it is not this server.
        """
        try:
            response = self._http.get("/ready", timeout=_STATUS_S)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            return None
        except httpx.TimeoutException as error:
            raise Unanswered(
                f"{self.url} accepts connections and did not answer within {_STATUS_S:.0f} s.",
                remedy="If a server of this project runs there, the machine is busy: try again.",
                message_tr=f"{self.url} bağlantıyı kabul ediyor ama {_STATUS_S:.0f} saniye içinde yanıt vermedi.",
                remedy_tr="Orada bu projenin sunucusu çalışıyorsa makine meşguldür; yeniden deneyin.",
            ) from error
        except httpx.TransportError as error:
            raise self._stranger(str(error)) from error
        try:
            body = response.json()
            return Standing(phase=str(body["status"]), detail=str(body["detail"]))
        except (ValueError, KeyError, TypeError):
            raise self._stranger(f"/ready: {response.status_code}") from None

    def _stranger(self, reason: str) -> EngineUnavailable:
        return EngineUnavailable(
            f"What answers at {self.url} is not this project's server ({reason}).",
            remedy="Give the server's address with --url, or start one on another port: turkish-ai serve --port.",
            message_tr=f"{self.url} adresinde yanıt veren, bu projenin sunucusu değil ({reason}).",
            remedy_tr="Sunucunun adresini --url ile verin ya da başka bir portta başlatın: turkish-ai serve --port.",
        )

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
            Refused: what the server said instead.
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
                    raise _refusal(response.status_code, response.read(), model=model)
                yield _pieces(response, model=model)
        except httpx.ConnectError as error:
            raise no_server(self.url, error) from error
        except httpx.TransportError as error:
            raise GenerationFailed(
                f"The connection to {self.url} broke ({error}).",
                remedy="Ask again.",
                message_tr=f"{self.url} ile bağlantı koptu ({error}).",
                remedy_tr="Yeniden sorun.",
            ) from error


def no_server(url: str, error: Exception | None = None) -> EngineUnavailable:
    reason = f" ({error})" if error is not None else ""
    return EngineUnavailable(
        f"No server answers at {url}{reason}.",
        remedy="Start one: turkish-ai serve.",
        message_tr=f"{url} adresinde çalışan sunucu yok{reason}.",
        remedy_tr="Bir tane başlatın: turkish-ai serve.",
    )


def _pieces(response: httpx.Response, *, model: str) -> Generator[Piece, None, None]:
    """`model` is the one that was asked for."""
    finish_reason: str | None = None
    answered_by = ""
    usage: dict[str, int] | None = None
    told = False
    for line in response.iter_lines():
        if not line.startswith("data:"):
            continue
        data = line.removeprefix("data:").strip()
        if data == _DONE:
            yield Ending(finish_reason=finish_reason, model=answered_by, usage=usage)
            return
        event = _event(data)
        if "error" in event:
            raise _server_error(event["error"], model=model)
        answered_by = event.get("model") or answered_by
        usage = event.get("usage") or usage
        if not told and isinstance(event.get("turkish_ai"), dict):
            told = True
            yield _origin(event["turkish_ai"], routed=model == "auto")
        for choice in event.get("choices") or ():
            finish_reason = choice.get("finish_reason") or finish_reason
            if text := (choice.get("delta") or {}).get("content"):
                yield text
    raise GenerationFailed(
        "The server hung up before the answer was complete.",
        remedy="Ask again.",
        message_tr="Sunucu, yanıt tamamlanmadan bağlantıyı kapattı.",
        remedy_tr="Yeniden sorun.",
    )


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


def _refusal(status: int, body: bytes, *, model: str) -> TurkishAiError:
    try:
        return _server_error(json.loads(body)["error"], model=model)
    except (ValueError, KeyError, TypeError):
        return TurkishAiError(
            f"The server answered with status {status} and no reason.",
            remedy="Look at its log.",
            message_tr=f"Sunucu neden belirtmeden {status} durumuyla yanıt verdi.",
            remedy_tr="Sunucunun günlüğüne bakın.",
        )


def _server_error(error: Any, *, model: str) -> Refused:
    """The message already names the remedy."""
    found = error if isinstance(error, dict) else {"message": error}
    code = found.get("code")
    turkish = texts.REFUSALS_TR.get(code) if isinstance(code, str) else None
    return Refused(
        str(found.get("message")),
        refusal=code if isinstance(code, str) else None,
        message_tr=turkish.format(model=model) if turkish is not None else None,
    )
