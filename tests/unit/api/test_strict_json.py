"""Bodies that are not, or not quite, one JSON object."""

import contextlib
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turkish_ai.api.strict_json import MAX_DEPTH, parse_object
from turkish_ai.errors import InvalidRequest

REFUSED = {
    "an empty body": (b"", "empty"),
    "broken JSON": (b'{"a": ', "not valid JSON"),
    "something after the object": (b'{"a": 1} {"b": 2}', "not valid JSON"),
    "a list": (b"[1]", "a list"),
    "a text": (b'"x"', "a text"),
    "a number": (b"1", "a number"),
    "null": (b"null", "null"),
    "NaN": (b'{"a": NaN}', "NaN is not JSON"),
    "Infinity": (b'{"a": -Infinity}', "-Infinity is not JSON"),
    "a number that overflows": (b'{"a": 1e999}', "too large a number"),
    "a number of five thousand digits": (b'{"a": ' + b"9" * 5000 + b"}", "of digits. Shorten it."),
    "a text that does not end": (b'{"bad', "Unterminated string at line 1, column 2."),
    "a key twice": (b'{"model": "auto", "model": "base"}', "'model' stands twice"),
    "a key twice, further in": (b'{"a": [{"b": 1, "b": 2}]}', "'b' stands twice"),
    "a key twice, once escaped": (b'{"a": 1, "\\u0061": 2}', "'a' stands twice"),
    "Latin-1": ("{'a': 'ş'}".encode("iso-8859-9"), "not UTF-8"),
    "an encoded surrogate": (b'{"a": "\xed\xa0\x80"}', "not UTF-8"),
    "UTF-16": ('{"a": 1}'.encode("utf-16"), "not UTF-8"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "not valid JSON"),
    "half a surrogate pair": (b'{"a": {"b": ["x", "\\ud83d"]}}', "half a surrogate pair"),
    "half a surrogate pair in a key": (b'{"\\udc00": 1}', "half a surrogate pair"),
    "NUL": (b'{"a": "x\\u0000y"}', "NUL"),
    "a raw control character": (b'{"a": "x\ny"}', "not valid JSON"),
}


@pytest.mark.parametrize(("body", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_not_one_clean_json_object_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_object(body)
    assert reason in str(refused.value)


def test_a_refused_text_is_named_by_its_path() -> None:
    with pytest.raises(InvalidRequest) as refused:
        parse_object(b'{"messages": [{"content": "x"}, {"content": "\\u0000"}]}')
    assert refused.value.param == "messages.1.content"


@pytest.mark.parametrize(
    "body",
    [
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"[" * 500_000,
        b'{"a":' * 150_000,
        b'{"messages": [' + b'{"x": [' * 50 + b"]}" * 50 + b"]}",
    ],
)
def test_a_nesting_bomb_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse_object(body)


def test_brackets_inside_texts_are_not_nesting() -> None:
    code = "{[" * 500
    assert parse_object(json.dumps({"a": code, "b": '\\"' + code}).encode()) == {"a": code, "b": '\\"' + code}


def test_the_allowed_depth_is_allowed() -> None:
    depth = MAX_DEPTH - 1
    parse_object(b'{"a": ' + b"[" * depth + b"]" * depth + b', "text": "' + b"[" * 100 + b'"}')


def test_a_hostile_body_costs_no_more_than_its_length() -> None:
    body = b'{"a": "' + b'\\"' * 500_000 + b"[" * 64
    started = time.process_time()
    with pytest.raises(InvalidRequest):
        parse_object(body)
    assert time.process_time() - started < 5  # a search that starts over at each quote takes hours


def test_turkish_and_emoji_come_through_however_they_are_written() -> None:
    expected = {"a": "İstanbul'da ığdır 😀"}
    assert parse_object(json.dumps(expected).encode()) == expected
    assert parse_object(json.dumps(expected, ensure_ascii=False).encode()) == expected


@settings(deadline=None)  # the machine may be busy
@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(body: bytes) -> None:
    with contextlib.suppress(InvalidRequest):
        assert isinstance(parse_object(body), dict)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None, max_examples=50)
@given(st.dictionaries(st.text(max_size=8), JSON_VALUES, max_size=4))
def test_every_object_reads_back_as_it_was_or_is_refused_for_its_nul(value: dict[str, object]) -> None:
    body = json.dumps(value)
    if "\\u0000" in body:
        with contextlib.suppress(InvalidRequest):  # unless the backslash itself was escaped
            assert parse_object(body.encode()) == value
    else:
        assert parse_object(body.encode()) == value
