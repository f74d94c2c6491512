"""Bedrock's Converse, as botocore 1.44.8 declares it, and the bodies that invoke passes on."""

from __future__ import annotations

import base64
from typing import Any

from capture.wire.types import JSON, ParsedResponse, ParsedToolCall, Usage
from tests.capture.wire.corpus import anthropic
from tests.capture.wire.corpus.exchanges import FRAMES, PLAIN, Exchange, compact, event_frame, frame

USAGE: JSON = {
    "inputTokens": 20,
    "outputTokens": 9,
    "totalTokens": 1_149,
    "cacheReadInputTokens": 1_000,
    "cacheWriteInputTokens": 120,
    "cacheDetails": [{"ttl": "1h", "inputTokens": 100}, {"ttl": "5m", "inputTokens": 20}],
}
COUNTED = Usage(
    tokens_in=1_140,
    tokens_out=9,
    tokens_cache_read=1_000,
    tokens_cache_write=120,
    tokens_cache_write_1h=100,
    raw=USAGE,
)
METRICS: JSON = {
    "inputTokenCount": 3,
    "outputTokenCount": 13,
    "invocationLatency": 3_037,
    "firstByteLatency": 2_635,
    "cacheReadInputTokenCount": 0,
    "cacheWriteInputTokenCount": 25,
}
MEASURED = Usage(
    tokens_in=28, tokens_out=13, tokens_cache_read=0, tokens_cache_write=25, raw=METRICS
)

START = event_frame("messageStart", {"role": "assistant", "p": "abcde"})
METADATA = event_frame("metadata", {"usage": USAGE, "metrics": {"latencyMs": 1_275}})


def delta(index: int, **piece: JSON) -> bytes:
    return event_frame("contentBlockDelta", {"contentBlockIndex": index, "delta": piece, "p": "a"})


def tool(index: int, id: str, name: str) -> bytes:
    start = {"toolUse": {"toolUseId": id, "name": name}}
    return event_frame("contentBlockStart", {"contentBlockIndex": index, "start": start})


def stop(index: int) -> bytes:
    return event_frame("contentBlockStop", {"contentBlockIndex": index})


def end(reason: str) -> bytes:
    return event_frame("messageStop", {"stopReason": reason})


def exception(kind: str, payload: JSON) -> bytes:
    return frame(
        compact(payload),
        exception_type=kind,
        content_type="application/json",
        message_type="exception",
    )


def pack(event: JSON) -> bytes:
    """A model's own event, as it stands in a frame."""
    return base64.b64encode(compact(event))


def chunk(*events: JSON) -> bytes:
    return b"".join(
        event_frame("chunk", {"bytes": pack(event).decode(), "p": "abc"}) for event in events
    )


def converse(
    name: str, body: bytes, first_content: bytes | None = None, **expected: Any
) -> Exchange:
    return Exchange(
        name,
        "bedrock_converse",
        body,
        ParsedResponse(**{"complete": True, **expected}),
        first_content,
        content_type=FRAMES,
    )


def invoke(name: str, body: bytes, first_content: bytes | None = None, **expected: Any) -> Exchange:
    return Exchange(
        name,
        "bedrock_invoke",
        body,
        ParsedResponse(**{"complete": True, **expected}),
        first_content,
        content_type=FRAMES,
    )


def whole(wire_format: str, name: str, response: JSON, **expected: Any) -> Exchange:
    return Exchange(
        name,
        wire_format,
        compact(response),
        ParsedResponse(**{"complete": True, **expected}),
        content_type=PLAIN,
    )


