from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest

from capture.wire.formats.gemini import embeddings as gemini_embeddings
from capture.wire.formats.gemini import generate_content as gemini
from capture.wire.formats.gemini import interactions as gemini_interactions
from capture.wire.json.partial_arguments import PartialArguments
from capture.wire.types import BodyPart, ParsedRequest, ParsedToolResult
from tests.capture.wire.corpus.exchanges import PLAIN, SSE, Exchange
from tests.capture.wire.corpus.gemini import EXCHANGES, array, events


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_response_is_read(exchange: Exchange) -> None:
    assert exchange.parse() == exchange.expected_with_first_content()


def pieces(body: bytes, parsed_request: ParsedRequest) -> list[tuple[str, bytes]]:
    return [(part.kind, body[part.start : part.end]) for part in parsed_request.parts]


def test_request_is_read() -> None:
    body = (
        b'{"systemInstruction":{"parts":[{"text":"You are terse."},{"text":"Be kind."}]},'
        b'"contents":[{"role":"user","parts":[{"text":"Hi"}]},{"role":"model","parts":[]}],'
        b'"tools":[{"googleSearch":{}}],"cachedContent":"cachedContents/1",'
        b'"generationConfig":{"temperature":0.5,"maxOutputTokens":100,"topP":1}}'
    )
    path = "/v1beta/models/gemini-2.5-flash:streamGenerateContent"
    parsed_request = gemini.parse_request(body, path=path)
    assert parsed_request.model_id == "gemini-2.5-flash"
    assert parsed_request.stream is True
    assert parsed_request.system_prompt == "You are terse.\n\nBe kind."
    assert (parsed_request.temperature, parsed_request.max_tokens) == (0.5, 100)
    assert parsed_request.params == {
        "cachedContent": "cachedContents/1",
        "generationConfig": {"temperature": 0.5, "maxOutputTokens": 100, "topP": 1},
    }
    assert pieces(body, parsed_request) == [
        ("system", b'{"parts":[{"text":"You are terse."},{"text":"Be kind."}]}'),
        ("message", b'{"role":"user","parts":[{"text":"Hi"}]}'),
        ("message", b'{"role":"model","parts":[]}'),
        ("tools", b'[{"googleSearch":{}}]'),
    ]


def test_request_in_snake_case_with_single_values_for_lists() -> None:
    body = (
        b'{"contents":{"role":"user","parts":{"text":"Hi"}},'
        b'"system_instruction":{"parts":{"text":"You are terse."}},'
        b'"generation_config":{"temperature":0,"max_output_tokens":5}}'
    )
    parsed_request = gemini.parse_request(body, path="v1/models/m:generateContent")
    assert (parsed_request.model_id, parsed_request.stream) == ("m", False)
    assert parsed_request.system_prompt == "You are terse."
    assert (parsed_request.temperature, parsed_request.max_tokens) == (0, 5)
    assert pieces(body, parsed_request) == [
        ("message", b'{"role":"user","parts":{"text":"Hi"}}'),
        ("system", b'{"parts":{"text":"You are terse."}}'),
    ]


@pytest.mark.parametrize(
    ("path", "model"),
    [
        ("/v1/models/gemini-2.5-pro:generateContent", "gemini-2.5-pro"),
        ("models/gemini-2.5-pro:generateContent", "gemini-2.5-pro"),
        ("/v1beta/tunedModels/mine-1:generateContent", "tunedModels/mine-1"),
        ("/v1/projects/p/locations/l/publishers/google/models/g-1:streamGenerateContent", "g-1"),
        ("/v1beta1/projects/p/locations/l/endpoints/77:generateContent", "endpoints/77"),
        ("/v1beta/models/openai/gpt-4o:generateContent", "openai/gpt-4o"),
        ("/v1beta/models/", "in-the-body"),
        ("", "in-the-body"),
    ],
)
def test_model_is_named_by_the_path(path: str, model: str) -> None:
    body = b'{"model":"models/in-the-body","contents":[]}'
    assert gemini.parse_request(body, path=path).model_id == model


def test_request_that_is_not_json_still_has_its_model() -> None:
    parsed_request = gemini.parse_request(b"{", path="/v1/models/m:streamGenerateContent")
    assert (parsed_request.model_id, parsed_request.stream) == ("m", True)
    assert parsed_request.note is not None


def test_embeddings_request_is_read() -> None:
    body = b'{"requests":[{"model":"models/e","content":{"parts":[{"text":"a"}]}},{"content":{}}]}'
    path = "/v1/models/e:batchEmbedContents"
    parsed_request = gemini_embeddings.parse_request(body, path=path)
    assert parsed_request.model_id == "e"
    assert [kind for kind, _ in pieces(body, parsed_request)] == ["message", "message"]
    body = b'{"model":"models/e","content":{"parts":[{"text":"a"}]},"taskType":"X"}'
    parsed_request = gemini_embeddings.parse_request(body)
    assert (parsed_request.model_id, parsed_request.params) == ("e", {"taskType": "X"})
    assert pieces(body, parsed_request) == [("message", b'{"parts":[{"text":"a"}]}')]


def test_tool_results_are_read() -> None:
    message = {
        "role": "user",
        "parts": [
            {"functionResponse": {"id": "c1", "name": "weather", "response": {"output": "18 °C"}}},
            {"function_response": {"name": "now", "response": {"error": "no clock"}}},
            {"functionResponse": {"name": "nothing"}},
            {"text": "Go on."},
        ],
    }
    assert gemini.tool_results(json.dumps(message).encode()) == [
        ParsedToolResult("c1", "weather", {"output": "18 °C"}, False),
        ParsedToolResult(None, "now", {"error": "no clock"}, True),
        ParsedToolResult(None, "nothing", None, False),
    ]
    assert gemini.tool_results(b'{"parts":{"functionResponse":{"name":"f"}}}') == [
        ParsedToolResult(None, "f", None, False)
    ]


