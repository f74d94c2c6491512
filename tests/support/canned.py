"""Responses of the stand-in provider, as raw bytes: builders, and what it says by default."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.support.provider import Received

Step = list[Any]
Headers = Sequence[tuple[str, str]]

JSON_TYPE = [("content-type", "application/json")]
SSE_TYPE = [("content-type", "text/event-stream; charset=utf-8")]


def send(data: bytes) -> Step:
    return ["send", base64.b64encode(data).decode()]


def flood(piece: bytes, times: int) -> Step:
    return ["flood", base64.b64encode(piece).decode(), times]


# Until the test releases it: Provider.release.
HOLD: Step = ["hold"]


def sleep(seconds: float) -> Step:
    return ["sleep", seconds]


HANG: Step = ["hang"]
CLOSE: Step = ["close"]
RESET: Step = ["reset"]


def head(status: int, headers: Headers, reason: str = "Something") -> bytes:
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers)]
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


LAST_CHUNK = b"0\r\n\r\n"


def whole(body: bytes, status: int = 200, headers: Headers = JSON_TYPE) -> list[Step]:
    """A response with a content-length."""
    return [send(head(status, [*headers, ("content-length", str(len(body)))]) + body)]


def as_json(value: Any, status: int = 200, headers: Headers = JSON_TYPE) -> list[Step]:
    return whole(json.dumps(value).encode(), status, headers)


def stream(
    pieces: Iterable[bytes], *, headers: Headers = SSE_TYPE, pause: float = 0, status: int = 200
) -> list[Step]:
    """A chunked response, with a chunk for each piece."""
    steps = [send(head(status, [*headers, ("transfer-encoding", "chunked")]))]
    for piece in pieces:
        steps.append(send(chunk(piece)))
        if pause:
            steps.append(sleep(pause))
    return [*steps, send(LAST_CHUNK)]


def data_events(values: Iterable[Any], *, done: bool = True) -> list[bytes]:
    """Server-sent events as OpenAI's chat completions send them."""
    events = [b"data: " + json.dumps(value).encode() + b"\n\n" for value in values]
    return [*events, b"data: [DONE]\n\n"] if done else events


def named_events(values: Iterable[dict[str, Any]]) -> list[bytes]:
    """Server-sent events whose name is their type."""
    return [f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode() for value in values]


# --- the three APIs ---


def chat(text: str, *, model: str = "gpt-4o-2024-08-06", **message: Any) -> dict[str, Any]:
    finish = "tool_calls" if message.get("tool_calls") else "stop"
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text or None, **message},
                "finish_reason": finish,
                "logprobs": None,
            }
        ],
        "usage": {
            "prompt_tokens": 12,
            "completion_tokens": 7,
            "total_tokens": 19,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
    }


def chat_chunks(
    words: Sequence[str], *, usage: bool = True, model: str = "gpt-4o-2024-08-06"
) -> list[dict[str, Any]]:
    def one(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": model,
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }

    chunks = [one({"role": "assistant", "content": ""})]
    chunks += [one({"content": word}) for word in words]
    chunks.append(one({}, "stop"))
    if usage:
        counts = {"prompt_tokens": 12, "completion_tokens": len(words)}
        total = {"total_tokens": 12 + len(words)}
        chunks.append({**one({}), "choices": [], "usage": counts | total})
    return chunks


def message(text: str, *, stop_reason: str = "end_turn", **fields: Any) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude-opus-5-5-20261001",
        "content": [{"type": "text", "text": text}],
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 10,
            "cache_creation_input_tokens": 3,
            "cache_read_input_tokens": 5,
            "output_tokens": 6,
        },
        **fields,
    }


def message_events(words: Sequence[str]) -> list[dict[str, Any]]:
    start = message("")
    start |= {"content": [], "stop_reason": None}
    start["usage"] = {**start["usage"], "output_tokens": 1}
    return [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *(
            {
                "type": "content_block_delta",
                "index": 0,
                "delta": {"type": "text_delta", "text": word},
            }
            for word in words
        ),
        {"type": "content_block_stop", "index": 0},
        {
            "type": "message_delta",
            "delta": {"stop_reason": "end_turn", "stop_sequence": None},
            "usage": {"output_tokens": len(words)},
        },
        {"type": "message_stop"},
    ]


def response(text: str, **fields: Any) -> dict[str, Any]:
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "status": "completed",
        "model": "gpt-4o-2024-08-06",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "top_p": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "output": [
            {
                "id": "msg_1",
                "type": "message",
                "role": "assistant",
                "status": "completed",
                "content": [{"type": "output_text", "text": text, "annotations": []}],
            }
        ],
        "usage": {
            "input_tokens": 11,
            "input_tokens_details": {"cached_tokens": 2},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 1},
            "total_tokens": 16,
        },
        **fields,
    }


