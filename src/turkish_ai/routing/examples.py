"""The questions that the router learns from and is measured on, read from the repository and checked.

Called by `training` and `evaluation`. Three kinds of file: `data/routing/<sector>.jsonl` with bare questions (for
training, unless a line's `split` says otherwise); `data/sectors/<sector>.jsonl` with conversations, split by family;
and `data/sectors/phrasings/<sector>.jsonl` with further wordings of what the train split asks. Not among them are the
files of `general`, whose questions are also about sectors that have no adapter yet. Besides questions there are terms,
the names of what a sector is about: those that the configuration describes it with, and those of
`data/routing/terms.json` (sector to list of terms), if it is there. They are always learnt and never
measured. Knows nothing of features or models. A line that cannot be used is never skipped: it stops the reading.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

from turkish_ai.errors import DataError
from turkish_ai.messages import GENERAL
from turkish_ai.sector_data import PHRASINGS
from turkish_ai.settings import SECTOR_IDS, Sector, is_sector_or_general
from turkish_ai.turkish import fold

Split = Literal["train", "dev", "test"]
CLASSES = (*SECTOR_IDS, GENERAL)
TERMS_FILE = "terms.json"
_TERM = "term"
_SPLITS = ("train", "dev", "test")
_REPLACEMENT = "\ufffd"
_BETWEEN_TERMS = re.compile(r", | ve ")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingExample:
    """A question and the sector it belongs to.

    `follow_ups` are the user's later turns of the same conversation: they lean on what came before, so they measure
    the history and teach nothing. Questions of one `family` are ways to ask the same thing; a bare question is its
    own family.
    """

    id: str
    sector: str
    style: str
    text: str
    family: str
    split: Split
    follow_ups: tuple[str, ...] = ()

    @property
    def is_bare(self) -> bool:
        """A query without an answer, and so a family of its own."""
        return self.family == self.id


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutingData:
    examples: tuple[RoutingExample, ...]
    terms: tuple[RoutingExample, ...]
    sha256: str
    """Of all files, names and bytes, and of the sectors' descriptions."""

    def questions(self, *splits: Split) -> list[RoutingExample]:
        """Without those of punctuation or emoji alone: the router answers them before it asks the model."""
        return [example for example in self.examples if example.split in splits and fold(example.text)]


def data_files(*, routing_dir: Path, sector_dir: Path) -> tuple[Path, ...]:
    """Every file that is read. Raises DataError if there is no folder of routing questions."""
    if not routing_dir.is_dir():
        raise DataError(
            f"{routing_dir}: the router's questions are not there.",
            remedy="Set routing.data in model_config.json.",
            message_tr=f"{routing_dir}: yönlendiricinin soruları orada değil.",
            remedy_tr="model_config.json dosyasında routing.data değerini düzeltin.",
        )
    conversations = sorted(file for file in sector_dir.glob("*.jsonl") if file.stem != GENERAL)
    phrasings = [file for file in sorted((sector_dir / PHRASINGS).glob("*.jsonl")) if file.stem != GENERAL]
    lines = (*sorted(routing_dir.glob("*.jsonl")), *conversations, *phrasings)
    terms = routing_dir / TERMS_FILE
    return (*lines, terms) if terms.exists() else lines


def data_sha256(files: Sequence[Path], sectors: Sequence[Sector]) -> str:
    found = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        found.update(f"{file.parent.name}/{file.name} {len(content)}\n".encode())
        found.update(content)
    for sector in sectors:
        found.update(f"{sector.id} {sector.name_tr} {sector.description_tr}\n".encode())
    return found.hexdigest()


def read_examples(*, routing_dir: Path, sector_dir: Path, sectors: Sequence[Sector]) -> RoutingData:
    """Read and check everything. `sectors` are the configuration's, for their names and descriptions.

    Raises:
        DataError: a line is broken, names an unknown sector or one that is not its file's, is empty, holds U+FFFD
            (text that was decoded wrongly), has an id that was there before, or folds to a text of another sector;
            the terms are not lists of texts by sector; or a sector has no questions at all. The message names file,
            line and reason.
    """
    files = data_files(routing_dir=routing_dir, sector_dir=sector_dir)
    seen = _Seen()
    lines = [file for file in files if file.name != TERMS_FILE]
    examples = [example for file in lines for example in _read_file(file, seen, bare=file.parent == routing_dir)]
    terms = _described(sectors)
    if len(lines) < len(files):
        terms += _read_terms(routing_dir / TERMS_FILE)
    data = RoutingData(examples=tuple(examples), terms=tuple(terms), sha256=data_sha256(files, sectors))
    trained = {example.sector for example in data.questions("train")}
    if missing := [sector for sector in CLASSES if sector not in trained]:
        raise DataError(
            f"{routing_dir}: no question to train with for {', '.join(missing)}.",
            remedy="A sector without questions would never be chosen; add its file.",
        )
    return data


def _described(sectors: Sequence[Sector]) -> list[RoutingExample]:
    """The terms in the sectors' Turkish names and descriptions, one by one."""
    return [
        _term(sector.id, term)
        for sector in sectors
        for term in _BETWEEN_TERMS.split(f"{sector.name_tr}, {sector.description_tr}")
    ]


