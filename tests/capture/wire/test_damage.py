"""Responses and requests that are cut, changed or made up are read as far as possible, and never
raise."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.wire.formats import batch_creation, ollama, raw
from capture.wire.formats.anthropic import count_tokens as anthropic_count_tokens
from capture.wire.formats.anthropic import messages as anthropic_messages
from capture.wire.formats.bedrock import converse as bedrock_converse
from capture.wire.formats.bedrock import invoke as bedrock_invoke
from capture.wire.formats.cohere import chat as cohere_chat
from capture.wire.formats.cohere import embeddings as cohere_embeddings
from capture.wire.formats.gemini import caches as gemini_caches
from capture.wire.formats.gemini import count_tokens as gemini_count_tokens
from capture.wire.formats.gemini import embeddings as gemini_embeddings
from capture.wire.formats.gemini import generate_content as gemini
from capture.wire.formats.gemini import interactions as gemini_interactions
from capture.wire.formats.gemini import live as gemini_live
from capture.wire.formats.gemini import long_running as gemini_long_running
from capture.wire.formats.gemini import predict as gemini_predict
from capture.wire.formats.openai import audio as openai_audio
from capture.wire.formats.openai import chat as openai_chat
from capture.wire.formats.openai import completions as openai_completions
from capture.wire.formats.openai import decisions as openai_decisions
from capture.wire.formats.openai import embeddings as openai_embeddings
from capture.wire.formats.openai import images as openai_images
from capture.wire.formats.openai import input_tokens as openai_input_tokens
from capture.wire.formats.openai import moderations as openai_moderations
from capture.wire.formats.openai import realtime as openai_realtime
from capture.wire.formats.openai import responses as openai_responses
from capture.wire.framing import aws_event_stream
from capture.wire.shared.slices import join_parts, make_frame
from capture.wire.types import ParsedResponse, WireFormat
from tests.capture.wire.corpus import anthropic, bedrock, chat, cohere, endpoint, live, responses
from tests.capture.wire.corpus import gemini as gemini_exchanges
from tests.capture.wire.corpus import ollama as ollama_exchanges
from tests.capture.wire.corpus.exchanges import FRAMES, LINES, PLAIN, SSE, Exchange, compact, frame

EXCHANGES = [
    *chat.EXCHANGES,
    *responses.EXCHANGES,
    *anthropic.EXCHANGES,
    *endpoint.EXCHANGES,
    *cohere.EXCHANGES,
    *bedrock.EXCHANGES,
    *gemini_exchanges.EXCHANGES,
    *ollama_exchanges.EXCHANGES,
    *live.EXCHANGES,
]
EVENTS = [exchange for exchange in EXCHANGES if exchange.content_type == SSE]
STREAMS = [exchange for exchange in EXCHANGES if exchange.is_stream()]
FORMATS: list[WireFormat] = [
    openai_chat,
    openai_responses,
    openai_completions,
    openai_embeddings,
    openai_images,
    openai_audio,
    openai_moderations,
    openai_realtime,
    openai_decisions,
    openai_input_tokens,
    anthropic_messages,
    anthropic_count_tokens,
    cohere_chat,
    cohere_embeddings,
    bedrock_converse,
    bedrock_invoke,
    gemini,
    gemini_embeddings,
    gemini_count_tokens,
    gemini_interactions,
    gemini_live,
    gemini_caches,
    gemini_predict,
    gemini_long_running,
    batch_creation.OPENAI,
    batch_creation.ANTHROPIC,
    batch_creation.GEMINI,
    ollama,
    raw,
]
REQUESTS = [
    b'{"model":"m","messages":[{"role":"system","content":"s"},{"role":"tool","content":[]}],'
    b'"temperature":1,"max_tokens":5,"stream":true,"tools":[{}],"n":2}',
    b'{"model":"m","input":"hi","instructions":"s","max_output_tokens":5,"reasoning":{}}',
    b'{"model":"m","system":[{"type":"text","text":"s"}],"messages":[{"role":"user","content":'
    b'[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"x"}]}]}]}',
    b'{"system":[{"text":"s"}],"messages":[{"role":"user","content":[{"toolResult":{"toolUseId":'
    b'"t","content":[{"json":{}}],"status":"error"}}]}],"inferenceConfig":{"maxTokens":5,'
    b'"temperature":1},"toolConfig":{"tools":[{}]}}',
    b'{"systemInstruction":{"parts":[{"text":"s"}]},"contents":[{"role":"user","parts":[{"text":'
    b'"hi"}]},{"parts":{"functionResponse":{"id":"c","name":"f","response":{"error":"x"}}}}],'
    b'"tools":[{}],"generationConfig":{"temperature":1,"maxOutputTokens":5}}',
    b'{"model":"m","input":[{"type":"function_result","call_id":"c","name":"f","result":[{"type":'
    b'"text","text":"x"}],"is_error":true}],"generation_config":{"max_output_tokens":5}}',
    b'{"model":"m","system":"s","prompt":"hi","context":[1],"images":["aGk="],"stream":false,'
    b'"options":{"temperature":0,"num_predict":-1},"messages":[{"role":"tool","tool_name":"f"}]}',
    b'{"inputText":"hi","textGenerationConfig":{"maxTokenCount":5,"temperature":1}}',
    b'{"model":"m","prompt":[1,2,3],"suffix":"]","max_tokens":5,"input":"hi"}',
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\nContent-Type: a/b\r\n'
    b'\r\nID3\r\n--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--b--\r\n',
]


def named(exchange: Exchange) -> str:
    return f"{exchange.wire_format}: {exchange.name}"


@pytest.mark.parametrize("exchange", STREAMS, ids=named)
def test_stream_cut_anywhere_gives_the_beginning_of_the_response(exchange: Exchange) -> None:
    whole = exchange.expected_with_first_content()
    for length in range(len(exchange.body)):
        part = exchange.parse(exchange.body[:length])
        assert (whole.content or "").startswith(part.content or "")
        assert (whole.reasoning or "").startswith(part.reasoning or "")
        assert len(part.tool_calls) <= len(whole.tool_calls)
        for begun, call in zip(part.tool_calls, whole.tool_calls, strict=False):
            assert begun.id in (call.id, None)
            assert begun.name in (call.name, None)
            assert call.arguments.startswith(begun.arguments)
        if part.first_content_end is not None and length >= (whole.first_content_end or 0):
            assert part.first_content_end == whole.first_content_end


@pytest.mark.parametrize("exchange", EVENTS, ids=named)
@pytest.mark.parametrize("line_end", [b"\r\n", b"\r"])
def test_line_ends_bom_and_comments_change_nothing(exchange: Exchange, line_end: bytes) -> None:
    lines = exchange.body.replace(b"\r\n", b"\n")
    body = b"\xef\xbb\xbf: hello\n\n" + lines.replace(b"\n\n", b"\n\n: ping\n\n")
    parsed = exchange.parse(body.replace(b"\n", line_end))
    assert (parsed.first_content_end is None) is (exchange.first_content is None)
    assert replace(parsed, first_content_end=None) == exchange.expected


def assert_storable(parsed_response: ParsedResponse) -> None:
    """A database accepts the texts, the numbers make sense, and the JSON can be written."""
    texts = [
        parsed_response.content,
        parsed_response.reasoning,
        parsed_response.error,
        parsed_response.stop_reason,
    ]
    texts += [parsed_response.response_model, parsed_response.response_id, parsed_response.note]
    texts += [parsed_response.service_tier, parsed_response.speed]
    for call in parsed_response.tool_calls:
        texts += [call.id, call.name, call.arguments]
    for text in filter(None, texts):
        assert "\0" not in text
        text.encode()
    json.dumps(parsed_response.choices, allow_nan=False, ensure_ascii=False).encode()
    if usage := parsed_response.usage:
        json.dumps(usage.raw, allow_nan=False, ensure_ascii=False).encode()
        for name in (field.name for field in fields(usage) if field.name.startswith("tokens_")):
            count = getattr(usage, name)
            assert count is None or (isinstance(count, int) and count >= 0)
        json.dumps(usage.units, allow_nan=False)
        assert all(n >= 0 for n in usage.units.values())
        cost = usage.reported_cost_usd
        assert cost is None or 0 <= cost <= 2_000_000


def parse_as_all(body: bytes, content_type: str = "") -> None:
    for wire_format in FORMATS:
        for status in (200, 500):
            parsed_response = wire_format.parse_response(
                body, status=status, content_type=content_type
            )
            assert_storable(parsed_response)
            end = parsed_response.first_content_end
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
def change_values(draw: st.DrawFn, bodies: list[bytes]) -> bytes:
    """Draws one of the bodies with some of its values replaced by others of any type."""
    body = draw(st.sampled_from(bodies))
    for _ in range(draw(st.integers(1, 4))):
        values = list(VALUE.finditer(body))
        if not values:
            break
        value = draw(st.sampled_from(values))
        body = body[: value.start()] + draw(oddities) + body[value.end() :]
    return body


@st.composite
def splice(draw: st.DrawFn, bodies: list[bytes]) -> bytes:
    """Draws one of the bodies with some of its bytes replaced by random ones."""
    body = draw(st.sampled_from(bodies))
    start = draw(st.integers(0, len(body)))
    end = draw(st.integers(start, min(len(body), start + 40)))
    return body[:start] + draw(st.binary(max_size=20)) + body[end:]


RESPONSES = [exchange.body for exchange in EXCHANGES]


@settings(max_examples=400)
@given(change_values(RESPONSES) | splice(RESPONSES) | st.binary())
def test_damaged_responses_never_raise(body: bytes) -> None:
    parse_as_all(body)


@given(st.lists(oddities | st.binary(max_size=10)))
def test_events_of_anything_never_raise(datas: list[bytes]) -> None:
    parse_as_all(b"".join(b"data: " + data + b"\n\n" for data in datas), SSE)


@given(st.lists(oddities | st.binary(max_size=10)))
def test_lines_and_arrays_of_anything_never_raise(datas: list[bytes]) -> None:
    parse_as_all(b"\n".join(datas), LINES)
    parse_as_all(b"[" + b",".join(datas) + b"]", PLAIN)


FRAMED = [
    exchange.body
    for exchange in bedrock.EXCHANGES
    if exchange.content_type == FRAMES and exchange.status == 200
]


@st.composite
def damage_frame(draw: st.DrawFn) -> bytes:
    """Draws a stream of sound frames, of which one holds damaged data."""
    found = list(aws_event_stream.frames(draw(st.sampled_from(FRAMED)), []))
    place = draw(st.integers(0, len(found) - 1))
    body = b""
    for number, (headers, payload, _) in enumerate(found):
        if number == place:
            packed = json.loads(payload or b"{}").get("bytes") or ""
            if packed and len(packed) % 4 == 0 and draw(st.booleans()):
                inner = base64.b64decode(packed)
                damaged = draw(change_values([inner]) | splice([inner]))
                payload = compact({"bytes": base64.b64encode(damaged).decode()})
            else:
                payload = draw(change_values([payload]) | splice([payload]))
        body += frame(payload, **{name[1:].replace("-", "_"): headers[name] for name in headers})
    return body


@settings(max_examples=300)
@given(damage_frame())
def test_frames_of_anything_never_raise(body: bytes) -> None:
    parse_as_all(body, FRAMES)


@settings(max_examples=300)
@given(change_values(REQUESTS) | splice(REQUESTS) | st.binary())
def test_damaged_requests_never_raise(body: bytes) -> None:
    for wire_format in FORMATS:
        parsed_request = wire_format.parse_request(body)
        json.dumps(parsed_request.params, allow_nan=False, ensure_ascii=False).encode()
        (parsed_request.system_prompt or "").encode()
        assert parsed_request.max_tokens is None or parsed_request.max_tokens >= 0
        pieces = [body[part.start : part.end] for part in parsed_request.parts]
        assert join_parts(make_frame(body, parsed_request.parts), pieces) == body
        for piece in [*pieces, body]:
            for result in wire_format.tool_results(piece):
                json.dumps(result.content, allow_nan=False, ensure_ascii=False).encode()


@pytest.mark.parametrize("wire_format", FORMATS, ids=lambda wire_format: wire_format.NAME)
def test_every_exchange_is_harmless_in_other_formats(wire_format: WireFormat) -> None:
    for exchange in EXCHANGES:
        for content_type in (SSE, exchange.content_type):
            parsed_response = wire_format.parse_response(
                exchange.body, status=200, content_type=content_type
            )
            assert_storable(parsed_response)
