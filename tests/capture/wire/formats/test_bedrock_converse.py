from __future__ import annotations

import json

import pytest

from capture.wire.formats.bedrock import converse as bedrock_converse
from capture.wire.types import ParsedToolResult
from tests.capture.wire.corpus.bedrock import CONVERSE
from tests.capture.wire.corpus.exchanges import Exchange

BODY = (
    b'{"messages":[{"role":"user","content":[{"text":"Hi"}]},{"role":"system","content":'
    b'[{"text":"Be kind."}]}],"system":[{"text":"You are terse."},{"cachePoint":{"type":'
    b'"default"}},{"guardContent":{"text":{"text":"Today is Monday."}}}],"inferenceConfig":'
    b'{"maxTokens":512,"temperature":0.5,"topP":0.9},"toolConfig":{"tools":[{"toolSpec":'
    b'{"name":"f","inputSchema":{"json":{}}}}],"toolChoice":{"auto":{}}}}'
)


@pytest.mark.parametrize("exchange", CONVERSE, ids=lambda exchange: exchange.name)
def test_response_is_read(exchange: Exchange) -> None:
    assert exchange.parse() == exchange.expected_with_first_content()


def test_request_is_read() -> None:
    parsed_request = bedrock_converse.parse_request(
        BODY, path="/model/amazon.nova-pro-v1:0/converse"
    )
    assert parsed_request.model_id == "amazon.nova-pro-v1:0"
    assert parsed_request.stream is False
    assert (parsed_request.temperature, parsed_request.max_tokens) == (0.5, 512)
    assert parsed_request.system_prompt == "You are terse.\n\nToday is Monday.\n\nBe kind."
    assert parsed_request.params == {
        "inferenceConfig": {"maxTokens": 512, "temperature": 0.5, "topP": 0.9}
    }
    assert [part.kind for part in parsed_request.parts] == ["message", "message", "system", "tools"]
    tools = parsed_request.parts[-1]
    assert list(json.loads(BODY[tools.start : tools.end])) == ["tools", "toolChoice"]


ARN = "arn:aws:bedrock:us-east-1:123456789012"


@pytest.mark.parametrize(
    ("path", "model", "stream"),
    [
        (
            "/model/us.anthropic.claude-sonnet-4-5-20250929-v1:0/converse-stream",
            "us.anthropic.claude-sonnet-4-5-20250929-v1:0",
            True,
        ),
        ("model/amazon.nova-lite-v1:0/converse", "amazon.nova-lite-v1:0", False),
        (
            f"/to/aws/model/{ARN}:inference-profile/us.amazon.nova-lite-v1:0/converse-stream",
            f"{ARN}:inference-profile/us.amazon.nova-lite-v1:0",
            True,
        ),
        (
            f"/model/{ARN}:custom-model/amazon.nova-lite-v1:0:300k/abc123/converse",
            f"{ARN}:custom-model/amazon.nova-lite-v1:0:300k/abc123",
            False,
        ),
        ("", None, False),
    ],
)
def test_path_has_model_and_stream(path: str, model: str | None, stream: bool) -> None:
    parsed_request = bedrock_converse.parse_request(b"{}", path=path)
    assert (parsed_request.model_id, parsed_request.stream) == (model, stream)


def test_tool_results_are_read() -> None:
    message = {
        "role": "user",
        "content": [
            {"toolResult": {"toolUseId": "t1", "content": [{"text": "18"}, {"text": "°C"}]}},
            {
                "toolResult": {
                    "toolUseId": "t2",
                    "content": [{"text": "not found"}],
                    "status": "error",
                }
            },
            {"toolResult": {"toolUseId": "t3", "content": [{"json": {"t": 18}}]}},
            {"toolResult": {"toolUseId": "t4", "content": [{"text": "see"}, {"image": {}}]}},
            {"toolResult": {"toolUseId": "t5", "content": []}},
            {"text": "Go on."},
        ],
    }
    assert bedrock_converse.tool_results(json.dumps(message).encode()) == [
        ParsedToolResult("t1", None, "18\n°C", False),
        ParsedToolResult("t2", None, "not found", True),
        ParsedToolResult("t3", None, {"t": 18}, False),
        ParsedToolResult("t4", None, [{"text": "see"}, {"image": {}}], False),
        ParsedToolResult("t5", None, [], False),
    ]


def test_error_body_is_bedrocks() -> None:
    body = bedrock_converse.error_body("Over budget", type="t", code="budget", request_id="r1")
    assert json.loads(body) == {"message": "Over budget", "code": "budget"}
