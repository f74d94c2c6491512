from __future__ import annotations

import json

import pytest

from capture.wire.formats.cohere import chat as cohere_chat
from capture.wire.formats.cohere import embeddings as cohere_embeddings
from capture.wire.types import ParsedToolResult
from tests.capture.wire.corpus.cohere import EXCHANGES
from tests.capture.wire.corpus.exchanges import Exchange


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_response_is_read(exchange: Exchange) -> None:
    assert exchange.parse() == exchange.expected_with_first_content()


def test_request_is_read() -> None:
    body = (
        b'{"model":"command-a-03-2025","messages":[{"role":"system","content":"Be terse."},'
        b'{"role":"user","content":"Hi"}],"tools":[{"type":"function","function":{"name":"f"}}],'
        b'"temperature":0.3,"max_tokens":100,"stream":true,"p":0.9,"documents":["d"]}'
    )
    parsed_request = cohere_chat.parse_request(body)
    assert parsed_request.model_id == "command-a-03-2025"
    assert parsed_request.stream is True
    assert (parsed_request.temperature, parsed_request.max_tokens) == (0.3, 100)
    assert parsed_request.system_prompt == "Be terse."
    assert parsed_request.params == {"p": 0.9, "documents": ["d"]}
    assert [part.kind for part in parsed_request.parts] == ["message", "message", "tools"]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("18 °C", "18 °C"),
        ([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], "a\nb"),
        (
            [{"type": "document", "document": {"data": '{"t":18}', "id": "0"}}],
            [{"type": "document", "document": {"data": '{"t":18}', "id": "0"}}],
        ),
    ],
)
def test_tool_result_is_read(content: object, expected: object) -> None:
    message = {"role": "tool", "tool_call_id": "weather_1", "content": content}
    assert cohere_chat.tool_results(json.dumps(message).encode()) == [
        ParsedToolResult("weather_1", None, expected, False)
    ]


def test_other_messages_have_no_tool_results() -> None:
    assert cohere_chat.tool_results(b'{"role":"user","content":"Hi"}') == []


def test_error_body_is_coheres() -> None:
    body = cohere_chat.error_body("Over budget", type="t", code="budget_exceeded", request_id="r1")
    assert json.loads(body) == {"id": "r1", "message": "Over budget"}


def test_embeddings_request_is_read() -> None:
    body = b'{"model":"embed-v4.0","texts":["a","b"],"input_type":"search_document"}'
    parsed_request = cohere_embeddings.parse_request(body)
    assert parsed_request.model_id == "embed-v4.0"
    assert parsed_request.params == {"input_type": "search_document"}
    assert [(part.kind, body[part.start : part.end]) for part in parsed_request.parts] == [
        ("message", b'"a"'),
        ("message", b'"b"'),
    ]
