"""Match the patterns that a PEFT config brings, in time that the pattern cannot choose.

Called by `peft_config`. A backtracking matcher can take exponential time and holds the interpreter while it does, so
no pattern of an adapter reaches `re`. A `Pattern` answers as `re.fullmatch` would, for the part of the language that
configs use: names, `.`, `\\.`, `\\d`, `\\w`, `[...]`, `(...|...)`, `^`, `$`, `\\b`, `?` after anything, and `*`, `+`,
`{m,n}` after one character. Anything else is refused. Every node moves a set of places on, so a match costs at most
the pattern's length times the text's (a module's path has some 50 characters), times the largest `n`.
"""

from collections.abc import Callable

MAX_PATTERN_LENGTH = 512
_MAX_DEPTH = 20
_MAX_REPEAT = 16
_WORD = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_")
_DIGITS = frozenset("0123456789")

_Move = Callable[[str, set[int]], set[int]]
"""From the places in a text where a match may stand to those where it may stand after this node."""
_Accepts = Callable[[str], bool]


class UnsupportedPattern(Exception):
    """The pattern is broken, too long, or uses more of the language than is matched here."""


class Pattern:
    """Raises UnsupportedPattern. Text is expected to be ASCII without line breaks, as module paths are."""

    def __init__(self, source: str) -> None:
        self._move = _Parser(source).whole()

    def fullmatch(self, text: str) -> bool:
        return len(text) in self._move(text, {0})

    def matches_end_of_path(self, path: str) -> bool:
        """As `re.match(rf"(.*\\.)?({source})$", path)`: the pattern covers `path`, or what follows one of its dots."""
        starts = {0, *(place + 1 for place, char in enumerate(path) if char == ".")}
        return len(path) in self._move(path, starts)


