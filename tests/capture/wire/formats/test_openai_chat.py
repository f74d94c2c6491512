from __future__ import annotations

import json

import pytest

from capture.wire.formats.openai import chat as openai_chat
from capture.wire.types import BodyPart, ParsedRequest, ParsedToolResult
from tests.capture.wire.corpus.chat import EXCHANGES, chunk
from tests.capture.wire.corpus.exchanges import SSE, Exchange, data


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_response_is_read(exchange: Exchange) -> None:
    assert exchange.parse() == exchange.expected_with_first_content()


def test_request_is_read() -> None:
    body = (
        b'{"model": "gpt-4o", "messages": [{"role": "system", "content": "Be brief."},'
        b' {"role":"user","content":"the system is down"},\n{"role": "developer", "content":'
        b' [{"type": "text", "text": "In French."}, {"type": "text", "text": "Politely."}]}],'
        b' "temperature": 0.5, "max_completion_tokens": 100, "max_tokens": 7, "stream": true,'
        b' "stream_options": {"include_usage": true}, "tools": [{"type": "function"}],'
        b' "tool_choice": "auto", "functions": null}'
    )
    parsed_request = openai_chat.parse_request(body)
    assert parsed_request.model_id == "gpt-4o"
    assert parsed_request.stream is True
    assert parsed_request.system_prompt == "Be brief.\n\nIn French.\n\nPolitely."
    assert parsed_request.temperature == 0.5
    assert parsed_request.max_tokens == 100
    assert parsed_request.params == {
        "max_tokens": 7,
        "stream_options": {"include_usage": True},
        "tool_choice": "auto",
    }
    assert [(part.kind, body[part.start : part.end]) for part in parsed_request.parts] == [
        ("message", b'{"role": "system", "content": "Be brief."}'),
        ("message", b'{"role":"user","content":"the system is down"}'),
        (
            "message",
            b'{"role": "developer", "content":'
            b' [{"type": "text", "text": "In French."}, {"type": "text", "text": "Politely."}]}',
        ),
        ("tools", b'[{"type": "function"}]'),
    ]
    assert parsed_request.note is None


def test_system_role_may_be_written_with_escapes() -> None:
    body = rb'{"messages":[{"role":"\u0073ystem","content":"Be brief."}]}'
    assert openai_chat.parse_request(body).system_prompt == "Be brief."


def test_invalid_numbers_stay_among_the_parameters() -> None:
    parsed_request = openai_chat.parse_request(
        b'{"model":7,"temperature":"hot","max_tokens":-1,"stream":"yes","seed":18446744073709551617}'
    )
    assert (parsed_request.model_id, parsed_request.temperature, parsed_request.max_tokens) == (
        None,
        None,
        None,
    )
    assert parsed_request.stream is False
    assert parsed_request.params == {
        "model": 7,
        "temperature": "hot",
        "max_tokens": -1,
        "stream": "yes",
        "seed": 18446744073709551617,
    }


@pytest.mark.parametrize(
    ("body", "note"),
    [
        (b"", "request: empty"),
        (b"[1]", "request: not a JSON object"),
        (b'{"model":"gpt', "request: not JSON at character 9"),
        (b"--boundary\r\n", "request: not JSON at character 0"),
    ],
)
def test_request_that_is_not_a_json_object_is_noted(body: bytes, note: str) -> None:
    assert openai_chat.parse_request(body) == ParsedRequest(note=note)


def test_unusual_request_is_read() -> None:
    body = (
        b'\xef\xbb\xbf {"model":"m","temperature":NaN,"logit_bias":{"a\\u0000":-Infinity},'
        b'"messages":[{"role":"system","content":"\\ud83d and \\ud83d\\ude00"}],'
        b'"metadata":' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    )
    parsed_request = openai_chat.parse_request(body)
    assert parsed_request.model_id == "m"
    assert parsed_request.system_prompt == "\ufffd and 😀"
    assert parsed_request.temperature is None
    assert parsed_request.params == {"temperature": "nan", "logit_bias": {"a\ufffd": "-inf"}}
    assert parsed_request.note == "metadata: the JSON is nested too deeply"
    start = body.index(b'{"role"')
    assert parsed_request.parts == [BodyPart("message", start, body.index(b"]", start))]


def test_half_characters_in_two_deltas_become_one() -> None:
    body = data(chunk({})).replace(b'"delta":{}', b'"delta":{"content":"\\ud83d"}')
    body += data(chunk({})).replace(b'"delta":{}', b'"delta":{"content":"\\ude00\\u0000\\udc00"}')
    parsed_response = openai_chat.parse_response(body, status=200, content_type=SSE)
    assert parsed_response.content == "😀\ufffd\ufffd"


@pytest.mark.parametrize(
    ("message", "result"),
    [
        (
            {"role": "tool", "tool_call_id": "call_1", "content": "18 °C"},
            ParsedToolResult("call_1", None, "18 °C", False),
        ),
        (
            {
                "role": "tool",
                "tool_call_id": "call_1",
                "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
            },
            ParsedToolResult("call_1", None, "a\nb", False),
        ),
        (
            {"role": "function", "name": "weather", "content": None},
            ParsedToolResult(None, "weather", None, False),
        ),
    ],
)
def test_tool_result_is_read(message: object, result: ParsedToolResult) -> None:
    assert openai_chat.tool_results(json.dumps(message).encode()) == [result]


@pytest.mark.parametrize("message", [b'{"role":"user","content":"x"}', b"7", b"", b'{"role":[]}'])
def test_message_without_tool_result(message: bytes) -> None:
    assert openai_chat.tool_results(message) == []


def test_error_body_is_openais() -> None:
    body = openai_chat.error_body(
        'Over "budget"', type="insufficient_quota", code="budget_exceeded", request_id="r1"
    )
    assert json.loads(body) == {
        "error": {
            "message": 'Over "budget"',
            "type": "insufficient_quota",
            "param": None,
            "code": "budget_exceeded",
        }
    }
