"""Canonical JSON is RFC 8785's, fast or not."""

from __future__ import annotations

import json
from typing import Any

import orjson
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from reports.export.canonical import MAX_INTEGER, canonical, number_json

texts = st.text(
    st.characters(exclude_categories=["Cs"]) | st.sampled_from("\ufb33\U0001f600\0\x7f")
)
carried: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers(-MAX_INTEGER, MAX_INTEGER) | texts
)
carried |= st.floats(-MAX_INTEGER, MAX_INTEGER) | st.floats(1e21, allow_infinity=False)
values = st.recursive(
    carried, lambda some: st.lists(some) | st.dictionaries(texts, some), max_leaves=20
)
odd: st.SearchStrategy[Any] = carried | st.floats() | st.integers() | st.text()
odd_values = st.recursive(
    odd, lambda some: st.lists(some) | st.dictionaries(st.text(), some), max_leaves=20
)


@given(values)
def test_it_is_what_rfc8785_says(value: Any) -> None:
    found = canonical(json.loads(json.dumps(value)))
    assert found.json == rfc8785.dumps(value)
    assert found.coerced == ()


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_numbers_are_written_as_ecmascript_does(number: float) -> None:
    assert number_json(number) == rfc8785.dumps(number)


@given(odd_values)
def test_whatever_a_parser_gives_is_carried_and_named(value: Any) -> None:
    found = canonical(json.loads(json.dumps(value)))
    carried = orjson.loads(found.json)
    assert rfc8785.dumps(carried) == found.json
    for pointer in found.coerced:
        place = carried
        for key in pointer.split("/")[1:]:
            key = key.replace("~1", "/").replace("~0", "~")
            place = place[int(key) if isinstance(place, list) else key]
        assert place in ("NaN", "Infinity", "-Infinity") or abs(int(place)) > MAX_INTEGER
