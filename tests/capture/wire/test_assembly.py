"""Streams and bodies in the shapes that servers, relays and gateways give them."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable
from itertools import pairwise

import brotli  # type: ignore[import-untyped]  # it has no types
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from capture.wire.framing.actual_encoding import (
    actual_content,
    decode_actual,
    iter_decode_actual,
)
from capture.wire.registry import by_name
from capture.wire.shared.thoughts import Thoughts
from capture.wire.types import JSON, ParsedResponse, ParsedToolCall, Unreadable


def chunk(delta: JSON, stop: str | None = None) -> JSON:
    return {"id": "c1", "model": "m", "choices": [{"delta": delta, "finish_reason": stop}]}


CHUNKS = [chunk({"content": "one "}), chunk({"content": "two"}), chunk({}, "stop")]
TEXTS = [json.dumps(one) for one in CHUNKS]
INDENTED = [json.dumps(one, indent=1).replace("\n", "\ndata: ") for one in CHUNKS]
BROKEN = [one.replace("model", "mo\ndata: del") for one in TEXTS]


def read(name: str, body: bytes, kind: str = "text/event-stream") -> ParsedResponse:
    return by_name(name).parse_response(body, status=200, content_type=kind)


@pytest.mark.parametrize(
    "body",
    [
        "".join(f"data: {one}\n" for one in TEXTS),
        "".join(f"event: x\r\ndata: {one}\r\n" for one in TEXTS) + "data: [DONE]\r\n",
        "\r".join(f"data: {one}" for one in TEXTS),
        "\n".join(TEXTS),
        "\ufeff" + "\r\n".join(TEXTS) + "\r\n[DONE]\r\n",
        f"[{','.join(TEXTS)}]",
        "\n\n".join(f"data: {one}" for one in INDENTED),
        "\n\n".join(f"data: {one}" for one in BROKEN),
    ],
)
@pytest.mark.parametrize("kind", ["text/event-stream", "application/json", ""])
def test_a_stream_is_read_in_any_framing(body: str, kind: str) -> None:
    found = read("openai_chat", body.encode(), kind)
    assert (found.content, found.stop_reason, found.complete) == ("one two", "stop", True)
    assert found.note is None


def test_text_null_is_no_reason_to_stop() -> None:
    found = read("openai_chat", f"data: {json.dumps(chunk({'content': 'a'}, 'null'))}\n\n".encode())
    assert (found.stop_reason, found.complete) == (None, False)


def test_deltas_of_items_without_a_start_are_output() -> None:
    events = [
        {"type": "response.output_text.delta", "delta": "Hi"},
        {"type": "response.function_call_arguments.delta", "delta": '{"a":'},
        {"type": "response.function_call_arguments.delta", "delta": "1}"},
        {"type": "response.function_call_arguments.done", "name": "f", "arguments": '{"a":1}'},
        {"type": "response.shell_call_command.delta", "command_index": 0, "delta": "ls"},
    ]
    found = read(
        "openai_responses", b"".join(b"data: %b\n\n" % json.dumps(e).encode() for e in events)
    )
    assert found.content == "Hi"
    assert found.tool_calls == [
        ParsedToolCall(None, "f", '{"a":1}'),
        ParsedToolCall(None, "shell", '{"commands":["ls"]}'),
    ]


@pytest.mark.parametrize(
    ("message", "call_id", "content"),
    [
        ({"type": "custom_tool_call_output", "call_id": "c", "output": "x"}, "c", "x"),
        ({"type": "local_shell_call_output", "id": "c", "output": "x"}, "c", "x"),
        (
            {"type": "mcp_approval_response", "approval_request_id": "c", "approve": True},
            "c",
            {"approve": True},
        ),
        ({"type": "tool_search_output", "call_id": "c", "tools": []}, "c", []),
    ],
)
def test_outputs_of_all_tools_are_results(message: JSON, call_id: str, content: JSON) -> None:
    [found] = by_name("openai_responses").tool_results(json.dumps(message).encode())
    assert (found.tool_call_id, found.content) == (call_id, content)


TEXT = b'data: {"id": "c1", "choices": [{"index": 0, "delta": {"content": "squeezed"}}]}\n\n' * 9
ENCODE: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
    "br": brotli.compress,
}
LIMIT = 10**6
SIGNED = st.sampled_from(["gzip", "deflate", "zstd"])


@given(
    st.lists(SIGNED, max_size=3),
    st.booleans(),
    st.sampled_from([None, "gzip", "zstd", "identity", "gzip, gzip", "zstd, gzip, deflate"]),
    st.lists(st.integers(0, len(TEXT)), max_size=4),
)
def test_the_encodings_of_a_body_are_found(
    real: list[str], is_brotli: bool, declared: str | None, cuts: list[int]
) -> None:
    body = TEXT
    for name in ["br"] if is_brotli else real:  # it has no signature: text in it shows it
        body = ENCODE[name](body)
    pieces = [body[start:end] for start, end in pairwise([0, *sorted(cuts), len(body)])]
    decoded = decode_actual(pieces, declared, LIMIT)
    assert (b"".join(pieces) if decoded is None else decoded.body) == TEXT
    assert decoded is None or (decoded.note, decoded.piece_ends[-1:]) == (None, [len(TEXT)])
    assert b"".join(iter_decode_actual(iter(pieces), declared)) == TEXT


@given(st.lists(st.sampled_from([*ENCODE]), max_size=4))
def test_encodings_that_are_declared_are_decoded(real: list[str]) -> None:
    body = TEXT
    for name in real:
        body = ENCODE[name](body)
    assert actual_content(body, ", ".join(real), LIMIT) == TEXT


def test_so_many_encodings_are_not_decoded() -> None:
    body = TEXT
    for _ in range(9):
        body = gzip.compress(body)
    with pytest.raises(Unreadable, match="more than 4"):
        list(iter_decode_actual([body], None))
    assert actual_content(body, None, LIMIT).startswith(b"\x1f\x8b")


@given(st.binary(max_size=200), st.sampled_from([None, "gzip", "br", "x, y", ""]))
def test_any_bytes_have_an_encoding_or_none(body: bytes, declared: str | None) -> None:
    assert isinstance(actual_content(body, declared, LIMIT), bytes)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)
NAMES = ["reasoning", "reasoning_details", "thinking_blocks"]


@given(st.lists(st.tuples(st.sampled_from(NAMES), anything)))
def test_thoughts_of_any_type_never_raise(values: list[tuple[str, JSON]]) -> None:
    thoughts = Thoughts()
    for name, value in values:
        thoughts.add(name, value)
    assert thoughts.text() != ""


@given(st.lists(st.text(min_size=1), min_size=1), st.permutations(NAMES))
def test_one_thought_under_several_names_counts_once(pieces: list[str], names: list[str]) -> None:
    thoughts = Thoughts()
    for piece in pieces:
        for name in names:
            thoughts.add(name, [{"text": piece}])
    alone = Thoughts()
    for piece in pieces:
        alone.add("thinking", piece)
    assert thoughts.text() == alone.text()


fragments: st.SearchStrategy[JSON] = st.fixed_dictionaries(
    {},
    optional={
        "index": st.sampled_from([0, 1, "0", None, -1, 1.0]),
        "id": st.sampled_from(["a", "b", "", None, "null", 7]),
        "function": st.fixed_dictionaries(
            {},
            optional={
                "name": st.sampled_from(["f", "g", "", None, 7]),
                "arguments": st.sampled_from(["", "{", "}", "{}", '{"a":1}', {}, [], None, 7]),
            },
        ),
    },
)


@given(st.lists(fragments, max_size=12))
def test_fragments_of_calls_never_raise_or_grow_in_number(some: list[JSON]) -> None:
    body = "".join(f"data: {json.dumps(chunk({'tool_calls': [one]}))}\n\n" for one in some)
    assert len(read("openai_chat", body.encode()).tool_calls) <= len(some)
