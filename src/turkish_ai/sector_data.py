"""A sector's conversations, read from the repository and checked line by line.

Called by `training`, `grounding` and `evaluation`. Knows nothing of tokens or models. A line that cannot be
used is never skipped: it stops the reading, before any time is spent on training.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, cast, get_args

from turkish_ai.errors import DataError
from turkish_ai.messages import GENERAL, Message
from turkish_ai.settings import SECTOR_IDS, is_sector_or_general

Split = Literal["train", "dev", "test"]
Style = Literal["plain", "formal", "colloquial", "ascii", "misspelt", "implicit", "multi"]
SPLITS: tuple[Split, ...] = get_args(Split)
STYLES: tuple[Style, ...] = get_args(Style)

DECLINING_FAMILIES = "bilinmeyen-"
"""How the names of those families begin whose answers say that the assistant does not know."""

_KEYS = frozenset({"id", "sector", "family", "style", "split", "messages", "provenance"})
_MESSAGE_KEYS = frozenset({"role", "content"})
_REPLACEMENT = "\ufffd"


@dataclass(frozen=True, slots=True, kw_only=True)
class SectorExample:
    """One conversation that ends with an answer. The conversations of a `family` ask for the same facts."""

    id: str
    family: str
    style: Style
    split: Split
    messages: tuple[Message, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SectorDataset:
    """`sha256` is that of the file's bytes."""

    sector: str
    sha256: str
    examples: tuple[SectorExample, ...]

    def split(self, name: Split) -> tuple[SectorExample, ...]:
        return tuple(example for example in self.examples if example.split == name)


def read_sector_dataset(file: Path, *, sector: str) -> SectorDataset:
    """Read one sector's file.

    Raises:
        DataError: the file cannot be read; a line is not a JSON object with exactly the known keys, names another
            sector, an unknown style or split, has an id that was there before, an empty text or U+FFFD (text that
            was decoded wrongly), roles in the wrong order, or a family that is in another split too; or no example
            is there to train on or to measure with. The message names file, line and reason.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise DataError(
            f"{file}: cannot be read ({error.strerror}).",
            remedy=f"Write the conversations of {sector} there.",
            message_tr=f"{file} okunamıyor ({error.strerror}).",
            remedy_tr=f"{sector} sektörünün yazışmalarını oraya yazın.",
        ) from error
    seen = _Seen()
    examples = []
    for number, line in enumerate(content.split(b"\n"), start=1):
        if not line.strip():
            continue
        place = _Line(file=file, number=number)
        example = _parse(line, place, sector=sector)
        seen.add(example, place)
        examples.append(example)
    dataset = SectorDataset(sector=sector, sha256=hashlib.sha256(content).hexdigest(), examples=tuple(examples))
    needed: tuple[Split, ...] = ("train", "dev")
    for name in needed:
        if not dataset.split(name):
            raise DataError(f"{file}: no example has split {name!r}.", remedy="Training needs train and dev examples.")
    return dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    file: Path
    number: int

    def refuse(self, reason: str, *, remedy: str | None = None, cause: Exception | None = None) -> NoReturn:
        raise DataError(f"{self.file}:{self.number}: {reason}.", remedy=remedy) from cause


class _Seen:
    """Ids and families of the lines so far."""

    def __init__(self) -> None:
        self._ids: dict[str, int] = {}
        self._families: dict[str, tuple[Split, int]] = {}

    def add(self, example: SectorExample, place: _Line) -> None:
        if (first := self._ids.setdefault(example.id, place.number)) != place.number:
            place.refuse(f"id {example.id!r} is that of line {first} too")
        split, first = self._families.setdefault(example.family, (example.split, place.number))
        if split != example.split:
            place.refuse(
                f"family {example.family!r} is in {example.split!r} here and in {split!r} on line {first}",
                remedy="A family belongs to one split, or the measurement asks what was taught.",
            )


def _parse(line: bytes, place: _Line, *, sector: str) -> SectorExample:
    try:
        row = json.loads(line)
    except ValueError as error:  # broken UTF-8 is one of these too
        place.refuse(f"not one JSON object in UTF-8: {error}", cause=error)
    if not isinstance(row, dict):
        place.refuse(f"a JSON object is needed, found {type(row).__name__}")
    _check_keys(row, _KEYS, place, what="the line")
    found = _text(row, "sector", place)
    if not is_sector_or_general(found):
        place.refuse(f"unknown sector {found!r}", remedy=f"Known: {', '.join((*SECTOR_IDS, GENERAL))}.")
    if found != sector:
        place.refuse(f"sector is {found!r} in the file of {sector!r}")
    _text(row, "provenance", place)
    return SectorExample(
        id=_text(row, "id", place),
        family=_text(row, "family", place),
        style=cast(Style, _one_of(row, "style", STYLES, place)),
        split=cast(Split, _one_of(row, "split", SPLITS, place)),
        messages=_messages(row["messages"], place),
    )


def _messages(rows: object, place: _Line) -> tuple[Message, ...]:
    """An optional system message, then question and answer in turn, an answer last."""
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        place.refuse("`messages` has to be a list of objects")
    for row in rows:
        _check_keys(row, _MESSAGE_KEYS, place, what="a message")
    roles = [row["role"] for row in rows]
    turns = roles[1:] if roles[:1] == ["system"] else roles
    if not turns or turns != ["user", "assistant"] * (len(turns) // 2):
        place.refuse(
            f"the roles are {', '.join(map(str, roles)) or 'none'}",
            remedy="Allowed: an optional system, then user and assistant in turn, assistant last.",
        )
    return tuple(Message(role=row["role"], content=_text(row, "content", place)) for row in rows)


def _check_keys(row: dict[str, Any], allowed: frozenset[str], place: _Line, *, what: str) -> None:
    if missing := sorted(allowed - set(row)):
        place.refuse(f"{what} has no `{missing[0]}`")
    if unknown := sorted(set(row) - allowed):
        place.refuse(f"{what} has the unknown key `{unknown[0]}`", remedy=f"Known: {', '.join(sorted(allowed))}.")


def _one_of(row: dict[str, Any], key: str, allowed: Sequence[str], place: _Line) -> str:
    value = row[key]
    if value not in allowed:
        place.refuse(f"{key} is {value!r}", remedy=f"Allowed: {', '.join(allowed)}.")
    return str(value)


def _text(row: dict[str, Any], key: str, place: _Line) -> str:
    value = row[key]
    if not isinstance(value, str):
        place.refuse(f"`{key}` has to be a text, found {value!r}")
    if not value.strip():
        place.refuse(f"`{key}` is empty")
    if _REPLACEMENT in value:
        place.refuse(f"`{key}` holds U+FFFD, the mark of text that was decoded wrongly")
    return value
