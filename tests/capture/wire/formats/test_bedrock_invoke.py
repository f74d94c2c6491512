from __future__ import annotations

import json

import pytest

from capture.wire.formats.bedrock import invoke as bedrock_invoke
from capture.wire.types import JSON, ParsedToolResult
from tests.capture.wire.corpus.bedrock import INVOKE
from tests.capture.wire.corpus.exchanges import Exchange


@pytest.mark.parametrize("exchange", INVOKE, ids=lambda exchange: exchange.name)
def test_response_is_read(exchange: Exchange) -> None:
    assert exchange.parse() == exchange.expected_with_first_content()


def test_request_for_claude_is_read() -> None:
    body = (
        b'{"anthropic_version":"bedrock-2023-05-31","max_tokens":1024,"temperature":1,"system":'
        b'"You are terse.","messages":[{"role":"user","content":"Hi"}],"tools":[{"name":"f"}]}'
    )
    parsed_request = bedrock_invoke.parse_request(
        body, path="/model/us.anthropic.claude-opus-4-1-20250805-v1:0/invoke-with-response-stream"
    )
    assert parsed_request.model_id == "us.anthropic.claude-opus-4-1-20250805-v1:0"
    assert parsed_request.stream is True
    assert (parsed_request.temperature, parsed_request.max_tokens) == (1, 1024)
    assert parsed_request.system_prompt == "You are terse."
    assert parsed_request.params == {"anthropic_version": "bedrock-2023-05-31"}
    assert [part.kind for part in parsed_request.parts] == ["system", "message", "tools"]


@pytest.mark.parametrize(
    ("body", "max_tokens", "temperature", "kinds"),
    [
        pytest.param(
            {
                "system": [{"text": "s"}],
                "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
                "inferenceConfig": {"max_new_tokens": 7, "temperature": 0.1},
                "toolConfig": {"tools": []},
            },
            7,
            0.1,
            ["system", "message", "tools"],
            id="Nova",
        ),
        pytest.param(
            {
                "inputText": "Hi",
                "textGenerationConfig": {"maxTokenCount": 7, "temperature": 0.1},
            },
            7,
            0.1,
            ["message"],
            id="Titan",
        ),
        pytest.param(
            {"prompt": "Hi", "max_gen_len": 7, "temperature": 0.1}, 7, 0.1, ["message"], id="Llama"
        ),
        pytest.param({"prompt": "Hi", "max_tokens": 7}, 7, None, ["message"], id="Mistral"),
        pytest.param({"images": ["aGk="]}, None, None, [], id="nobody's"),
    ],
)
def test_requests_for_other_models_are_read(
    body: JSON, max_tokens: int | None, temperature: float | None, kinds: list[str]
) -> None:
    parsed_request = bedrock_invoke.parse_request(json.dumps(body).encode(), path="/model/m/invoke")
    assert (parsed_request.model_id, parsed_request.stream) == ("m", False)
    assert (parsed_request.max_tokens, parsed_request.temperature) == (max_tokens, temperature)
    assert [part.kind for part in parsed_request.parts] == kinds


@pytest.mark.parametrize(
    "message",
    [
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t1", "content": "18 °C"}],
        },
        {
            "role": "user",
            "content": [{"toolResult": {"toolUseId": "t1", "content": [{"text": "18 °C"}]}}],
        },
        {"role": "tool", "tool_call_id": "t1", "content": "18 °C"},
    ],
)
def test_tool_results_of_each_family_are_read(message: JSON) -> None:
    assert bedrock_invoke.tool_results(json.dumps(message).encode()) == [
        ParsedToolResult("t1", None, "18 °C", False)
    ]


def test_other_messages_have_no_tool_results() -> None:
    assert bedrock_invoke.tool_results(b'"a prompt"') == []


def test_error_body_is_bedrocks() -> None:
    body = bedrock_invoke.error_body("Over budget", type="t", code="budget", request_id="r1")
    assert json.loads(body) == {"message": "Over budget", "code": "budget"}
