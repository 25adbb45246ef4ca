"""`turkish-ai chat`: one question or a conversation, with a server that runs already or with one for the session.

Finds the server and decides what kind of chat it is: a conversation when a person types, else one question and its
answer. The answer goes to standard output, everything about it to standard error.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from turkish_ai.cli import texts
from turkish_ai.cli.language import Speaker
from turkish_ai.cli.terminal import Terminal
from turkish_ai.cli.wording import command_class
from turkish_ai.errors import EngineUnavailable
from turkish_ai.messages import Message

if TYPE_CHECKING:
    from turkish_ai.cli.chat_client import ChatClient
    from turkish_ai.settings import Settings

_POLL_S = 0.2


def register(app: typer.Typer, terminal: Terminal) -> None:
    say = terminal.say

    @app.command(
        name="chat",
        help=say(texts.CHAT_HELP),
        epilog=say(texts.CHAT_MORE),
        cls=command_class(say.language),
        rich_help_panel=say(texts.HEADING_USE),
    )
    def chat(
        context: typer.Context,
        question: Annotated[
            list[str] | None,
            typer.Argument(metavar=say(texts.QUESTION_NAME), help=say(texts.QUESTION_HELP), show_default=False),
        ] = None,
        url: Annotated[str | None, typer.Option(help=say(texts.URL_HELP))] = None,
        model: Annotated[str, typer.Option(help=say(texts.MODEL_HELP))] = "auto",
        max_tokens: Annotated[int | None, typer.Option(help=say(texts.MAX_TOKENS_HELP), min=1)] = None,
        as_json: Annotated[bool, typer.Option("--json", help=say(texts.JSON_HELP))] = False,
    ) -> None:
        asked: str | None = None
        if question or as_json or not terminal.is_asked_by_a_person:
            asked = " ".join(question) if question else sys.stdin.read() if sys.stdin is not None else ""
            asked = asked.strip()
            if not asked:
                context.fail(say(texts.CHAT_NOTHING_ASKED))
        with _server(url, terminal) as client:
            if asked is not None:
                _answer_once(client, asked, model=model, max_tokens=max_tokens, as_json=as_json, terminal=terminal)
                return
            _converse(client, model=model, max_tokens=max_tokens, terminal=terminal)


# --- which server ---------------------------------------------------------------------------------------------------


@contextmanager
def _server(url: str | None, terminal: Terminal) -> "Iterator[ChatClient]":
    """The server at `url`, or at the configured address; where none is and none was asked for, one of our own."""
    from turkish_ai.cli.chat_client import ChatClient, no_server
    from turkish_ai.cli.machine import url_at

    settings = None
    if url is None:
        from turkish_ai.settings import load_settings

        settings = load_settings()
        url = url_at(settings.host, settings.port)
    elif "://" not in url:
        url = f"http://{url}"
    client = ChatClient(url)
    try:
        if client.standing() is not None:
            _wait_until_ready(client, terminal)
            yield client
            return
    finally:
        client.close()
    if settings is None:
        raise no_server(url)
    with _own_server(settings, instead_of=url, terminal=terminal) as client:
        yield client


@contextmanager
def _own_server(settings: "Settings", *, instead_of: str, terminal: Terminal) -> "Iterator[ChatClient]":
    from turkish_ai.base_model import ensure_base_model, progress_for
    from turkish_ai.cli.base_model import base_model_source
    from turkish_ai.cli.chat_client import ChatClient
    from turkish_ai.cli.local_server import listen_on_a_free_port, local_server, url_of

    say = terminal.say
    started = time.perf_counter()
    with listen_on_a_free_port() as listener:
        url = url_of(listener)
        terminal.note(say(texts.CHAT_STARTING, url=instead_of, local=url))
        # Here rather than in the server's thread: Ctrl-C ends it.
        ensure_base_model(
            base_model_source(settings),
            cache_dir=settings.cache_dir,
            progress=progress_for(sys.stderr, language=say.language),
        )
        from turkish_ai import logs  # the server's imports, only paid where one is started
        from turkish_ai.app import create_app

        logs.configure(level="error", fmt="console")  # other lines would stand between question and answer
        with local_server(create_app(settings, url=url), listener):
            terminal.note(say(texts.CHAT_STARTED, seconds=say.number(time.perf_counter() - started, digits=1)))
            client = ChatClient(url)
            try:
                yield client
            finally:
                client.close()


def _wait_until_ready(client: "ChatClient", terminal: Terminal) -> None:
    """Raises EngineUnavailable when the server says that it will not become ready."""
    from turkish_ai.cli.chat_client import Unanswered

    told = False
    while True:
        try:
            standing = client.standing()
        except Unanswered:  # it loads, and has answered before
            continue
        if standing is not None and standing.phase == "ready":
            return
        if standing is None or standing.phase in ("dead", "draining"):
            detail, detail_tr = (standing.detail, standing.detail) if standing else ("it went away", "kapandı")
            raise EngineUnavailable(
                f"The server at {client.url} does not answer questions: {detail}.",
                message_tr=f"{client.url} adresindeki sunucu soruları yanıtlamıyor: {detail_tr}.",
            )
        if not told:
            told = True
            terminal.note(
                terminal.say(texts.CHAT_WAITING, url=client.url, detail=_phase(standing.detail, terminal.say))
            )
        time.sleep(_POLL_S)


def _phase(detail: str, say: Speaker) -> str:
    if say.language == "en":
        return detail
    return say(texts.CHAT_PHASES.get(detail.partition(":")[0], texts.CHAT_PHASE_OTHER))


# --- one question, or many ------------------------------------------------------------------------------------------


def _answer_once(
    client: "ChatClient", question: str, *, model: str, max_tokens: int | None, as_json: bool, terminal: Terminal
) -> None:
    from turkish_ai.cli.chat_client import Ending, Origin
    from turkish_ai.cli.conversation import SectorNames, describe, dim

    names = SectorNames(client, terminal.say)
    origin: Origin | None = None
    ending: Ending | None = None
    told: list[str] = []
    with client.ask([Message(role="user", content=question)], model=model, max_tokens=max_tokens) as pieces:
        for piece in pieces:
            match piece:
                case Origin():
                    origin = piece
                    if not as_json:
                        terminal.note(dim(describe(piece, terminal.say, names)))
                case Ending():
                    ending = piece
                case _:
                    told.append(piece)
                    if not as_json:
                        terminal.piece(piece)
    if as_json:
        terminal.json(_as_object(question, "".join(told), origin, ending))
        return
    terminal.result("")
    if ending is not None and ending.finish_reason == "length":
        terminal.note(dim(terminal.say(texts.CHAT_CUT_SHORT)))


def _converse(client: "ChatClient", *, model: str, max_tokens: int | None, terminal: Terminal) -> None:
    from turkish_ai.cli.conversation import Conversation, dim

    terminal.note(dim(terminal.say(texts.CHAT_WELCOME, url=client.url)))
    Conversation(client=client, terminal=terminal, model=model, max_tokens=max_tokens, read_line=_read_line).run()


def _read_line(prompt: str) -> str:
    with suppress(ImportError):  # Windows has none; the line is typed without it
        import readline  # gives input() its editing and history

        # Without a UTF-8 locale it would take the bytes of ğ and ş for key commands.
        for setting in ("input-meta on", "output-meta on", "convert-meta off"):
            readline.parse_and_bind(f"set {setting}")
    return input(prompt)


def _as_object(question: str, answer: str, origin: Any, ending: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"question": question, "answer": answer}
    if origin is not None:
        found |= {
            "sector": origin.sector,
            "sector_name": origin.sector_name,
            "confidence": origin.confidence,
            "adapter": origin.adapter,
            "version": origin.version,
            "engine": origin.engine,
            "fallback": origin.fallback,
        }
    if ending is not None:
        found |= {"model": ending.model, "finish_reason": ending.finish_reason, "usage": ending.usage}
    return found
