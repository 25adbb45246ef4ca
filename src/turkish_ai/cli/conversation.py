"""A conversation at the terminal: questions and commands typed, answers streamed, until the person leaves.

Driven by `chat`, which brings the client and the way to read a line. Keeps the history; knows nothing of HTTP or of
how a line is edited.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import typer

from turkish_ai.cli import texts
from turkish_ai.cli.chat_client import Ending, Origin, Piece, SectorCard
from turkish_ai.cli.language import Speaker
from turkish_ai.cli.sectors import sector_meant
from turkish_ai.cli.terminal import Terminal
from turkish_ai.errors import TurkishAiError
from turkish_ai.messages import Message
from turkish_ai.routing.turkish import fold

AUTO = "auto"

_NEW = frozenset({"yeni", "new"})
_SECTOR = frozenset({"sektor", "sector"})
_HELP = frozenset({"yardim", "help"})
_LEAVE = frozenset({"cik", "cikis", "exit", "quit"})
"""Commands as `fold` leaves them, so that /ÇIK, /çık and /cik are one."""


class Client(Protocol):
    def ask(
        self, messages: Sequence[Message], *, model: str, max_tokens: int | None
    ) -> AbstractContextManager[Generator[Piece, None, None]]: ...

    def sectors(self) -> list[SectorCard]: ...


class Conversation:
    """`read_line` shows a prompt and returns a line; it raises EOFError at the end and KeyboardInterrupt on Ctrl-C."""

    def __init__(
        self,
        *,
        client: Client,
        terminal: Terminal,
        model: str,
        max_tokens: int | None,
        read_line: Callable[[str], str],
    ) -> None:
        self._client = client
        self._terminal = terminal
        self._say = terminal.say
        self._model = model
        self._max_tokens = max_tokens
        self._read_line = read_line
        self._history: list[Message] = []

    def run(self) -> None:
        """Returns when the person leaves: /çık, the end of the input, or Ctrl-C while nothing is being answered."""
        while True:
            try:
                line = self._read_line(self._say(texts.CHAT_PROMPT)).strip()
            except (EOFError, KeyboardInterrupt):
                self._terminal.note("")
                return
            if line.startswith("/"):
                if not self._obey(line):
                    return
            elif line:
                self._answer(line)

    def _answer(self, question: str) -> None:
        self._history.append(Message(role="user", content=question))
        told: list[str] = []
        try:
            with self._client.ask(self._history, model=self._model, max_tokens=self._max_tokens) as pieces:
                for piece in pieces:
                    match piece:
                        case Origin():
                            self._terminal.note(dim(describe(piece, self._say)))
                        case Ending():
                            if piece.finish_reason == "length":
                                self._terminal.piece("\n" + dim(self._say(texts.CHAT_CUT_SHORT)))
                        case _:
                            told.append(piece)
                            self._terminal.piece(piece)
            self._terminal.result("\n")
        except KeyboardInterrupt:
            self._terminal.result("\n" + dim(self._say(texts.CHAT_STOPPED)))
        except TurkishAiError as error:
            self._terminal.result("")
            self._terminal.note(self._say(texts.ERROR, error=" ".join(str(error).split())))
        if told:
            self._history.append(Message(role="assistant", content="".join(told)))
        else:
            self._history.pop()  # a question that got no answer would confuse the next one

    def _obey(self, line: str) -> bool:
        """False when the person leaves."""
        word, _, argument = line[1:].partition(" ")
        command = fold(word)
        if command in _LEAVE:
            return False
        if command in _NEW:
            self._history.clear()
            self._terminal.note(dim(self._say(texts.CHAT_NEW)))
        elif command in _HELP:
            self._terminal.note(dim(self._say(texts.CHAT_COMMANDS)))
        elif command in _SECTOR:
            try:
                self._choose_sector(argument.strip())
            except TurkishAiError as error:
                self._terminal.note(self._say(texts.ERROR, error=str(error)))
        else:
            self._terminal.note(dim(self._say(texts.CHAT_UNKNOWN_COMMAND, command=f"/{word}")))
        return True

    def _choose_sector(self, typed: str) -> None:
        cards = {card.id: card for card in self._client.sectors()}

        def name(card: SectorCard) -> str:
            return card.name_tr if self._say.language == "tr" else card.name_en

        if not typed:
            self._terminal.table(
                [self._say(texts.COLUMN_ID), self._say(texts.COLUMN_SECTOR), self._say(texts.COLUMN_VERSION)],
                [(card.id, name(card), card.version or "-") for card in cards.values()],
            )
            return
        if fold(typed) in (AUTO, "otomatik"):
            self._model = AUTO
            self._terminal.note(dim(self._say(texts.CHAT_MODEL_NOW, model=self._say(texts.CHAT_MODEL_AUTO))))
            return
        names = [(card.id, spelled) for card in cards.values() for spelled in (card.name_tr, card.name_en)]
        sector = sector_meant(typed, names)
        if sector is None:
            self._terminal.note(self._say(texts.CHAT_UNKNOWN_SECTOR, sector=typed))
            return
        self._model = sector
        self._terminal.note(dim(self._say(texts.CHAT_MODEL_NOW, model=name(cards[sector]))))


def describe(origin: Origin, say: Speaker) -> str:
    """`E-ticaret · güven %93 · adaptör ecommerce@0123456789ab`, or why the base model had to step in."""
    if origin.fallback is not None and (why := origin.fallback.get(f"message_{say.language}")):
        return why
    adapter = say(texts.CHAT_NO_ADAPTER)
    if origin.adapter is not None:
        adapter = say(texts.CHAT_ADAPTER, name=origin.adapter, version=origin.version)
    if origin.routed:
        return say(
            texts.CHAT_ORIGIN, sector=origin.sector_name, confidence=say.percent(origin.confidence), adapter=adapter
        )
    return say(texts.CHAT_ORIGIN_ASKED, sector=origin.sector_name, adapter=adapter)


def dim(text: str) -> str:
    return typer.style(text, dim=True)
