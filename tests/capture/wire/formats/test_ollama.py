from __future__ import annotations

import json
import time

import pytest

from capture.wire.formats import ollama
from capture.wire.types import ParsedRequest, ParsedToolResult
from tests.capture.wire.corpus.exchanges import LINES, Exchange
from tests.capture.wire.corpus.ollama import EXCHANGES, lines, message


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_response_is_read(exchange: Exchange) -> None:
    assert exchange.parse() == exchange.expected_with_first_content()


def pieces(body: bytes, parsed_request: ParsedRequest) -> list[tuple[str, bytes]]:
    return [(part.kind, body[part.start : part.end]) for part in parsed_request.parts]


def test_chat_request_is_read() -> None:
    body = (
        b'{"model":"llama3.2","messages":[{"role":"system","content":"You are terse."},'
        b'{"role":"user","content":"What is this?","images":["aGk="]}],"tools":[{}],'
        b'"think":true,"keep_alive":-1,"options":{"temperature":0.5,"num_predict":100,"seed":1}}'
    )
    parsed_request = ollama.parse_request(body, path="/api/chat")
    assert parsed_request.model_id == "llama3.2"
    assert parsed_request.stream is True
    assert parsed_request.system_prompt == "You are terse."
    assert (parsed_request.temperature, parsed_request.max_tokens) == (0.5, 100)
    assert parsed_request.params == {
        "think": True,
        "keep_alive": -1,
        "options": {"temperature": 0.5, "num_predict": 100, "seed": 1},
    }
    assert pieces(body, parsed_request) == [
        ("message", b'{"role":"system","content":"You are terse."}'),
        ("message", b'{"role":"user","content":"What is this?","images":["aGk="]}'),
        ("tools", b"[{}]"),
    ]


def test_generate_request_is_read() -> None:
    body = (
        b'{"model":"m","system":"You are terse.","prompt":"Hi","template":"{{ .Prompt }}",'
        b'"context":[1,2,3],"images":["aGk="],"raw":false,"options":{"num_predict":-1}}'
    )
    parsed_request = ollama.parse_request(body, path="/api/generate")
    assert parsed_request.stream is True
    assert parsed_request.system_prompt == "You are terse."
    assert parsed_request.max_tokens is None
    assert parsed_request.params == {
        "template": "{{ .Prompt }}",
        "raw": False,
        "options": {"num_predict": -1},
    }
    assert pieces(body, parsed_request) == [("system", b'"You are terse."'), ("message", b'"Hi"')]


@pytest.mark.parametrize(
    ("path", "body", "streams"),
    [
        ("/api/chat", b'{"model":"m"}', True),
        ("/api/chat", b'{"stream":null}', True),
        ("api/generate", b'{"stream":true}', True),
        ("/api/generate", b'{"stream":false}', False),
        ("/api/embed", b'{"model":"m"}', False),
        ("/api/embeddings", b'{"model":"m"}', False),
        ("/api/chat", b"not JSON", False),
    ],
)
def test_ollama_streams_unless_stream_is_false(path: str, body: bytes, streams: bool) -> None:
    parsed_request = ollama.parse_request(body, path=path)
    assert parsed_request.stream is streams
    assert "stream" not in parsed_request.params


@pytest.mark.parametrize(
    ("path", "body", "texts"),
    [
        ("/api/embed", b'{"model":"m","input":["a","b"],"truncate":true}', [b'"a"', b'"b"']),
        ("/api/embed", b'{"model":"m","input":"a","truncate":true}', [b'"a"']),
        ("/api/embeddings", b'{"model":"m","prompt":"a","truncate":true}', [b'"a"']),
    ],
)
def test_embeddings_request_is_read(path: str, body: bytes, texts: list[bytes]) -> None:
    parsed_request = ollama.parse_request(body, path=path)
    assert parsed_request.params == {"truncate": True}
    assert pieces(body, parsed_request) == [("message", text) for text in texts]


@pytest.mark.parametrize(
    ("message", "result"),
    [
        (
            {"role": "tool", "tool_name": "weather", "content": "18 °C"},
            ParsedToolResult(None, "weather", "18 °C", False),
        ),
        (
            {"role": "tool", "name": "weather", "tool_call_id": "c1", "content": ""},
            ParsedToolResult("c1", "weather", "", False),
        ),
    ],
)
def test_tool_result_is_read(message: object, result: ParsedToolResult) -> None:
    assert ollama.tool_results(json.dumps(message).encode()) == [result]


@pytest.mark.parametrize("message", [b'{"role":"user","content":"x"}', b'"prompt"', b"", b"[]"])
def test_message_without_tool_result(message: bytes) -> None:
    assert ollama.tool_results(message) == []


def test_error_body_is_ollamas() -> None:
    body = ollama.error_body("No", type="api_error", code="upstream_timeout", request_id="r1")
    assert json.loads(body) == {"error": "No"}


def test_one_line_of_a_stream_is_not_a_complete_response() -> None:
    body = lines(message("Hi"))
    for content_type in (LINES, "application/json"):
        parsed_response = ollama.parse_response(body, status=200, content_type=content_type)
        assert parsed_response.content == "Hi"
        assert parsed_response.complete is False
        assert parsed_response.first_content_end == len(body)


def test_object_on_several_lines_is_a_complete_response() -> None:
    body = json.dumps({"model": "m", "response": "Hi", "done": True}, indent=2).encode()
    parsed_response = ollama.parse_response(body, status=200, content_type="application/json")
    assert (parsed_response.content, parsed_response.complete, parsed_response.note) == (
        "Hi",
        True,
        None,
    )
    assert parsed_response.first_content_end is None


def test_response_of_100_mb_is_read_in_linear_time() -> None:
    body = lines(*[message("x" * 100_000, thinking="y")] * 1_000) + b"\n" * 1_000_000
    started = time.process_time()
    parsed_response = ollama.parse_response(body, status=200, content_type=LINES)
    assert time.process_time() - started < 10
    assert len(parsed_response.content or "") == 100_000_000
