from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.wire.json import lenient


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a":[1,2.5,true,null]}', {"a": [1, 2.5, True, None]}),
        (b"\xef\xbb\xbf\r\n\t {}", {}),
        (b"[Infinity,-Infinity]", [math.inf, -math.inf]),
        (b"123456789012345678901234567890", 123456789012345678901234567890),
        (b"1" * 5_000, math.inf),
        (rb'"\ud83d"', "\ud83d"),
        (b'"\xed\xa0\xbd"', "\ud83d"),
        (b'"a\xffb"', "a\ufffdb"),
        (b'{"a":1,"a":2}', {"a": 2}),
    ],
)
def test_value_is_loaded(data: bytes, value: object) -> None:
    assert lenient.load(data) == (value, None)


@pytest.mark.parametrize(
    ("data", "note"),
    [
        (b"", "empty"),
        (b" \n", "empty"),
        (b'{"a":', "not JSON at character 5"),
        (b"{} {}", "not JSON at character 3"),
        (b"[" * 100_000 + b"]" * 100_000, "the JSON is nested too deeply"),
        (b'{"a":' * 100_000, "the JSON is nested too deeply"),
    ],
)
def test_what_cannot_be_loaded_is_noted(data: bytes, note: str) -> None:
    assert lenient.load(data) == (None, note)


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("plain", "plain"),
        ("a\0b", "a\ufffdb"),
        ("ü\0", "ü\ufffd"),
        ("\ud83d\ude00", "😀"),
        ("\ude00\ud83dx", "\ufffd\ufffdx"),
    ],
)
def test_text_is_cleaned(text: str, cleaned: str) -> None:
    assert lenient.clean(text) == cleaned


def test_json_is_cleaned() -> None:
    value = {"a\0": ["\ud800", {"b": math.nan}], "c": math.inf, "d": 1.5, "e": None}
    assert lenient.clean_json(value) == {
        "a\ufffd": ["\ufffd", {"b": "nan"}],
        "c": "inf",
        "d": 1.5,
        "e": None,
    }
    assert lenient.clean_json("\0") == "\ufffd"


def test_nesting_is_bounded() -> None:
    value, _ = lenient.load(b"[" * 500 + b"]" * 500)
    kept = json.dumps(lenient.clean_json(value))
    assert kept == "[" * 200 + json.dumps(lenient.TOO_DEEP) + "]" * 200


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner),
)


@given(values)
def test_clean_json_can_be_stored_and_dumped(value: object) -> None:
    cleaned = lenient.clean_json(value)
    text = json.dumps(cleaned, allow_nan=False, ensure_ascii=False)
    text.encode()
    assert "\\u0000" not in text.replace("\\\\", "")
    assert json.loads(lenient.dump(cleaned)) == cleaned


@given(st.binary() | st.text().map(str.encode))
def test_loading_never_raises(data: bytes) -> None:
    value, note = lenient.load(data)
    assert value is None or note is None
