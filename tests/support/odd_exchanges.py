"""Exchanges as providers and agents send them, with single values replaced by ones that nobody
expects there."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.capture.wire.corpus import anthropic, chat, cohere, endpoint, gemini, ollama, responses
from tests.capture.wire.corpus.exchanges import PLAIN, SSE, Exchange

JSON = Any

PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic_messages": "/v1/messages",
    "gemini": "/v1beta/models/gemini-2.5-pro:generateContent",
    "cohere_chat": "/v2/chat",
    "bedrock_converse": "/model/m/converse",
    "gemini_interactions": "/v1beta/interactions",
    "ollama": "/api/chat",
    "openai_completions": "/v1/completions",
    "openai_embeddings": "/v1/embeddings",
    "openai_images": "/v1/images/generations",
    "openai_moderations": "/v1/moderations",
}
_FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object"}}
_SCHEMA = {"type": "function", "name": "f", "parameters": {"type": "object"}}
_IMAGE = (
    "data:image/png;base64,"
    + "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)
REQUESTS: dict[str, JSON] = {
    "openai_chat": {
        "model": "gpt-4o",
        "temperature": 1,
        "max_tokens": 5,
        "n": 1,
        "metadata": {"k": "v"},
        "stop": ["x"],
        "tools": [{"type": "function", "function": _FUNCTION}],
        "messages": [
            {"role": "system", "content": "s"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "hi"},
                    {"type": "image_url", "image_url": {"url": _IMAGE}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "r",
                "tool_calls": [
                    {"id": "t", "type": "function", "function": {"name": "f", "arguments": "{}"}}
                ],
            },
            {"role": "tool", "tool_call_id": "t", "content": '{"a": 1}'},
        ],
    },
    "openai_responses": {
        "model": "gpt-4o",
        "instructions": "s",
        "reasoning": {"effort": "low"},
        "tools": [_SCHEMA],
        "input": [
            {"role": "user", "content": [{"type": "input_text", "text": "hi"}]},
            {"type": "reasoning", "id": "r", "summary": [{"type": "summary_text", "text": "t"}]},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "x"},
        ],
    },
    "anthropic_messages": {
        "model": "claude-sonnet-4-5",
        "max_tokens": 5,
        "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "f", "description": "d", "input_schema": {"type": "object"}}],
        "messages": [
            {"role": "user", "content": "hi"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "t", "signature": "s"},
                    {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "t",
                        "is_error": False,
                        "content": [{"type": "text", "text": "x"}],
                    }
                ],
            },
        ],
    },
    "gemini": {
        "systemInstruction": {"parts": [{"text": "s"}]},
        "generationConfig": {"temperature": 1, "maxOutputTokens": 5},
        "tools": [{"functionDeclarations": [_FUNCTION]}],
        "contents": [
            {"role": "user", "parts": [{"text": "hi"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "f", "args": {"a": 1}}}]},
            {
                "role": "user",
                "parts": [{"functionResponse": {"name": "f", "response": {"result": "x"}}}],
            },
        ],
    },
    "cohere_chat": {
        "model": "command-a",
        "messages": [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "tool_plan": "p", "tool_calls": [{"id": "t"}]},
            {"role": "tool", "tool_call_id": "t", "content": [{"document": {"data": "x"}}]},
        ],
    },
    "bedrock_converse": {
        "system": [{"text": "s"}],
        "inferenceConfig": {"maxTokens": 5, "temperature": 1},
        "toolConfig": {"tools": [{"toolSpec": {"name": "f"}}]},
        "messages": [
            {"role": "user", "content": [{"text": "hi"}]},
            {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t", "name": "f"}}]},
            {
                "role": "user",
                "content": [{"toolResult": {"toolUseId": "t", "content": [{"json": {"a": 1}}]}}],
            },
        ],
    },
    "gemini_interactions": {
        "model": "gemini-2.5-pro",
        "generation_config": {"max_output_tokens": 5},
        "input": [
            {"type": "text", "text": "hi"},
            {"type": "function_result", "call_id": "c", "name": "f", "result": "x"},
        ],
    },
    "ollama": {
        "model": "llama3",
        "options": {"temperature": 0, "num_predict": -1},
        "messages": [
            {"role": "user", "content": "hi", "images": ["aGk="]},
            {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {}}}]},
            {"role": "tool", "tool_name": "f", "content": "x"},
        ],
    },
    "openai_completions": {"model": "m", "prompt": ["hi", [1, 2]], "suffix": "]", "max_tokens": 5},
    "openai_embeddings": {"model": "m", "input": ["hi"], "dimensions": 3},
    "openai_images": {"model": "gpt-image-1", "prompt": "hi", "n": 1, "size": "1024x1024"},
    "openai_moderations": {"model": "m", "input": [{"type": "text", "text": "hi"}]},
}
RESPONSES: list[Exchange] = [
    exchange
    for module in (chat, responses, anthropic, endpoint, cohere, gemini, ollama)
    for exchange in module.EXCHANGES
    if exchange.wire_format in PATHS and exchange.content_type in (PLAIN, SSE)
]

_DEEP: JSON = "bottom"
_DEEPER: JSON = "bottom"
for _ in range(200):
    _DEEP = [_DEEP]
for _ in range(900):
    _DEEPER = {"function": _DEEPER}
# A uint256 is what a tool of a blockchain returns; the others are what a client that was written in
# a hurry sends.
ODD: list[JSON] = [
    *(None, True, False, 0, -1, 5, 7.5, 2**63, 2**64, 2**256 - 1, -(2**64), 10**4000, 1e308),
    *(float("nan"), float("-inf"), "", "x", "\0", "\ud800", "\u202e", "9" * 400, "2026-13-01", " "),
    *([], {}, [[]], [5], [None], ["x", 5], {"a": 5}, {"": {}}, {"text": 5}, {"type": ["text"]}),
    *(
        {"\0": "\ud800"},
        {"function": 5},
        [{"function": {"name": 5, "arguments": 5}}],
        _DEEP,
        _DEEPER,
    ),
]


@dataclass(frozen=True)
class OddExchange:
    """A request and its response, which were ordinary but for a few values."""

    path: str
    request: bytes
    response: bytes
    content_type: str


def odd_exchanges(seed: int, count: int) -> Iterator[OddExchange]:
    """Yields exchanges of all formats in turn; the same ones for the same seed."""
    choose = random.Random(seed)
    for number in range(count):
        found = RESPONSES[number % len(RESPONSES)]
        request = REQUESTS[found.wire_format]
        if choose.random() < 0.7:
            request = _change(request, choose)
        change = choose.random() < 0.7
        response = _change_body(found.body, choose) if change else found.body
        yield OddExchange(PATHS[found.wire_format], _encode(request), response, found.content_type)


def replaced(value: JSON, keys: tuple[str | int, ...], odd: JSON) -> JSON:
    """Returns a copy of the JSON value in which `odd` stands at the end of the way that `keys`
    describe."""
    if not keys:
        return odd
    first, *rest = keys
    copy: Any = value.copy()
    copy[first] = replaced(value[first], tuple(rest), odd)
    return copy


def ways(value: JSON, way: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yields the way to each value inside a JSON value."""
    entries: Any = ()
    if isinstance(value, dict):
        entries = value.items()
    elif isinstance(value, list):
        entries = enumerate(value)
    for key, entry in entries:
        yield (*way, key)
        yield from ways(entry, (*way, key))


def _change(value: JSON, choose: random.Random) -> JSON:
    for _ in range(choose.choice((1, 1, 2, 4))):
        found = list(ways(value))
        if found:
            value = replaced(value, choose.choice(found), choose.choice(ODD))
    return value


def _change_body(body: bytes, choose: random.Random) -> bytes:
    """Changes the JSON of a body, or of some of its events."""
    whole = _decode(body)
    if whole is not None:
        return _encode(_change(whole, choose))
    lines = body.split(b"\n")
    events = [number for number, line in enumerate(lines) if line.startswith(b"data: {")]
    for number in choose.sample(events, min(2, len(events))):
        event = _decode(lines[number].removeprefix(b"data: "))
        if event is not None:
            lines[number] = b"data: " + _encode(_change(event, choose))
    return b"\n".join(lines)


def _decode(data: bytes) -> JSON:
    try:
        return json.loads(data)
    except ValueError:
        return None


def _encode(value: JSON) -> bytes:
    return json.dumps(value, default=str).encode()