CONVERSE = [
    converse(
        "text",
        START
        + delta(0, text="Hello")
        + delta(0, text=", wörld")
        + stop(0)
        + end("end_turn")
        + METADATA,
        b'"Hello"',
        content="Hello, wörld",
        stop_reason="end_turn",
        usage=COUNTED,
    ),
    converse(
        "reasoning, text, then tool calls",
        START
        + delta(0, reasoningContent={"text": "Let me "})
        + delta(0, reasoningContent={"text": "see."})
        + delta(0, reasoningContent={"signature": "EqQB"})
        + stop(0)
        + delta(1, text="Looking.")
        + delta(1, citation={"title": "t", "sourceContent": [{"text": "of a source"}]})
        + stop(1)
        + tool(2, "tooluse_1", "weather")
        + delta(2, toolUse={"input": '{"city":'})
        + delta(2, toolUse={"input": ' "Rom"}'})
        + stop(2)
        + tool(3, "tooluse_2", "now")
        + delta(3, toolUse={"input": ""})
        + stop(3)
        + end("tool_use")
        + METADATA,
        b'"Let me "',
        content="Looking.",
        reasoning="Let me see.",
        tool_calls=[
            ParsedToolCall("tooluse_1", "weather", '{"city": "Rom"}'),
            ParsedToolCall("tooluse_2", "now", "{}"),
        ],
        stop_reason="tool_use",
        usage=COUNTED,
    ),
    converse(
        "a tool of AWS's own, its result, the tier and the routed model",
        START
        + tool(0, "tooluse_1", "nova_grounding")
        + delta(0, toolUse={"input": "{}"})
        + stop(0)
        + event_frame(
            "contentBlockStart",
            {
                "contentBlockIndex": 1,
                "start": {"toolResult": {"toolUseId": "tooluse_1", "status": "success"}},
            },
        )
        + delta(1, toolResult=[{"text": "found"}])
        + stop(1)
        + delta(2, text="Done")
        + stop(2)
        + end("end_turn")
        + event_frame(
            "metadata",
            {
                "usage": {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7},
                "serviceTier": {"type": "flex"},
                "trace": {"promptRouter": {"invokedModelId": "anthropic.claude-haiku"}},
            },
        ),
        b'"nova_grounding"',
        content="Done",
        tool_calls=[ParsedToolCall("tooluse_1", "nova_grounding", "{}")],
        stop_reason="end_turn",
        service_tier="flex",
        response_model="anthropic.claude-haiku",
        usage=Usage(
            tokens_in=5,
            tokens_out=2,
            raw={"inputTokens": 5, "outputTokens": 2, "totalTokens": 7},
        ),
    ),
    converse(
        "exception in mid-stream",
        START
        + delta(0, text="Hel")
        + exception("throttlingException", {"message": "Too many tokens, please wait"}),
        b'"Hel"',
        content="Hel",
        error="Too many tokens, please wait",
    ),
    converse(
        "error in mid-stream",
        START
        + frame(b"", error_code="InternalFailure", error_message="It broke.", message_type="error"),
        error="It broke.",
    ),
    converse(
        "interrupted in a tool call",
        START + tool(0, "tooluse_1", "f") + delta(0, toolUse={"input": '{"a": [1'}),
        b'"tooluse_1"',
        complete=False,
        tool_calls=[ParsedToolCall("tooluse_1", "f", '{"a": [1')],
    ),
    whole(
        "bedrock_converse",
        "plain",
        {
            "output": {
                "message": {
                    "role": "assistant",
                    "content": [
                        {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "s"}}},
                        {"reasoningContent": {"redactedContent": "eHl6"}},
                        {"text": "Two "},
                        {
                            "citationsContent": {
                                "content": [{"text": "calls."}],
                                "citations": [{"title": "t"}],
                            }
                        },
                        {"toolUse": {"toolUseId": "t1", "name": "f", "input": {"ü": [1, 2.5]}}},
                        {"toolUse": {"toolUseId": "t2", "name": "g", "input": {}}},
                    ],
                }
            },
            "stopReason": "tool_use",
            "usage": USAGE,
            "metrics": {"latencyMs": 551},
            "serviceTier": {"type": "priority"},
        },
        content="Two calls.",
        reasoning="Hm.",
        tool_calls=[ParsedToolCall("t1", "f", '{"ü":[1,2.5]}'), ParsedToolCall("t2", "g", "{}")],
        stop_reason="tool_use",
        service_tier="priority",
        usage=COUNTED,
    ),
    Exchange(
        "error body",
        "bedrock_converse",
        b'{"message":"The security token included in the request is invalid."}',
        ParsedResponse(
            error="The security token included in the request is invalid.", complete=True
        ),
        status=403,
        content_type=PLAIN,
    ),
    Exchange(
        "error body of the gateway, labelled as a stream",
        "bedrock_converse",
        b'{"Message":"User is not authorized"}',
        ParsedResponse(error="User is not authorized", complete=True),
        status=403,
        content_type=FRAMES,
    ),
]

CLAUDE: dict[str, JSON] = {
    "response_model": "claude-sonnet-4-5-20250929",
    "response_id": "msg_1",
}
CLAUDE_START: JSON = {"input_tokens": 25, "output_tokens": 1}
TITAN_METRICS: JSON = {"inputTokenCount": 5, "outputTokenCount": 2, "invocationLatency": 700}

