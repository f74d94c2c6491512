from __future__ import annotations

import base64
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.wire.json.field_reader import (
    LONGEST_VALUE,
    MOST_FIELDS,
    FieldReader,
    count_binary_bytes,
    read_fields,
)
from capture.wire.types import Unreadable
from tests.support import bombs

# Small alphabets, so that structure inside of strings, escapes and names come often.
texts = st.text(st.sampled_from('ab"\\[]{},:/é\n\t😀m\x7f\udc00'), max_size=12)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars,
    lambda v: st.lists(v, max_size=4) | st.dictionaries(texts, v, max_size=4),
    max_leaves=20,
)
names = st.sampled_from(["model", "models", "n", "MODEL", "x"]) | texts
fields = st.lists(st.tuples(names, values), max_size=8)


def wanted(key: str) -> str | None:
    return key if key in ("model", "models", "n") else None


def as_json(found: list[tuple[str, bytes]]) -> str:
    return repr([(name, json.loads(raw)) for name, raw in found])


def write(fields: list[tuple[str, Any]], *, is_ascii: bool, indent: int | None) -> bytes:
    """Writes an object in which a key may come more than once."""
    entries = (
        json.dumps(key, ensure_ascii=is_ascii)
        + ": "
        + json.dumps(value, ensure_ascii=is_ascii, indent=indent)
        for key, value in fields
    )
    return ("{" + " ,".join(entries) + "}").encode("utf-8", "surrogatepass")


def in_pieces(body: bytes, size: int) -> FieldReader:
    reader = FieldReader(wanted)
    reader.read(body[start : start + size] for start in range(0, len(body), size))
    return reader


@settings(max_examples=60)
@given(
    fields,
    st.booleans(),
    st.sampled_from([None, 1]),
    st.sampled_from([1, 2, 3, 7, 100, 10**6]),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
)
def test_it_reads_what_json_reads(
    fields: list[tuple[str, Any]], is_ascii: bool, indent: int | None, size: int, bom: bytes
) -> None:
    body = bom + write(fields, is_ascii=is_ascii, indent=indent) + b"\n"
    expected = [
        (key, json.loads(json.dumps(value))) for key, value in fields if wanted(key) is not None
    ]
    reader = in_pieces(body, size)
    assert as_json(reader.fields) == repr(expected)
    assert as_json(read_fields(body, wanted)) == repr(expected)
    assert reader.n_bytes == len(body)


@given(values, st.integers(0, 200), st.sampled_from([1, 1_000]))
def test_what_follows_a_long_value_is_found(value: Any, n_before: int, size: int) -> None:
    long = [value] * 50 + ["[" * n_before] + [value] * 50
    body = json.dumps({"x": long, "model": "m", "y": {"model": long}, "n": 2}).encode()
    assert in_pieces(body, size).fields == [("model", b'"m"'), ("n", b"2")]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"model": "m"', "cut short"),
        (b'{"model": "m", "x": [{"y": "z', "cut short"),
        (b'{"model": "m", "x": "\\', "cut short"),
        (b'{"model": "m"} {"model": "o"}', "something follows"),
        (b'{"model": "m", x: 1}', "not JSON"),
        (b'{"model": "m", "x" 1}', "not JSON"),
        (b'{"model": "m", "x": }', "not JSON"),
        (b'{"model": "m" "x": 1}', "not JSON"),
        (b'{"model": "m", "model": "%s"}' % (b"x" * LONGEST_VALUE), "longer than 65,536 bytes"),
        (b'{"model": "m"' + b',"x":0' * MOST_FIELDS + b"}", "more than 1,000 fields"),
    ],
)
def test_it_says_why_it_stops_and_keeps_what_it_found(body: bytes, reason: str) -> None:
    for size in (1, 10**6):
        reader = FieldReader(wanted)
        with pytest.raises(Unreadable, match=reason):
            reader.read(body[start : start + size] for start in range(0, len(body), size))
        assert reader.fields == [("model", b'"m"')]


def test_a_body_that_is_no_json_is_not_read() -> None:
    for body in (b"", b"\xef\xbb\xbf", b"--b", b"model=m", '{"model":"m"}'.encode("utf-16")):
        with pytest.raises(Unreadable, match="not JSON"):
            read_fields(body, wanted)
    assert read_fields(b'[{"model": "m"}]', wanted) == []


def test_every_occurrence_is_found_however_its_key_is_written() -> None:
    body = rb'{"model": "a", "mod\u0065l": "b", "x": {"model": "c"}, "model": "d"}'
    found = [("model", b'"a"'), ("model", b'"b"'), ("model", b'"d"')]
    assert read_fields(body, wanted) == found
    assert in_pieces(body, 5).fields == found


@pytest.mark.parametrize("value", [b"NaN", rb'"\ud800"', b'"\xff"', b"-Infinity", b"[" * 9_000])
def test_what_some_providers_accept_is_read(value: bytes) -> None:
    value += b"]" * value.count(b"[")
    body = b'{"x": ' + value + b', "model": "m"}'
    assert read_fields(body, wanted) == [("model", b'"m"')]
    assert in_pieces(body, 1_000).fields == [("model", b'"m"')]


def test_images_are_told_from_text() -> None:
    image = base64.b64encode(random.Random(1).randbytes(300_000))
    text = b"It was a bright cold day in April. " * 10_000
    body = b'{"a": "%s", "b": {"url": "data:image/png;base64,%s"}}' % (text, image)
    for size in (10_000, 10**6):
        assert abs(in_pieces(body, size).n_binary_bytes - len(image)) < 3_000
    assert count_binary_bytes(body) == len(image)
    assert count_binary_bytes(b'{"a": "%s"}' % (b"a" * 10_000)) == 0


def test_memory_does_not_grow_with_the_body() -> None:
    reader = FieldReader(wanted)
    reader.read(iter([*bombs.request_of_messages(8 * 2**20), b" " * 2**20]))
    assert reader.fields == [("model", b'"m"')]
    assert len(reader._data) <= 2 * 2**20


def test_fields_within_others_are_found() -> None:
    body = b"""{"model": "a", "requests": [{"params": {"model": "b", "x": {"model": "no"}}},
        {"params": {"model": "b"}}, {"PARAMS": {"model": "c"}}, 7, [], [{"model": "d"}]],
        "other": {"model": "no"}}"""
    for size in (1, 7, len(body)):
        reader = FieldReader(wanted_model, frozenset(("requests", "params")))
        reader.read(body[start : start + size] for start in range(0, len(body), size))
        assert [value for _, value in reader.fields] == [b'"a"', b'"b"', b'"c"', b'"d"']


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"params":' * 99 + b"1" + b"}" * 99, "it is too deep"),
        (b'{"params":' + b"[" * 99 + b"]" * 99 + b"}", "it is too deep"),
        (b'{"params":[{"model":1}', "its JSON is cut short"),
        (b'{"params":[{"model":1} {"model":2}]}', "it is not JSON"),
    ],
)
def test_looking_within_fields_has_bounds(body: bytes, reason: str) -> None:
    reader = FieldReader(wanted_model, frozenset(("params",)))
    with pytest.raises(Unreadable, match=reason):
        reader.read(iter((body,)))


def test_so_many_different_values_within_fields_are_not_read() -> None:
    models = [{"model": str(number)} for number in range(MOST_FIELDS + 1)]
    reader = FieldReader(wanted_model, frozenset(("params",)))
    with pytest.raises(Unreadable, match="more than"):
        reader.read(iter((json.dumps({"params": models}).encode(),)))


def wanted_model(key: str) -> str | None:
    return "model" if key == "model" else None
