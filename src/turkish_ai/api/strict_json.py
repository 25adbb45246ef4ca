"""Read a request's body as one JSON object, and refuse every text that two parsers could read in two ways.

Called by the routes that take a body. Duplicate keys, NaN, numbers without end, lone surrogates, NUL and deep nesting
are refused here, so that nothing behind this door meets them. Knows nothing of what the object should hold.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

from starlette.requests import ClientDisconnect, Request

from turkish_ai.api.disconnect import ClientGone
from turkish_ai.errors import InvalidRequest, UnsupportedMediaType

MAX_DEPTH = 32
"""Levels of nesting; a chat request needs five."""

_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
"""A string, closed or not: it always matches at a quote, so a hostile body cannot make the search start over."""
_BRACKET = re.compile(r"[\[\]{}]")


async def read_object(request: Request) -> dict[str, Any]:
    """Raises UnsupportedMediaType or InvalidRequest, and whatever the body limits raise (BodyTooLarge, BodyTooSlow)."""
    _check_media_type(request)
    try:
        body = await request.body()
    except ClientDisconnect:
        raise ClientGone from None
    return parse_object(body)


def parse_object(body: bytes) -> dict[str, Any]:
    if not body:
        raise InvalidRequest("The body is empty.", remedy="Send a JSON object.")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"The body is not UTF-8: byte {body[error.start]:#04x} at position {error.start}.",
            remedy="Encode it as UTF-8.",
        ) from None
    _check_depth(text)
    try:
        value = json.loads(text, object_pairs_hook=_object, parse_float=_finite, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        what = error.msg.removesuffix(" starting at")
        raise InvalidRequest(
            f"The body is not valid JSON: {what} at line {error.lineno}, column {error.colno}."
        ) from None
    except ValueError:  # Python's own limit on the digits of a whole number
        raise InvalidRequest("The body holds a whole number of thousands of digits.", remedy="Shorten it.") from None
    if not isinstance(value, dict):
        raise InvalidRequest(f"The body is {_kind(value)}; expected a JSON object.")
    if "\\u" in text:
        _check_characters(value)
    return value


def _check_media_type(request: Request) -> None:
    given = request.headers.get("content-type", "")
    kind, *parameters = (part.strip().casefold() for part in given.split(";"))
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        raise UnsupportedMediaType(
            f"Content-Type is {given[:80]!r}." if given else "Content-Type is missing.",
            remedy="Send JSON with Content-Type: application/json.",
        )
    for parameter in parameters:
        name, _, charset = parameter.partition("=")
        if name == "charset" and charset.strip('"') not in ("utf-8", "utf8"):
            raise UnsupportedMediaType(f"The body's charset is {charset[:40]!r}.", remedy="Send UTF-8.")
    if (encoding := request.headers.get("content-encoding", "identity").casefold()) != "identity":
        raise UnsupportedMediaType(f"Content-Encoding is {encoding[:40]!r}.", remedy="Send the body uncompressed.")


def _check_depth(text: str) -> None:
    # Counting all brackets is fast and settles nearly every body; those inside strings are only left out if need be.
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub("", text)):
        depth += 1 if bracket.group() in "[{" else -1
        if depth > MAX_DEPTH:
            raise InvalidRequest(f"The body is nested deeper than {MAX_DEPTH} levels.")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise InvalidRequest(f"Key {key[:80]!r} stands twice in one object.", param=_printable(key))
            seen.add(key)
    return found


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise InvalidRequest(f"{digits[:40]} is too large a number.")
    return number


def _refuse_constant(name: str) -> float:
    raise InvalidRequest(f"{name} is not JSON.", remedy="Send a finite number, or leave the field out.")


def _check_characters(value: dict[str, Any]) -> None:
    """An escape can name what UTF-8 cannot: half a surrogate pair. NUL no store takes."""
    for path, text in _strings(value):
        if "\0" in text:
            raise InvalidRequest("A text holds the character NUL (\\u0000).", remedy="Leave it out.", param=path)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError as error:
            raise InvalidRequest(
                f"A text holds half a surrogate pair (\\u{ord(text[error.start]):04x}).",
                remedy="Send both halves, or the character itself.",
                param=path,
            ) from None


def _strings(root: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Every key and text with its path, a list as the stack so that depth costs no recursion."""
    stack: list[tuple[str, Any]] = [("", root)]
    while stack:
        path, value = stack.pop()
        if isinstance(value, str):
            yield path, value
        elif isinstance(value, dict):
            for key, item in value.items():
                yield _printable(path or "body"), key
                stack.append((_joined(path, key), item))
        elif isinstance(value, list):
            stack.extend((_joined(path, str(position)), item) for position, item in enumerate(value))


def _joined(path: str, part: str) -> str:
    return f"{path}.{part}" if path else part


def _printable(text: str) -> str:
    """A key from outside, fit to stand in an answer."""
    return text[:80].encode("utf-8", "replace").decode("utf-8")


def _kind(value: object) -> str:
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
