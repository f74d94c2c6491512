"""Answers and requests that are cut, changed or made up: read as far as they go, never raising."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.wire import anthropic_messages, by_name, openai_chat, openai_responses, raw
from capture.wire.cut import join, split
from capture.wire.types import Answered, WireFormat
from tests.wire import anthropic_exchanges, chat_exchanges, responses_exchanges
from tests.wire.exchanges import SSE, Exchange

EXCHANGES = [
    *chat_exchanges.EXCHANGES,
    *responses_exchanges.EXCHANGES,
    *anthropic_exchanges.EXCHANGES,
]
STREAMS = [exchange for exchange in EXCHANGES if exchange.content_type == SSE]
FORMATS: list[WireFormat] = [openai_chat, openai_responses, anthropic_messages, raw]
REQUESTS = [
    b'{"model":"m","messages":[{"role":"system","content":"s"},{"role":"tool","content":[]}],'
    b'"temperature":1,"max_tokens":5,"stream":true,"tools":[{}],"n":2}',
    b'{"model":"m","input":"hi","instructions":"s","max_output_tokens":5,"reasoning":{}}',
    b'{"model":"m","system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":'
    b'[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"x"}]}]}]}',
]


def named(exchange: Exchange) -> str:
    return f"{exchange.wire_format}: {exchange.name}"


@pytest.mark.parametrize("exchange", STREAMS, ids=named)
def test_stream_cut_anywhere_gives_the_beginning_of_the_answer(exchange: Exchange) -> None:
    whole = exchange.expected_with_first_content()
    for length in range(len(exchange.body)):
        part = exchange.parsed(exchange.body[:length])
        assert (whole.content or "").startswith(part.content or "")
        assert (whole.reasoning or "").startswith(part.reasoning or "")
        assert len(part.tool_calls) <= len(whole.tool_calls)
        for begun, call in zip(part.tool_calls, whole.tool_calls, strict=False):
            assert begun.id in (call.id, None)
            assert begun.name in (call.name, None)
            assert call.arguments.startswith(begun.arguments)
        if part.first_content_end is not None and length >= (whole.first_content_end or 0):
            assert part.first_content_end == whole.first_content_end


@pytest.mark.parametrize("exchange", STREAMS, ids=named)
@pytest.mark.parametrize("line_end", [b"\r\n", b"\r"])
def test_line_ends_bom_and_comments_change_nothing(exchange: Exchange, line_end: bytes) -> None:
    body = b"\xef\xbb\xbf: hello\n\n" + exchange.body.replace(b"\n\n", b"\n\n: ping\n\n")
    parsed = exchange.parsed(body.replace(b"\n", line_end))
    assert (parsed.first_content_end is None) is (exchange.first_content is None)
    assert replace(parsed, first_content_end=None) == exchange.expected


def assert_storable(answered: Answered) -> None:
    """Texts that a database takes, numbers that make sense, JSON that can be written."""
    texts = [answered.content, answered.reasoning, answered.error, answered.stop_reason]
    texts += [answered.response_model, answered.response_id, answered.note]
    for call in answered.tool_calls:
        texts += [call.id, call.name, call.arguments]
    for text in filter(None, texts):
        assert "\0" not in text
        text.encode()
    json.dumps(answered.choices, allow_nan=False, ensure_ascii=False).encode()
    if usage := answered.usage:
        json.dumps(usage.raw, allow_nan=False, ensure_ascii=False).encode()
        for count in (usage.tokens_in, usage.tokens_out, usage.tokens_cache_read):
            assert count is None or count >= 0


def parse_as_all(body: bytes, content_type: str = "") -> None:
    for wire_format in FORMATS:
        for status in (200, 500):
            answered = wire_format.parse_answer(body, status=status, content_type=content_type)
            assert_storable(answered)
            end = answered.first_content_end
            assert end is None or 0 < end <= len(body)


oddities = st.sampled_from(
    [
        b"{}", b"[]", b"null", b"NaN", b"-1", b"1e400", b"12345678901234567890123", b"true",
        b'""', b'"x"', rb'"\ud800\u0000"', b'["x"]', b'[{}]', b'[[]]', b'{"text":[]}',
        b'{"a":{"b":[null]}}', b"[" * 300 + b"]" * 300, b'"\xff"', b"{", b'"',
    ]
)  # fmt: skip
VALUE = re.compile(rb'(?<=[:\[,])(?:"(?:[^"\\]|\\.)*"|-?[\d.]+|true|null|\[\]|\{\}|\{"[^{}]*\})')


@st.composite
def changed(draw: st.DrawFn, bodies: list[bytes]) -> bytes:
    """One of the bodies with some of its values replaced by others of any type."""
    body = draw(st.sampled_from(bodies))
    for _ in range(draw(st.integers(1, 4))):
        values = list(VALUE.finditer(body))
        if not values:
            break
        value = draw(st.sampled_from(values))
        body = body[: value.start()] + draw(oddities) + body[value.end() :]
    return body


@st.composite
def spliced(draw: st.DrawFn, bodies: list[bytes]) -> bytes:
    """One of the bodies with some of its bytes left out, and random ones put there."""
    body = draw(st.sampled_from(bodies))
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, min(len(body), start + 40)))
    return body[:start] + draw(st.binary(max_size=20)) + body[end:]


ANSWERS = [exchange.body for exchange in EXCHANGES]


@settings(max_examples=400)
@given(changed(ANSWERS) | spliced(ANSWERS) | st.binary())
def test_damaged_answers_never_raise(body: bytes) -> None:
    parse_as_all(body)


@given(st.lists(oddities | st.binary(max_size=10)))
def test_events_of_anything_never_raise(datas: list[bytes]) -> None:
    parse_as_all(b"".join(b"data: " + data + b"\n\n" for data in datas), SSE)


@settings(max_examples=300)
@given(changed(REQUESTS) | spliced(REQUESTS) | st.binary())
def test_damaged_requests_never_raise(body: bytes) -> None:
    for wire_format in FORMATS:
        asked = wire_format.parse_request(body)
        json.dumps(asked.params, allow_nan=False, ensure_ascii=False).encode()
        (asked.system_prompt or "").encode()
        assert asked.max_tokens is None or asked.max_tokens >= 0
        pieces = [body[part.start : part.end] for part in asked.parts]
        assert join(split(body, asked.parts), pieces) == body
        for piece in [*pieces, body]:
            for result in wire_format.tool_results(piece):
                json.dumps(result.content, allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize("wire_format", ["openai_chat", "openai_responses", "anthropic_messages"])
def test_every_exchange_is_harmless_in_other_formats(wire_format: str) -> None:
    for exchange in EXCHANGES:
        answered = by_name(wire_format).parse_answer(exchange.body, status=200, content_type=SSE)
        assert_storable(answered)
