from __future__ import annotations

import json
import math
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from capture.wire.json import scanner
from capture.wire.shared.slices import join_parts, make_frame, slice_body
from capture.wire.types import BodyPart, PartKind

KINDS: dict[str, PartKind] = {"system": "system", "messages": "message", "tools": "tools"}


def cut_up(body: bytes) -> list[tuple[PartKind, bytes]]:
    found = slice_body(body, KINDS)
    assert found is not None
    parts = found.parts
    pieces = [body[part.start : part.end] for part in parts]
    assert join_parts(make_frame(body, parts), pieces) == body
    return [(part.kind, piece) for part, piece in zip(parts, pieces, strict=True)]


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (
            b'{"messages":[1,"a",{"b":[]}]}',
            [("message", b"1"), ("message", b'"a"'), ("message", b'{"b":[]}')],
        ),
        (b'{"messages" :\n[ 1 ,\n 2 ]\n}', [("message", b"1"), ("message", b"2")]),
        (b'{"messages":"1","system":"1"}', [("message", b'"1"'), ("system", b'"1"')]),
        (b'{"messages":[],"tools":[{}],"system":null}', [("tools", b"[{}]")]),
        (b'{"messages":{"a":1},"tools":null}', [("message", b'{"a":1}')]),
        (b'{"messages":1,"tools":null}', []),
        (b'{"messages":null,"tools":null}', []),
        (b'{"a":[1,2],"messages":[1,2],"b":[1,2]}', [("message", b"1"), ("message", b"2")]),
        (b'{"m\\u0065ssages":[1]}', [("message", b"1")]),
        (
            b'{"system":"messages","messages":["messages"]}',
            [("system", b'"messages"'), ("message", b'"messages"')],
        ),
        # The same value before its own place, in another field and in a key.
        (
            b'{"\\"tools\\":[1]":0,"tools":[1],"messages":[1,1,1]}',
            [("tools", b"[1]"), ("message", b"1"), ("message", b"1"), ("message", b"1")],
        ),
        # Uneven blanks lead past the end of the array.
        (
            b'{"messages":[   1,1,1,1],"tools":[1,1,1]}',
            [*[("message", b"1")] * 4, ("tools", b"[1,1,1]")],
        ),
        # Twice the same key: the last one counts.
        (b'{"messages":[1],"tools":[2],"messages":[3]}', [("tools", b"[2]"), ("message", b"3")]),
        (b'{"tools":[1],"messages":[2],"tools":[3]}', [("message", b"2"), ("tools", b"[3]")]),
        # Where both are the same, either will do.
        (b'{"tools":[1],"messages":[2],"tools":[1]}', [("tools", b"[1]"), ("message", b"2")]),
        # What msgspec refuses.
        (b'\xef\xbb\xbf{"messages":[1]}', [("message", b"1")]),
        (
            b'{"a":NaN,"messages":["\\ud800", -Infinity]}',
            [("message", b'"\\ud800"'), ("message", b"-Infinity")],
        ),
        (
            b'{"\\ud800":[],"messages":[[ 1 ], {"x" : 2}]}',
            [("message", b"[ 1 ]"), ("message", b'{"x" : 2}')],
        ),
        (b'{"\xff":1,"messages":["\xff"]}', [("message", b'"\xff"')]),
    ],
)
def test_body_is_sliced(body: bytes, parts: list[tuple[PartKind, bytes]]) -> None:
    assert cut_up(body) == parts


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b'"messages"',
        b'{"messages":[1]',
        b'{"messages":[1]}}',
        b'{"messages":[1]} x',
        b'{"messages":[1,]}',
        b'{"messages":[1 2]}',
        b'{"messages":[1],}',
        b'{"messages" [1]}',
        b'{"messages":[01]}',
        b'{"messages":["\\x"]}',
        b'{"messages":["\n"]}',
        b'{"messages":[1}]',
        b"{messages:[1]}",
        b'{"messages":[1],"a"}',
        b"{,}",
        b'{"a":NaN,"messages":[1',
        b'{"a":NaN,"messages":[1,]}',
        b"[NaN]",
        b"NaN",
        b'{"a":nan}',
        b'{"a":"\\ud800}',
        b'{"a":"\\ud80"}',
    ],
)
def test_a_body_that_is_not_a_json_object_has_no_parts(body: bytes) -> None:
    assert slice_body(body, KINDS) is None


def test_deep_nesting_is_sliced_in_linear_time() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    body = b'{"messages":[%s, {"a":%s}],"tools":%s}' % (deep, deep, deep)
    started = time.process_time()
    assert cut_up(body) == [("message", deep), ("message", b'{"a":%s}' % deep), ("tools", deep)]
    assert time.process_time() - started < 5
    assert slice_body(b'{"messages":' + b"[" * 100_000, KINDS) is None


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from([math.nan, 0, 1, "messages", '"', "\ud800", "\0"])
    | st.text(st.characters(), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["messages", "tools", "a"]) | st.text(max_size=3), inner, max_size=4
        )
    ),
    max_leaves=8,
)
names = st.sampled_from([*KINDS, "model", "x"]) | st.text(st.characters(), max_size=3)
separators = st.tuples(st.sampled_from([",", ", ", "\n,\t"]), st.sampled_from([":", ": ", " :\r"]))