INVOKE = [
    invoke(
        "Claude",
        chunk(
            anthropic.start(CLAUDE_START),
            anthropic.block(0, "thinking", thinking="", signature=""),
            anthropic.delta(0, "thinking", "thinking", "Hm."),
            anthropic.stop(0),
            anthropic.block(1, "text", text=""),
            anthropic.text(1, "Hello"),
            anthropic.text(1, ", wörld"),
            anthropic.stop(1),
            anthropic.block(2, "tool_use", id="toolu_1", name="f", input={}),
            anthropic.arguments(2, '{"a":'),
            anthropic.arguments(2, "1}"),
            anthropic.stop(2),
            anthropic.end("tool_use", output_tokens=15),
            {"type": "message_stop", "amazon-bedrock-invocationMetrics": METRICS},
        ),
        pack(anthropic.delta(0, "thinking", "thinking", "Hm.")),
        **CLAUDE,
        content="Hello, wörld",
        reasoning="Hm.",
        tool_calls=[ParsedToolCall("toolu_1", "f", '{"a":1}')],
        stop_reason="tool_use",
        usage=Usage(tokens_in=25, tokens_out=15, raw={"input_tokens": 25, "output_tokens": 15}),
    ),
    invoke(
        "Claude, exception in mid-stream",
        chunk(
            anthropic.start(CLAUDE_START),
            anthropic.block(0, "text", text=""),
            anthropic.text(0, "Hel"),
        )
        + exception(
            "modelStreamErrorException",
            {"message": "The model failed", "originalStatusCode": 424, "originalMessage": "x"},
        ),
        pack(anthropic.text(0, "Hel")),
        **CLAUDE,
        content="Hel",
        error="The model failed; x",
        usage=Usage(tokens_in=25, raw=CLAUDE_START),
    ),
    invoke(
        "refused before the first event",
        exception("validationException", {"message": "max_tokens: too many"}),
        error="max_tokens: too many",
    ),
    invoke(
        "Claude's text completions",
        chunk(
            {"type": "completion", "completion": " Hi", "stop_reason": None, "stop": None},
            {
                "type": "completion",
                "completion": " there",
                "stop_reason": "stop_sequence",
                "stop": "\n\nHuman:",
                "amazon-bedrock-invocationMetrics": METRICS,
            },
        ),
        pack({"type": "completion", "completion": " Hi", "stop_reason": None, "stop": None}),
        content=" Hi there",
        stop_reason="stop_sequence",
        usage=MEASURED,
    ),
    invoke(
        "Nova",
        chunk(
            {"messageStart": {"role": "assistant"}},
            {"contentBlockDelta": {"delta": {"text": "Hi"}, "contentBlockIndex": 0}},
            {"contentBlockStop": {"contentBlockIndex": 0}},
            {"messageStop": {"stopReason": "end_turn"}},
            {
                "metadata": {
                    "usage": {"inputTokens": 4, "outputTokens": 1, "cacheReadInputTokenCount": 2},
                    "metrics": {},
                },
                "amazon-bedrock-invocationMetrics": METRICS,
            },
        ),
        pack({"contentBlockDelta": {"delta": {"text": "Hi"}, "contentBlockIndex": 0}}),
        content="Hi",
        stop_reason="end_turn",
        usage=Usage(
            tokens_in=6,
            tokens_out=1,
            tokens_cache_read=2,
            raw={"inputTokens": 4, "outputTokens": 1, "cacheReadInputTokenCount": 2},
        ),
    ),
    invoke(
        "Llama",
        chunk(
            {
                "generation": "",
                "prompt_token_count": 25,
                "generation_token_count": 1,
                "stop_reason": None,
            },
            {"generation": "Hel", "prompt_token_count": None, "generation_token_count": 2},
            {"generation": "lo", "prompt_token_count": None, "generation_token_count": 3},
            {
                "generation": "",
                "prompt_token_count": None,
                "generation_token_count": 3,
                "stop_reason": "stop",
                "amazon-bedrock-invocationMetrics": METRICS,
            },
        ),
        pack({"generation": "Hel", "prompt_token_count": None, "generation_token_count": 2}),
        content="Hello",
        stop_reason="stop",
        usage=MEASURED,
    ),
    invoke(
        "Titan",
        chunk(
            {
                "outputText": "Hello",
                "index": 0,
                "totalOutputTextTokenCount": 2,
                "completionReason": "FINISH",
                "inputTextTokenCount": 5,
                "amazon-bedrock-invocationMetrics": TITAN_METRICS,
            }
        ),
        pack({"outputText": "Hello"})[:20],
        content="Hello",
        stop_reason="FINISH",
        usage=Usage(tokens_in=5, tokens_out=2, raw=TITAN_METRICS),
    ),
    invoke(
        "Mistral",
        chunk(
            {"outputs": [{"text": "Bon", "stop_reason": None}]},
            {
                "outputs": [{"text": "jour", "stop_reason": "stop"}],
                "amazon-bedrock-invocationMetrics": METRICS,
            },
        ),
        pack({"outputs": [{"text": "Bon", "stop_reason": None}]}),
        content="Bonjour",
        stop_reason="stop",
        usage=MEASURED,
    ),
    invoke(
        "OpenAI's open models",
        chunk(
            {
                "id": "chatcmpl-1",
                "model": "openai.gpt-oss-20b-1:0",
                "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}}],
            },
            {
                "id": "chatcmpl-1",
                "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
                "amazon-bedrock-invocationMetrics": METRICS,
            },
        ),
        pack(
            {
                "id": "chatcmpl-1",
                "model": "openai.gpt-oss-20b-1:0",
                "choices": [{"index": 0, "delta": {"role": "assistant", "content": "Hi"}}],
            }
        ),
        response_id="chatcmpl-1",
        response_model="openai.gpt-oss-20b-1:0",
        content="Hi",
        stop_reason="stop",
        usage=MEASURED,
    ),
    invoke(
        "a shape that nobody knows, and chunks that are none",
        chunk({"poem": ["Hi"]}, ["x"])
        + event_frame("chunk", {"bytes": "not base64!"})
        + event_frame("chunk", {"bytes": None}),
        complete=False,
        note="3 chunks are not JSON objects, the first ends at byte "
        + str(len(chunk({"poem": ["Hi"]}, ["x"]))),
    ),
    whole(
        "bedrock_invoke",
        "Claude, plain",
        {
            "id": "msg_1",
            "type": "message",
            "model": "claude-sonnet-4-5-20250929",
            "content": [
                {"type": "text", "text": "One call."},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"n": 1}},
            ],
            "stop_reason": "tool_use",
            "usage": {"input_tokens": 3, "output_tokens": 4},
        },
        **CLAUDE,
        content="One call.",
        stop_reason="tool_use",
        tool_calls=[ParsedToolCall("t1", "f", '{"n":1}')],
        usage=Usage(tokens_in=3, tokens_out=4, raw={"input_tokens": 3, "output_tokens": 4}),
    ),
    whole(
        "bedrock_invoke",
        "Nova, plain",
        {
            "output": {"message": {"content": [{"text": "Hi"}], "role": "assistant"}},
            "stopReason": "end_turn",
            "usage": {"inputTokens": 4, "outputTokens": 1, "totalTokens": 5},
        },
        content="Hi",
        stop_reason="end_turn",
        usage=Usage(
            tokens_in=4,
            tokens_out=1,
            raw={"inputTokens": 4, "outputTokens": 1, "totalTokens": 5},
        ),
    ),
    whole(
        "bedrock_invoke",
        "Llama, plain",
        {
            "generation": "Hello",
            "prompt_token_count": 25,
            "generation_token_count": 3,
            "stop_reason": "length",
        },
        content="Hello",
        stop_reason="length",
        usage=Usage(
            tokens_in=25,
            tokens_out=3,
            raw={"prompt_token_count": 25, "generation_token_count": 3},
        ),
    ),
    whole(
        "bedrock_invoke",
        "Titan, plain",
        {
            "inputTextTokenCount": 5,
            "results": [{"tokenCount": 2, "outputText": "Hello", "completionReason": "FINISH"}],
        },
        content="Hello",
        stop_reason="FINISH",
        usage=Usage(
            tokens_in=5,
            tokens_out=2,
            raw={"inputTextTokenCount": 5, "results": [{"tokenCount": 2}]},
        ),
    ),
    whole(
        "bedrock_invoke",
        "Titan's embeddings",
        {"embedding": [0.1, -0.2], "inputTextTokenCount": 5},
        usage=Usage(tokens_in=5, raw={"inputTextTokenCount": 5}),
    ),
    whole(
        "bedrock_invoke",
        "Mistral's chat, plain",
        {
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": "",
                        "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": "{}"}}],
                    },
                    "stop_reason": "tool_calls",
                }
            ]
        },
        tool_calls=[ParsedToolCall("c1", "f", "{}")],
        stop_reason="tool_calls",
    ),
    whole(
        "bedrock_invoke",
        "DeepSeek, plain",
        {"choices": [{"text": "Hi", "stop_reason": "stop"}]},
        content="Hi",
        stop_reason="stop",
    ),
    whole(
        "bedrock_invoke",
        "Cohere's Command R, plain",
        {"text": "Hi", "generation_id": "g", "finish_reason": "COMPLETE", "chat_history": []},
        content="Hi",
        stop_reason="COMPLETE",
    ),
    whole("bedrock_invoke", "a shape that nobody knows, plain", {"images": ["aGk="], "usage": 5}),
    Exchange(
        "error body",
        "bedrock_invoke",
        b'{"message":"Malformed input request: #: required key [messages] not found"}',
        ParsedResponse(
            error="Malformed input request: #: required key [messages] not found", complete=True
        ),
        status=400,
        content_type=PLAIN,
    ),
]

EXCHANGES = [*CONVERSE, *INVOKE]