def _read_terms(file: Path) -> list[RoutingExample]:
    """A term may be of several sectors."""
    content = _object(file.read_bytes(), str(file))
    terms = []
    for sector, listed in content.items():
        _refuse_unknown(sector, str(file))
        if not isinstance(listed, list):
            raise DataError(f"{file}: `{sector}` has to be a list of terms, found {listed!r}.")
        terms += [_term(sector, _checked(term, f"a term of {sector}", str(file))) for term in listed]
    return terms


def _term(sector: str, text: str) -> RoutingExample:
    return RoutingExample(id=f"{sector}/{text}", sector=sector, style=_TERM, text=text, family=text, split="train")


class _Seen:
    """Ids, with their families, and folded texts of the lines so far, with the place where each stood first."""

    def __init__(self) -> None:
        self.ids: dict[str, str] = {}
        self.families: dict[str, str] = {}
        self.texts: dict[str, tuple[str, str]] = {}  # folded text -> sector, place


def _read_file(file: Path, seen: _Seen, *, bare: bool) -> Iterator[RoutingExample]:
    is_phrasing = file.parent.name == PHRASINGS
    for number, line in enumerate(file.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        place = f"{file}:{number}"
        example = _parse_phrasing(line, place, seen) if is_phrasing else _parse(line, place, bare=bare)
        if example.sector != file.stem:
            raise DataError(f"{place}: sector is {example.sector!r} in the file of {file.stem!r}.")
        _refuse_duplicate(example, place, seen)
        yield example


def _parse(line: bytes, place: str, *, bare: bool) -> RoutingExample:
    row = _object(line, place)
    sector = _text(row, "sector", place)
    _refuse_unknown(sector, place)
    example_id, style = _text(row, "id", place), _text(row, "style", place)
    split = _text({"split": "train"} | row if bare else row, "split", place)
    if split not in _SPLITS:
        raise DataError(f"{place}: split is {split!r}; allowed are {', '.join(_SPLITS)}.")
    if bare:
        return RoutingExample(
            id=example_id,
            sector=sector,
            style=style,
            text=_text(row, "text", place),
            family=example_id,
            split=cast(Split, split),
        )
    first, *later = _user_turns(row, place)
    return RoutingExample(
        id=example_id,
        sector=sector,
        style=style,
        text=first,
        family=f"{sector}/{_text(row, 'family', place)}",
        split=cast(Split, split),
        follow_ups=tuple(later),
    )


def _parse_phrasing(line: bytes, place: str, seen: _Seen) -> RoutingExample:
    row = _object(line, place)
    sector = _text(row, "sector", place)
    _refuse_unknown(sector, place)
    answer_of = _text(row, "answer_of", place)
    if answer_of not in seen.families:
        raise DataError(f"{place}: answer_of is {answer_of!r}, which is no example.")
    return RoutingExample(
        id=_text(row, "id", place),
        sector=sector,
        style=_text(row, "style", place),
        text=_text(row, "text", place),
        family=seen.families[answer_of],
        split="train",
    )


def _user_turns(row: dict[str, Any], place: str) -> list[str]:
    messages = row.get("messages")
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        raise DataError(f"{place}: `messages` has to be a list of objects.")
    turns = [_text(message, "content", place) for message in messages if message.get("role") == "user"]
    if not turns:
        raise DataError(f"{place}: no message of the user.")
    return turns


def _object(content: bytes, place: str) -> dict[str, Any]:
    try:
        found = json.loads(content, object_pairs_hook=_refuse_twice)
    except ValueError as error:  # broken UTF-8 is one of these too
        raise DataError(f"{place}: not one JSON object in UTF-8: {error}.") from error
    if not isinstance(found, dict):
        raise DataError(f"{place}: a JSON object is needed, found {type(found).__name__}.")
    return found


def _refuse_twice(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return found


def _text(row: dict[str, Any], key: str, place: str) -> str:
    return _checked(row.get(key), f"`{key}`", place)


def _checked(value: object, name: str, place: str) -> str:
    if not isinstance(value, str):
        raise DataError(f"{place}: {name} has to be a text, found {value!r}.")
    if not value.strip():
        raise DataError(f"{place}: {name} is empty.")
    if _REPLACEMENT in value:
        raise DataError(f"{place}: {name} holds U+FFFD, the mark of text that was decoded wrongly.")
    return value


def _refuse_unknown(sector: str, place: str) -> None:
    if not is_sector_or_general(sector):
        raise DataError(f"{place}: unknown sector {sector!r}.", remedy=f"Known: {', '.join(CLASSES)}.")


def _refuse_duplicate(example: RoutingExample, place: str, seen: _Seen) -> None:
    if first := seen.ids.get(example.id):
        raise DataError(f"{place}: id {example.id!r} is that of {first} too.")
    seen.ids[example.id] = place
    seen.families[example.id] = example.family
    folded = fold(example.text)
    if not folded:  # punctuation or emoji alone: nothing that could contradict
        return
    sector, first = seen.texts.setdefault(folded, (example.sector, place))
    if sector != example.sector:
        raise DataError(
            f"{place}: {example.text!r} is of {example.sector} here and of {sector} in {first}.",
            remedy="A question has one sector: drop one of the two, or word them apart.",
        )
