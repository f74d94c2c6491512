from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from capture.wire.formats.anthropic import messages as anthropic_messages
from capture.wire.formats.anthropic import usage as anthropic_usage
from capture.wire.types import JSON, BilledUsage, ParsedToolResult, Usage
from tests.capture.wire.corpus.anthropic import EXCHANGES
from tests.capture.wire.corpus.exchanges import Exchange


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_response_is_read(exchange: Exchange) -> None:
    assert exchange.parse() == exchange.expected_with_first_content()


def test_a_cut_stream_bills_nobody_by_the_placeholders_of_its_beginning() -> None:
    usage = {
        "input_tokens": 10,
        "output_tokens": 1,
        "iterations": [
            {"type": "message", "model": "claude-opus-4-5", "input_tokens": 10, "output_tokens": 1}
        ],
    }
    start = {"type": "message_start", "message": {"model": "claude-haiku-4-5", "usage": usage}}
    delta = {"type": "message_delta", "delta": {}, "usage": {"output_tokens": 7}}

    def read(*events: Mapping[str, object]) -> Usage:
        body = b"".join(b"data: %s\n\n" % json.dumps(event).encode() for event in events)
        parsed = anthropic_messages.parse_response(
            body, status=200, content_type="text/event-stream"
        )
        assert parsed.usage is not None
        return parsed.usage

    cut = read(start)
    assert (cut.tokens_in, cut.tokens_out, cut.billed) == (10, None, [])
    whole = read(start, delta)
    assert (whole.tokens_in, whole.tokens_out) == (10, 7)
    assert [share.model for share in whole.billed] == ["claude-opus-4-5", None]


def test_request_is_read() -> None:
    body = (
        b'{"model":"claude-sonnet-4-5","max_tokens":1024,"stream":true,"system":[{"type":"text",'
        b'"text":"You are terse.","cache_control":{"type":"ephemeral"}},{"type":"text","text":'
        b'"Today is Monday."}],"messages":[{"role":"user","content":"Hi"},{"role":"system",'
        b'"content":"Be kind."}],"tools":[{"name":"f"}],"thinking":{"type":"adaptive"}}'
    )
    parsed_request = anthropic_messages.parse_request(body)
    assert parsed_request.model_id == "claude-sonnet-4-5"
    assert parsed_request.stream is True
    assert parsed_request.max_tokens == 1024
    assert parsed_request.system_prompt == "You are terse.\n\nToday is Monday.\n\nBe kind."
    assert parsed_request.params == {"thinking": {"type": "adaptive"}}
    assert [part.kind for part in parsed_request.parts] == ["system", "message", "message", "tools"]
    assert (
        body[parsed_request.parts[1].start : parsed_request.parts[1].end]
        == b'{"role":"user","content":"Hi"}'
    )


def test_system_prompt_may_be_a_text() -> None:
    parsed_request = anthropic_messages.parse_request(
        b'{"system": "You are terse.", "messages": []}'
    )
    assert parsed_request.system_prompt == "You are terse."
    assert [part.kind for part in parsed_request.parts] == ["system"]


@pytest.mark.parametrize(
    ("body", "path", "model"),
    [
        (b"{}", "/v1/projects/p/publishers/anthropic/models/claude@2025:rawPredict", "claude@2025"),
        (b"{}", "/publishers/anthropic/models/claude:streamRawPredict", "claude"),
        (b'{"model":"m"}', "/publishers/anthropic/models/claude:rawPredict", "m"),
        (b"{}", "/v1/messages", None),
    ],
)
def test_model_is_read_from_the_path_when_the_body_has_none(
    body: bytes, path: str, model: str | None
) -> None:
    assert anthropic_messages.parse_request(body, path=path).model_id == model


def test_tool_results_are_read() -> None:
    message = {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "t1", "content": "18 °C"},
            {
                "type": "tool_result",
                "tool_use_id": "t2",
                "is_error": True,
                "content": [{"type": "text", "text": "not"}, {"type": "text", "text": "found"}],
            },
            {
                "type": "tool_result",
                "tool_use_id": "t3",
                "content": [{"type": "text", "text": "see"}, {"type": "image", "source": {}}],
            },
            {"type": "tool_result", "tool_use_id": "t4"},
            {"type": "text", "text": "Go on."},
        ],
    }
    assert anthropic_messages.tool_results(json.dumps(message).encode()) == [
        ParsedToolResult("t1", None, "18 °C", False),
        ParsedToolResult("t2", None, "not\nfound", True),
        ParsedToolResult(
            "t3", None, [{"type": "text", "text": "see"}, {"type": "image", "source": {}}], False
        ),
        ParsedToolResult("t4", None, None, False),
    ]


def test_error_body_is_anthropics() -> None:
    body = anthropic_messages.error_body(
        "Over budget", type="rate_limit_error", code="budget_exceeded", request_id="req_1"
    )
    assert json.loads(body) == {
        "type": "error",
        "message": "Over budget",
        "error": {
            "type": "rate_limit_error",
            "message": "Over budget",
            "details": {"error_code": "budget_exceeded"},
        },
        "request_id": "req_1",
    }


def charged(*blocks: JSON, usage: JSON = None, **more: JSON) -> dict[str, float]:
    counts = {"input_tokens": 1, "output_tokens": 1, **(usage or {})}
    body = {"type": "message", "content": list(blocks), "usage": counts, **more}
    parsed = anthropic_messages.parse_response(
        json.dumps(body).encode(), status=200, content_type="application/json"
    )
    assert parsed.usage is not None
    return parsed.usage.units


def test_tools_that_anthropic_ran_are_counted_by_the_usage_or_the_content() -> None:
    found: JSON = {"type": "web_search_tool_result", "content": [{"url": "u"}]}
    failed: JSON = {"type": "web_search_tool_result", "content": {"error_code": "unavailable"}}
    bash: JSON = {"type": "server_tool_use", "name": "bash_code_execution", "input": {}}
    fetch: JSON = {"type": "server_tool_use", "name": "web_fetch", "input": {}}
    ours: JSON = {"type": "tool_use", "name": "code_execution", "input": {}}
    assert charged(found, failed, found) == {"web_searches": 2}  # a gateway without counts
    assert charged(found, usage={"server_tool_use": {"web_search_requests": 3}}) == {
        "web_searches": 3
    }
    assert charged(bash, fetch, ours) == {"code_executions": 1}
    assert charged(usage={"server_tool_use": {"code_execution_requests": 2}}) == {
        "code_executions": 2
    }
    assert charged(container={"id": "container_1"}) == {"code_executions": 1}
    assert charged(fetch, ours, usage={"server_tool_use": {"web_fetch_requests": 4}}) == {}


def test_code_is_free_beside_the_web_tools_of_2026() -> None:
    def units(tools: bytes) -> dict[str, float]:
        usage = Usage(units={"code_executions": 2, "web_searches": 1})
        usage.billed = [BilledUsage(None, Usage(units={"code_executions": 2}))]
        anthropic_usage.drop_free_executions(usage, tools)
        assert ("code_executions" in usage.billed[0].usage.units) == (
            "code_executions" in usage.units
        )
        return usage.units

    assert units(b'[{"type":"web_search_20260209"}]') == {"web_searches": 1}
    assert units(b'[{"type":"web_fetch_20260318"}]') == {"web_searches": 1}
    assert "code_executions" in units(b'[{"type":"web_search_20250305"}]')
    assert "code_executions" in units(b"")
