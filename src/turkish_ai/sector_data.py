"""A sector's conversations, read from the repository and checked line by line.

Called by `training`, `grounding` and `evaluation`. Knows nothing of tokens or models. A line that cannot be
used is never skipped: it stops the reading, before any time is spent on training.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, cast, get_args

from turkish_ai.errors import DataError
from turkish_ai.messages import GENERAL, Message
from turkish_ai.near_duplicates import near_duplicates
from turkish_ai.privacy.check_digits import KIND_NAMES, checked_numbers
from turkish_ai.settings import SECTOR_IDS, is_sector_or_general

Split = Literal["train", "dev", "test"]
Style = Literal["plain", "formal", "colloquial", "ascii", "misspelt", "implicit", "multi"]
SPLITS: tuple[Split, ...] = get_args(Split)
STYLES: tuple[Style, ...] = get_args(Style)

DECLINING_FAMILIES = "bilinmeyen-"
"""How the names of those families begin whose answers say that the assistant does not know."""

PHRASINGS = "phrasings"
"""The folder beside the sectors' files with their further phrasings, one file a sector."""

_KEYS = frozenset({"id", "sector", "family", "style", "split", "messages", "provenance"})
_PHRASING_KEYS = frozenset({"id", "sector", "answer_of", "style", "text"})
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
class Phrasing:
    """Other words for the question of a train example, `answer_of`, whose answer they get too."""

    id: str
    answer_of: str
    style: Style
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SectorDataset:
    """`sha256` is that of the file's bytes, `phrasings_sha256` of the file of phrasings', "" without one."""

    sector: str
    sha256: str
    examples: tuple[SectorExample, ...]
    phrasings: tuple[Phrasing, ...] = ()
    phrasings_sha256: str = ""

    def split(self, name: Split) -> tuple[SectorExample, ...]:
        return tuple(example for example in self.examples if example.split == name)


def read_sector_dataset(file: Path, *, sector: str) -> SectorDataset:
    """Read one sector's file, and that of its further phrasings if there is one.

    Raises:
        DataError: the file cannot be read; a line is not a JSON object with exactly the known keys, names another
            sector, an unknown style or split, has an id that was there before, an empty text or U+FFFD (text that
            was decoded wrongly) or a number of a person or an account with right check digits, roles in the wrong
            order, or a family that is in another split too; a question is nearly that of another split; a phrasing is
            of no train example; or no example is there to train on or to measure with. The message names file, line
            and reason.
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
    examples: list[SectorExample] = []
    places: list[_Line] = []
    for place, line in _lines(content, file):
        example = _parse(line, place, sector=sector)
        seen.add(example, place)
        examples.append(example)
        places.append(place)
    further = file.parent / PHRASINGS / file.name
    found = further.read_bytes() if further.is_file() else b""
    phrasings = _parse_phrasings(found, further, examples, seen, sector=sector)
    _refuse_leaks(examples, places, phrasings)
    dataset = SectorDataset(
        sector=sector,
        sha256=hashlib.sha256(content).hexdigest(),
        examples=tuple(examples),
        phrasings=tuple(phrasing for phrasing, _ in phrasings),
        phrasings_sha256=hashlib.sha256(found).hexdigest() if found else "",
    )
    needed: tuple[Split, ...] = ("train", "dev")
    for name in needed:
        if not dataset.split(name):
            raise DataError(f"{file}: no example has split {name!r}.", remedy="Training needs train and dev examples.")
    return dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    file: Path
    number: int

    def __str__(self) -> str:
        """For a place beside another one, in the same folder of data."""
        return f"line {self.number} of {self.file.name}"

    def refuse(self, reason: str, *, remedy: str | None = None, cause: Exception | None = None) -> NoReturn:
        raise DataError(f"{self.file}:{self.number}: {reason}.", remedy=remedy) from cause


class _Seen:
    """Ids and families of the lines so far."""

    def __init__(self) -> None:
        self._ids: dict[str, _Line] = {}
        self._families: dict[str, tuple[Split, int]] = {}

    def add_id(self, name: str, place: _Line) -> None:
        if (first := self._ids.setdefault(name, place)) != place:
            place.refuse(f"id {name!r} is that of {first} too")

    def add(self, example: SectorExample, place: _Line) -> None:
        self.add_id(example.id, place)
        split, first = self._families.setdefault(example.family, (example.split, place.number))
        if split != example.split:
            place.refuse(
                f"family {example.family!r} is in {example.split!r} here and in {split!r} on line {first}",
                remedy="A family belongs to one split, or the measurement asks what was taught.",
            )


def _lines(content: bytes, file: Path) -> Iterator[tuple[_Line, bytes]]:
    for number, line in enumerate(content.split(b"\n"), start=1):
        if line.strip():
            yield _Line(file=file, number=number), line


def _parse_phrasings(
    content: bytes, file: Path, examples: Sequence[SectorExample], seen: _Seen, *, sector: str
) -> list[tuple[Phrasing, _Line]]:
    taught = {example.id for example in examples if example.split == "train"}
    found = []
    for place, line in _lines(content, file):
        row = _object(line, place)
        _check_keys(row, _PHRASING_KEYS, place, what="the line")
        if (named := _text(row, "sector", place)) != sector:
            place.refuse(f"sector is {named!r} in the file of {sector!r}")
        phrasing = Phrasing(
            id=_text(row, "id", place),
            answer_of=_text(row, "answer_of", place),
            style=cast(Style, _one_of(row, "style", STYLES, place)),
            text=_text(row, "text", place),
        )
        seen.add_id(phrasing.id, place)
        if phrasing.answer_of not in taught:
            place.refuse(f"answer_of is {phrasing.answer_of!r}, which is no train example of {sector}")
        found.append((phrasing, place))
    return found


def _refuse_leaks(
    examples: Sequence[SectorExample], places: Sequence[_Line], phrasings: Sequence[tuple[Phrasing, _Line]]
) -> None:
    """A question that stands in two splits would be measured on what was learnt."""
    asked = [(_opening(example), example.split, place) for example, place in zip(examples, places, strict=True)]
    asked += [(phrasing.text, "train", place) for phrasing, place in phrasings]
    for first, second in near_duplicates([text for text, *_ in asked]):
        (text, split, place), (later, its_split, its_place) = asked[first], asked[second]
        if split != its_split:
            its_place.refuse(
                f"{later!r} ({its_split}) is nearly {text!r} on {place} ({split})",
                remedy="Word it otherwise, or put both families into one split.",
            )


def _opening(example: SectorExample) -> str:
    return next(message.content for message in example.messages if message.role == "user")


def _object(line: bytes, place: _Line) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError as error:  # broken UTF-8 is one of these too
        place.refuse(f"not one JSON object in UTF-8: {error}", cause=error)
    if not isinstance(row, dict):
        place.refuse(f"a JSON object is needed, found {type(row).__name__}")
    return row


def _parse(line: bytes, place: _Line, *, sector: str) -> SectorExample:
    row = _object(line, place)
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
    if (number := next(checked_numbers(value), None)) is not None:
        place.refuse(
            f"`{key}` holds {number.text!r}, a valid {KIND_NAMES[number.kind]}",
            remedy="Data name no person and no account: leave the number out, or change a digit.",
        )
    return value
