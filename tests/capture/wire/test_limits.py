"""The limits of understanding: what is above them raises TooMuch, what is below does not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.wire import limits, registry
from capture.wire.json.lenient import load
from capture.wire.limits import DEFAULT, MB, Limits, TooMuch, check_json
from capture.wire.types import JSON

# CPU time that a body of some megabytes never takes if the work grows with its length alone.
SOON_S = 10


def test_commas_in_texts_are_no_values() -> None:
    check_json(json.dumps(["a, [b], {c}, " * 300_000]).encode())


@pytest.mark.parametrize("unit", [b"[],", b"0,", b'{"a":{}},', b'"x",'])
def test_too_many_values_are_noticed(unit: bytes) -> None:
    text = b"[" + unit * (limits.MAX_VALUES + 1) + b"0]"
    with pytest.raises(TooMuch, match="more than 1,000,000 JSON values"):
        check_json(text)
    assert load(text) == (None, "more than 1,000,000 JSON values (a fixed limit)")


@given(st.integers(0, 10**9), st.integers(1, 1024))
def test_the_decoded_size_follows_from_the_size_sent(n_encoded: int, max_decoded_mb: int) -> None:
    some = Limits.of_mb(max_decoded_mb)
    limit = some.decoded_limit(n_encoded)
    assert limit <= some.max_decoded
    assert limit == some.max_decoded or limit >= limits.MAX_RATIO * n_encoded


def test_the_note_names_the_limit_its_value_and_the_setting() -> None:
    assert "more than 200 times its size" in str(DEFAULT.too_large(100_000))
    assert str(Limits.of_mb(8).too_large(10 * MB)) == (
        "more than 8 MB when it is decoded (AGENTLEDGER_MAX_DECODED_MB=8)"
    )


def events(data: Callable[[int], bytes], n: int) -> bytes:
    return b"".join(b"data: %b\n\n" % data(i) for i in range(n))


STREAMS: list[tuple[str, str, bytes]] = [
    ("openai_chat", "events", b"data: {}\n\n" * (limits.MAX_EVENTS + 1)),
    ("openai_chat", "lines in one event", b"data: x\n" * (limits.MAX_EVENT_LINES + 1)),
    (
        "openai_chat",
        "tool calls",
        events(
            lambda n: b'{"choices":[{"delta":{"tool_calls":[{"id":"%d"}]}}]}' % n,
            limits.MAX_TOOL_CALLS + 1,
        ),
    ),
    (
        "openai_chat",
        "choices",
        events(lambda n: b'{"choices":[{"index":%d}]}' % n, limits.MAX_CHOICES + 1),
    ),
    ("ollama", "lines", b"{}\n" * (limits.MAX_EVENTS + 1)),
    (
        "anthropic_messages",
        "content blocks",
        events(lambda n: b'{"type":"content_block_start","index":%d}' % n, limits.MAX_BLOCKS + 1),
    ),
    (
        "openai_responses",
        "items in the output",
        events(
            lambda n: b'{"type":"response.output_item.added","output_index":%d}' % n,
            limits.MAX_BLOCKS + 1,
        ),
    ),
    (
        "gemini",
        "candidates",
        events(lambda n: b'{"candidates":[{"index":%d}]}' % n, limits.MAX_CHOICES + 1),
    ),
    (
        "gemini_interactions",
        "steps",
        events(lambda n: b'{"type":"step.start","index":%d}' % n, limits.MAX_BLOCKS + 1),
    ),
    (
        "cohere_chat",
        "tool calls",
        events(lambda n: b'{"type":"tool-call-start","index":%d}' % n, limits.MAX_TOOL_CALLS + 1),
    ),
]


@pytest.mark.parametrize(("name", "what", "body"), STREAMS, ids=lambda value: str(value)[:30])
def test_a_stream_above_a_limit_is_not_read_on(name: str, what: str, body: bytes) -> None:
    kind = "application/x-ndjson" if name == "ollama" else "text/event-stream"
    with pytest.raises(TooMuch, match=f"more than [0-9,]+ {what}"):
        registry.by_name(name).parse_response(body, status=200, content_type=kind)


def nested(depth: int) -> bytes:
    value: JSON = 1
    for _ in range(depth):
        value = [value]
    return json.dumps({"usage": value, "error": value, "messages": value}).encode()


@settings(max_examples=60)
@given(
    st.sampled_from(sorted(registry.NAMES)),
    st.sampled_from(
        [
            b"[" * 200_000,
            b'{"a":' * 100_000,
            b'{"usage":{"prompt_tokens":' + b"9" * 200_000 + b"}}",
            b'{"usage":{"cost":1e999,"prompt_tokens":-1e400}}',
            b'{"messages":[' + b"NaN," * 20_000 + b"1]}",
            b'{"messages":"' + rb"\ud83d" * 30_000 + b'"}',
            b"data:" * 50_000,
            b"\r\n" * 100_000,
            b"--b\r\n" * 50_000,
            b'["' + b"data:" * 50_000,
            b'{"a":"' + b'\\"' * 100_000,
            nested(900),
        ]
    ),
    st.sampled_from(["application/json", "text/event-stream", "multipart/form-data; boundary=b"]),
)
def test_odd_bodies_are_read_in_linear_time(name: str, body: bytes, content_type: str) -> None:
    wire_format = registry.by_name(name)
    began = time.process_time()
    try:
        wire_format.parse_request(body, content_type=content_type)
        wire_format.parse_response(body, status=200, content_type=content_type)
    except (TooMuch, RecursionError):  # it is kept raw
        pass
    assert time.process_time() - began < SOON_S