@given(st.lists(st.tuples(names, values), max_size=8), separators, st.booleans(), st.booleans())
@example([("messages", [1]), ("tools", [1]), ("messages", [1, [1]])], (",", ":"), True, False)
@example([("tools", [[1]]), ("messages", [1]), ("tools", 1)], (",", ":"), True, True)
def test_parts_are_the_values_and_the_body_is_restored(
    fields: list[tuple[str, object]], separators: tuple[str, str], ascii: bool, marked: bool
) -> None:
    comma, colon = separators
    text = comma.join(
        json.dumps(name, ensure_ascii=ascii)
        + colon
        + json.dumps(value, ensure_ascii=ascii, separators=separators)
        for name, value in fields
    )
    body = b"\xef\xbb\xbf" * marked + b"{" + text.encode("utf-8", "surrogatepass") + b" }"
    by_kind: dict[str, list[str]] = {}
    for kind, piece in cut_up(body):
        value = json.loads(piece.decode("utf-8", "surrogatepass"))
        by_kind.setdefault(kind, []).append(json.dumps(value))
    last = {name: json.loads(json.dumps(value)) for name, value in fields}
    history = last.get("messages")
    expected = {
        "system": [last.get("system")],
        "tools": [last.get("tools")],
        "message": history
        if isinstance(history, list)
        else [history] * isinstance(history, str | dict),
    }
    wanted = {
        name: [json.dumps(value) for value in values]
        for name, values in expected.items()
        if values and (name == "message" or values != [None])
    }
    assert by_kind == wanted


@given(st.binary(max_size=30) | st.text('{}[]",:\\ua1 \n', max_size=30).map(str.encode))
def test_the_scanner_accepts_what_pythons_json_accepts(data: bytes) -> None:
    try:
        value = json.loads(data.decode())
    except ValueError:
        return  # the scanner takes more: strings that are not UTF-8
    children = scanner.children(data)
    if isinstance(value, dict | list):
        assert children is not None
        found = [json.loads(data[child.start : child.end]) for child in children]
        if isinstance(value, list):
            assert found == value
        else:
            assert dict(zip((child.key for child in children), found, strict=True)) == value
    else:
        assert children is None


@given(st.text('{}[]",:\\ua1e-. \n', max_size=20).map(str.encode))
def test_the_scanner_accepts_no_more_than_pythons_json(data: bytes) -> None:
    if scanner.children(data) is not None:
        json.loads(data)


bodies = st.binary(max_size=60)
marks = st.lists(st.integers(0, 60), max_size=12)


@given(bodies, marks)
def test_any_parts_are_joined_to_the_body(body: bytes, marks: list[int]) -> None:
    bounds = sorted(min(mark, len(body)) for mark in marks)
    parts = [BodyPart("message", *pair) for pair in zip(bounds[::2], bounds[1::2], strict=False)]
    frame = make_frame(body, parts)
    assert join_parts(frame, [body[part.start : part.end] for part in parts]) == body


def test_frame_of_a_long_history_is_small() -> None:
    body = b'{"messages":[' + b", ".join(b'{"n":%d}' % n for n in range(1_000)) + b"]}"
    found = slice_body(body, KINDS)
    assert found is not None and len(found.parts) == 1_000
    assert len(make_frame(body, found.parts)) < 40


def test_impossible_parts_are_refused() -> None:
    for parts in (
        [BodyPart("message", 2, 1)],
        [BodyPart("message", 0, 9)],
        [BodyPart("message", 1, 3), BodyPart("message", 2, 4)],
        [BodyPart("message", 2, 3), BodyPart("message", 0, 1)],
    ):
        with pytest.raises(ValueError, match="overlap"):
            make_frame(b"abcd", parts)


def test_frame_for_another_number_of_parts_is_refused() -> None:
    frame = make_frame(b"abcd", [BodyPart("message", 1, 2), BodyPart("message", 3, 4)])
    assert join_parts(frame, [b"B", b"D"]) == b"aBcD"
    for parts in ([], [b"B"], [b"B", b"C", b"D"]):
        with pytest.raises(ValueError, match="number of parts|this many parts"):
            join_parts(frame, parts)


@given(st.binary(max_size=20), st.lists(st.binary(max_size=2), max_size=3))
def test_an_invalid_frame_is_refused(frame: bytes, parts: list[bytes]) -> None:
    try:
        body = join_parts(frame, parts)
    except ValueError:
        return
    assert isinstance(body, bytes)