def response_events(words: Sequence[str]) -> list[dict[str, Any]]:
    begun = response("", status="in_progress", output=[], usage=None)
    item = {"id": "msg_1", "type": "message", "role": "assistant", "status": "in_progress"}
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    part = {"type": "output_text", "text": "", "annotations": []}
    text = "".join(words)
    done = response(text)
    events: list[dict[str, Any]] = [
        {"type": "response.created", "response": begun},
        {"type": "response.output_item.added", "output_index": 0, "item": {**item, "content": []}},
        {"type": "response.content_part.added", **place, "part": part},
        *(
            {"type": "response.output_text.delta", **place, "delta": word, "logprobs": []}
            for word in words
        ),
        {"type": "response.output_text.done", **place, "text": text, "logprobs": []},
        {"type": "response.content_part.done", **place, "part": {**part, "text": text}},
        {"type": "response.output_item.done", "output_index": 0, "item": done["output"][0]},
        {"type": "response.completed", "response": done},
    ]
    return [{**event, "sequence_number": number} for number, event in enumerate(events)]


def gemini(text: str) -> dict[str, Any]:
    content = {"role": "model", "parts": [{"text": text}]}
    return {
        "candidates": [{"index": 0, "content": content, "finishReason": "STOP"}],
        "usageMetadata": {
            "promptTokenCount": 9,
            "candidatesTokenCount": 4,
            "totalTokenCount": 13,
        },
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r1",
    }


def gemini_stream(words: Sequence[str], parsed_body: dict[str, Any]) -> list[bytes]:
    return [event.replace(b"\n", b"\r\n") for event in data_events(map(gemini, words), done=False)]


def ollama(text: str, *, done: bool = True) -> dict[str, Any]:
    response = {
        "model": "llama3.2",
        "created_at": "2026-11-24T12:00:00Z",
        "message": {"role": "assistant", "content": text},
        "done": done,
    }
    ends = {"done_reason": "stop", "total_duration": 5, "prompt_eval_count": 8, "eval_count": 3}
    return {**response, **ends} if done else response


def ollama_stream(words: Sequence[str], parsed_body: dict[str, Any]) -> list[bytes]:
    lines = [*(ollama(word, done=False) for word in words), ollama("")]
    return [json.dumps(line).encode() + b"\n" for line in lines]


def cohere(text: str) -> dict[str, Any]:
    return {
        "id": "c14c80c3",
        "finish_reason": "COMPLETE",
        "message": {"role": "assistant", "content": [{"type": "text", "text": text}]},
        "usage": {"tokens": {"input_tokens": 9, "output_tokens": 4}},
    }


def cohere_stream(words: Sequence[str], parsed_body: dict[str, Any]) -> list[bytes]:
    def delta(word: str) -> dict[str, Any]:
        message = {"content": {"text": word}}
        return {"type": "content-delta", "index": 0, "delta": {"message": message}}

    end = {"finish_reason": "COMPLETE", "usage": cohere("")["usage"]}
    return named_events([*map(delta, words), {"type": "message-end", "delta": end}])


def converse(text: str) -> dict[str, Any]:
    return {
        "output": {"message": {"role": "assistant", "content": [{"text": text}]}},
        "stopReason": "end_turn",
        "usage": {"inputTokens": 9, "outputTokens": 4, "totalTokens": 13},
        "metrics": {"latencyMs": 5},
    }


# --- what is said when nothing is programmed ---


def chat_stream(words: Sequence[str], parsed_body: dict[str, Any]) -> list[bytes]:
    wants_usage = (parsed_body.get("stream_options") or {}).get("include_usage") is True
    return data_events(chat_chunks(words, usage=wants_usage))


def message_stream(words: Sequence[str], parsed_body: dict[str, Any]) -> list[bytes]:
    return named_events(message_events(words))


def response_stream(words: Sequence[str], parsed_body: dict[str, Any]) -> list[bytes]:
    return named_events(response_events(words))


Plain = Callable[[str], dict[str, Any]]
Streamed = Callable[[Sequence[str], dict[str, Any]], list[bytes]]
APIS: tuple[tuple[str, Plain, Streamed | None], ...] = (
    ("/chat/completions", chat, chat_stream),
    ("/v1/messages", message, message_stream),
    ("/responses", response, response_stream),
    (":generateContent", gemini, gemini_stream),
    (":streamGenerateContent", gemini, gemini_stream),
    ("/api/chat", ollama, ollama_stream),
    ("/v2/chat", cohere, cohere_stream),
    ("/converse", converse, None),
    ("/invoke", message, None),
)


def steps(method: str, target: str, request: Received) -> list[Step]:
    path = target.partition("?")[0]
    if method == "POST":
        for suffix, plain, streamed in APIS:
            if path.endswith(suffix):
                # A body too long to be kept is not understood, only received.
                parsed_body = json.loads(request.body) if len(request.body) == request.size else {}
                text = f"echo: {last_text(parsed_body)}"
                if streamed and parsed_body.get("stream"):
                    return stream(streamed(text.split(" "), parsed_body))
                return as_json(plain(text))
    return echo(method, request)


def last_text(parsed_body: dict[str, Any]) -> str:
    history = parsed_body.get("messages") or parsed_body.get("input") or parsed_body.get("contents")
    if isinstance(history, str):
        return history
    last = history[-1] if history else {}
    content = last.get("content", last.get("parts", ""))
    return content if isinstance(content, str) else json.dumps(content)


def echo(method: str, request: Received) -> list[Step]:
    facts = {
        "line": request.line,
        "headers": request.headers,
        "size": request.size,
        "sha256": request.sha256,
    }
    body = json.dumps(facts).encode()
    fields = [*JSON_TYPE, ("content-length", str(len(body)))]
    return [send(head(200, fields, "OK") + (b"" if method == "HEAD" else body))]