@pytest.mark.parametrize("message", [b'{"parts":[{"text":"x"}]}', b"7", b"", b'{"parts":[[]]}'])
def test_message_without_tool_result(message: bytes) -> None:
    assert gemini.tool_results(message) == []
    assert gemini_interactions.tool_results(message) == []


def test_interactions_request_is_read() -> None:
    body = (
        b'{"model":"gemini-3-pro-preview","input":[{"type":"user_input","content":[]},'
        b'{"type":"function_result","call_id":"f1","result":"x"}],"stream":true,'
        b'"system_instruction":"You are terse.","tools":[{"type":"google_search"}],'
        b'"previous_interaction_id":"int_0",'
        b'"generation_config":{"temperature":1,"max_output_tokens":9}}'
    )
    parsed_request = gemini_interactions.parse_request(body)
    assert parsed_request.model_id == "gemini-3-pro-preview"
    assert parsed_request.stream is True
    assert parsed_request.system_prompt == "You are terse."
    assert (parsed_request.temperature, parsed_request.max_tokens) == (1, 9)
    assert parsed_request.params == {
        "previous_interaction_id": "int_0",
        "generation_config": {"temperature": 1, "max_output_tokens": 9},
    }
    kinds = [kind for kind, _ in pieces(body, parsed_request)]
    assert kinds == ["message", "message", "system", "tools"]


@pytest.mark.parametrize("given", [b'"Hi"', b'{"type":"text","text":"Hi"}'])
def test_interactions_input_that_is_not_a_list(given: bytes) -> None:
    body = b'{"agent":"deep-research","input":' + given + b"}"
    parsed_request = gemini_interactions.parse_request(body)
    assert (parsed_request.model_id, parsed_request.params) == (None, {"agent": "deep-research"})
    assert parsed_request.parts == [BodyPart("message", 33, 33 + len(given))]


def test_interactions_tool_result_is_read() -> None:
    step = {
        "type": "function_result",
        "call_id": "f1",
        "name": "weather",
        "result": [{"type": "text", "text": "18 °C"}],
        "is_error": True,
    }
    assert gemini_interactions.tool_results(json.dumps(step).encode()) == [
        ParsedToolResult("f1", "weather", "18 °C", True)
    ]


@pytest.mark.parametrize(
    ("type", "code", "status", "name"),
    [
        ("api_error", "upstream_timeout", 504, "DEADLINE_EXCEEDED"),
        ("api_error", "upstream_unreachable", 502, "UNAVAILABLE"),
        ("api_error", "ledger_full", 503, "UNAVAILABLE"),
        ("api_error", "unknown_upstream", 404, "NOT_FOUND"),
        ("rate_limit_error", "budget_exceeded", 429, "RESOURCE_EXHAUSTED"),
        ("rate_limit_error", "something_new", 429, "RESOURCE_EXHAUSTED"),
        ("api_error", "something_new", 500, "INTERNAL"),
    ],
)
def test_error_body_is_googles(type: str, code: str, status: int, name: str) -> None:
    body = gemini.error_body("No", type=type, code=code, request_id="r1")
    assert json.loads(body) == {
        "error": {
            "code": status,
            "message": "No",
            "status": name,
            "details": [
                {
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                    "reason": code.upper(),
                    "domain": "agentledger",
                    "metadata": {"request_id": "r1"},
                }
            ],
        }
    }


def test_arguments_in_pieces_that_contradict_each_other() -> None:
    partial = PartialArguments()
    for path in ("$.a.b", "$.a.b.c", "$.a[999999999].d", "$.l[999999999]", "$", "", "x", "$.l.k"):
        partial.add({"jsonPath": path, "stringValue": "v"})
    partial.add({"jsonPath": 7, "numberValue": 7})
    partial.add({"stringValue": ["v"]})
    # An index far away must not make a list of that length.
    assert partial.assemble() == {"a": {"b": "v", "999999999": {"d": "v"}}, "l": ["v", "v"]}


def test_line_ends_without_a_brace_are_not_an_error() -> None:
    """A gateway that writes an event's object on several lines repeats the field's name."""
    body = (
        b'data: {\r\ndata: "candidates":[{"content":{"parts":[{"text":"a"}]}}]\r\ndata: }\r\n\r\n'
    )
    assert gemini.parse_response(body, status=200, content_type=SSE).content == "a"


@pytest.mark.parametrize("is_cut", [False, True])
@pytest.mark.parametrize("write", [events, array])
def test_response_of_100_mb_is_read_in_linear_time(
    write: Callable[..., bytes], is_cut: bool
) -> None:
    long = 'line \\ of "text"\n' * 6_000
    body = write(*[{"candidates": [{"content": {"parts": [{"text": long}]}}]}] * 1_000)
    assert len(body) > 100_000_000
    started = time.process_time()
    parsed_response = gemini.parse_response(
        body[:-10] if is_cut else body, status=200, content_type=PLAIN
    )
    assert time.process_time() - started < 10
    assert parsed_response.content == long * (999 if is_cut else 1_000)


def test_quotes_and_backslashes_that_never_end_are_read_in_linear_time() -> None:
    started = time.process_time()
    for end in (b"\\", b'"', b"{", b"\\\\"):
        for filler in (b'\\"', b"\\", b'"', b"{", b"}", b'{"', b'{"a":"{'):
            body = b'[{"a":"' + filler * (1_000_000 // len(filler)) + end
            gemini.parse_response(body, status=200, content_type=PLAIN)
    assert time.process_time() - started < 20