class _Parser:
    def __init__(self, source: str) -> None:
        if len(source) > MAX_PATTERN_LENGTH:
            raise UnsupportedPattern(f"it has {len(source)} characters, at most {MAX_PATTERN_LENGTH} are matched")
        self._source = source
        self._at = 0
        self._depth = 0

    def whole(self) -> _Move:
        move = self._branches()
        if self._at < len(self._source):
            raise UnsupportedPattern(f"')' at {self._at} closes nothing")
        return move

    def _peek(self) -> str:
        return self._source[self._at : self._at + 1]

    def _take(self) -> str:
        char = self._peek()
        if not char:
            raise UnsupportedPattern("it ends too early")
        self._at += 1
        return char

    def _skip(self, text: str) -> bool:
        found = self._source.startswith(text, self._at)
        self._at += len(text) if found else 0
        return found

    def _branches(self) -> _Move:
        branches = [self._sequence()]
        while self._skip("|"):
            branches.append(self._sequence())
        return branches[0] if len(branches) == 1 else _either(branches)

    def _sequence(self) -> _Move:
        moves: list[_Move] = []
        while self._peek() not in ("", "|", ")"):
            moves.append(self._item())
        return _one_after_another(moves)

    def _item(self) -> _Move:
        char = self._take()
        if char == "(":
            return self._group()
        if char == "^":
            return self._bare(lambda text, places: places & {0})
        if char == "$":
            return self._bare(lambda text, places: places & {len(text)})
        if char == "\\" and self._peek() == "b":
            self._take()
            return self._bare(lambda text, places: {p for p in places if _is_word_border(text, p)})
        return self._repeated(self._character(char))

    def _bare(self, move: _Move) -> _Move:
        if self._peek() in tuple("*+?{"):
            raise UnsupportedPattern(f"a repetition at {self._at} of something that has no characters")
        return move

    def _group(self) -> _Move:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise UnsupportedPattern(f"its groups are nested more than {_MAX_DEPTH} deep")
        if self._peek() == "?" and not self._skip("?:"):
            raise UnsupportedPattern(f"a group at {self._at} that looks around or changes flags")
        inner = self._branches()
        if not self._skip(")"):
            raise UnsupportedPattern("a group is not closed")
        self._depth -= 1
        if self._skip("?"):
            inner = _either([inner, _one_after_another([])])
            self._skip("?")  # lazy: another order of trying, the same matches
        if self._peek() in tuple("*+?{"):
            raise UnsupportedPattern(f"a repeated group at {self._at}")
        return inner

    def _character(self, char: str) -> _Accepts:
        if char == ".":
            return lambda c: c != "\n"
        if char == "[":
            return self._set()
        if char == "\\":
            return self._escape()
        if char in "*+?{":
            raise UnsupportedPattern(f"a repetition of nothing at {self._at - 1}")
        return lambda c: c == char

    def _escape(self) -> _Accepts:
        char = self._take()
        if char == "d":
            return lambda c: c in _DIGITS
        if char == "w":
            return lambda c: c in _WORD
        if char.isalnum():
            raise UnsupportedPattern(f"the escape \\{char} at {self._at - 2}")
        return lambda c: c == char

    def _set(self) -> _Accepts:
        negated = self._skip("^")
        accepted: list[_Accepts] = []
        while not accepted or self._peek() != "]":
            char = self._take()
            if char == "[" or (char == self._peek() and char in "-&~|"):
                raise UnsupportedPattern(f"a set inside a set at {self._at - 1}")
            if char == "\\":
                accepted.append(self._escape())
            elif self._peek() == "-" and self._source[self._at + 1 : self._at + 2] not in ("]", ""):
                self._take()
                last = self._take()
                if last == "\\" or last < char:
                    raise UnsupportedPattern(f"the range {char}-{last}")
                accepted.append(lambda c, first=char, last=last: first <= c <= last)  # type: ignore[misc]
            else:
                accepted.append(lambda c, only=char: c == only)  # type: ignore[misc]
        self._take()
        return lambda c: any(accepts(c) for accepts in accepted) != negated

    def _repeated(self, accepts: _Accepts) -> _Move:
        if self._skip("*"):
            least, most = 0, None
        elif self._skip("+"):
            least, most = 1, None
        elif self._skip("?"):
            least, most = 0, 1
        elif self._peek() == "{":
            least, most = self._bounds()
        else:
            return _run(accepts, 1, 1)
        self._skip("?")
        if self._peek() in tuple("*+?{"):
            raise UnsupportedPattern(f"a repetition of a repetition at {self._at}")
        return _run(accepts, least, most)

    def _bounds(self) -> tuple[int, int | None]:
        end = self._source.find("}", self._at)
        first, comma, last = self._source[self._at + 1 : end].partition(",")
        if end < 0 or not _is_count(first) or not (_is_count(last) or not last):
            raise UnsupportedPattern(f"the repetition at {self._at}; counts up to {_MAX_REPEAT} are matched")
        self._at = end + 1
        least, most = int(first), int(last) if last else None
        if not comma:
            most = least
        if most is not None and most < least:
            raise UnsupportedPattern(f"the repetition {{{first},{last}}}")
        return least, most


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= 2 and int(text) <= _MAX_REPEAT


def _run(accepts: _Accepts, least: int, most: int | None) -> _Move:
    """`least` to `most` characters that `accepts` takes; None is any number."""

    def move(text: str, places: set[int]) -> set[int]:
        for _ in range(least):
            places = {p + 1 for p in places if p < len(text) and accepts(text[p])}
        reached = set(places)
        if most is None:
            for place in range(min(places, default=len(text)), len(text)):
                if place in reached and accepts(text[place]):
                    reached.add(place + 1)
            return reached
        for _ in range(most - least):
            places = {p + 1 for p in places if p < len(text) and accepts(text[p])}
            reached |= places
        return reached

    return move


def _either(branches: list[_Move]) -> _Move:
    return lambda text, places: set().union(*(branch(text, places) for branch in branches))


def _one_after_another(moves: list[_Move]) -> _Move:
    def move(text: str, places: set[int]) -> set[int]:
        for each in moves:
            places = each(text, places)
            if not places:
                break
        return places

    return move


def _is_word_border(text: str, place: int) -> bool:
    before = place > 0 and text[place - 1] in _WORD
    after = place < len(text) and text[place] in _WORD
    return before != after
