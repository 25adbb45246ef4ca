"""A conversation at the terminal: questions and commands typed, answers streamed, until the person leaves.

Driven by `chat`, which brings the client and the way to read a line. Keeps the history; knows nothing of HTTP or of
how a line is edited.
"""

from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from typing import Literal, Protocol

import typer

from turkish_ai.cli import texts
from turkish_ai.cli.chat_client import Ending, Origin, Piece, Refused, SectorCard
from turkish_ai.cli.language import Speaker
from turkish_ai.cli.problem import sentence
from turkish_ai.cli.sectors import sector_meant
from turkish_ai.cli.terminal import Terminal
from turkish_ai.errors import TurkishAiError
from turkish_ai.messages import Message
from turkish_ai.turkish import fold

AUTO = "auto"
_TOO_LONG = "context_length_exceeded"

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
        self._names = SectorNames(client, self._say)
        self._has_told_of_forgetting = False

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
        while self._ask(told) == "too long":
            del self._history[:2]  # the oldest question and its answer
        if told:
            self._history.append(Message(role="assistant", content="".join(told)))
        else:
            self._history.pop()  # a question that got no answer would confuse the next one

    def _ask(self, told: list[str]) -> Literal["done", "too long"]:
        """Show the answer to the history's last question, and put it into `told`.

        "too long": the server refused, and without the oldest turns it may not.
        """
        try:
            with self._client.ask(self._history, model=self._model, max_tokens=self._max_tokens) as pieces:
                for piece in pieces:
                    match piece:
                        case Origin():
                            self._terminal.note(dim(describe(piece, self._say, self._names)))
                        case Ending():
                            if piece.finish_reason == "length":
                                self._terminal.piece("\n" + dim(self._say(texts.CHAT_CUT_SHORT_HERE)))
                        case _:
                            told.append(piece)
                            self._terminal.piece(piece)
            self._terminal.result("\n")
        except KeyboardInterrupt:
            self._terminal.result("\n" + dim(self._say(texts.CHAT_STOPPED)))
        except TurkishAiError as error:
            if isinstance(error, Refused) and error.refusal == _TOO_LONG and len(self._history) > 1 and not told:
                if not self._has_told_of_forgetting:
                    self._has_told_of_forgetting = True
                    self._terminal.note(dim(self._say(texts.CHAT_FORGETS)))
                return "too long"
            self._terminal.result("")
            self._terminal.note(self._say(texts.ERROR, error=sentence(error, self._say)))
        return "done"

    def _obey(self, line: str) -> bool:
        """False when the person leaves."""
        word, _, argument = line[1:].partition(" ")
        command = fold(word)
        if command in _LEAVE:
            return False
        if command in _NEW:
            self._history.clear()
            self._has_told_of_forgetting = False
            self._terminal.note(dim(self._say(texts.CHAT_NEW)))
        elif command in _HELP:
            self._terminal.note(dim(self._say(texts.CHAT_COMMANDS)))
        elif command in _SECTOR:
            try:
                self._choose_sector(argument.strip())
            except TurkishAiError as error:
                self._terminal.note(self._say(texts.ERROR, error=sentence(error, self._say)))
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


class SectorNames:
    """The names of sectors in the person's language. The answers bring Turkish ones; others are asked for once."""

    def __init__(self, client: Client, say: Speaker) -> None:
        self._client = client
        self._say = say
        self._cards: dict[str, SectorCard] | None = None

    def __call__(self, sector: str, *, turkish: str | None = None) -> str:
        if self._say.language == "tr" and turkish is not None:
            return turkish
        if self._cards is None:
            try:
                self._cards = {card.id: card for card in self._client.sectors()}
            except TurkishAiError:
                self._cards = {}  # the answer matters more than its sector's name
        card = self._cards.get(sector)
        if card is None:
            return turkish or sector
        return card.name_tr if self._say.language == "tr" else card.name_en


def describe(origin: Origin, say: Speaker, names: SectorNames) -> str:
    """`E-ticaret · güven %93 · adaptör ecommerce@0123456789ab`, or who steps in for a sector without an adapter."""
    confidence = say.percent(origin.confidence)
    if origin.fallback is not None:
        sector = names(origin.fallback.get("sector", origin.sector))
        who = say(texts.CHAT_BASE if origin.adapter is None else texts.CHAT_GENERAL)
        return say(texts.CHAT_ORIGIN_FALLBACK, sector=sector, confidence=confidence, who=who)
    sector = names(origin.sector, turkish=origin.sector_name)
    adapter = say(texts.CHAT_NO_ADAPTER)
    if origin.adapter is not None:
        adapter = say(texts.CHAT_ADAPTER, name=origin.adapter, version=origin.version)
    if origin.routed:
        return say(texts.CHAT_ORIGIN, sector=sector, confidence=confidence, adapter=adapter)
    return say(texts.CHAT_ORIGIN_ASKED, sector=sector, adapter=adapter)


def dim(text: str) -> str:
    return typer.style(text, dim=True)
