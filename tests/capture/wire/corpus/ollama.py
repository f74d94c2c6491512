"""Ollama's chat, generate and embeddings."""

from __future__ import annotations

from typing import Any

from capture.wire.types import JSON, ParsedResponse, ParsedToolCall, Usage
from tests.capture.wire.corpus.exchanges import LINES, PLAIN, Exchange, compact

TIMES: dict[str, JSON] = {
    "total_duration": 4_883_583_458,
    "load_duration": 1_334_875,
    "prompt_eval_count": 26,
    "prompt_eval_duration": 342_546_000,
    "eval_count": 298,
    "eval_duration": 4_535_599_000,
}
COUNTED = Usage(tokens_in=26, tokens_out=298, raw=TIMES)


def line(**more: JSON) -> dict[str, JSON]:
    return {"model": "llama3.2", "created_at": "2026-11-24T10:00:00Z", "done": False, **more}


def message(content: str, **more: JSON) -> dict[str, JSON]:
    return line(message={"role": "assistant", "content": content, **more})


def done(reason: str | None = "stop", **more: JSON) -> dict[str, JSON]:
    return line(done=True, **({"done_reason": reason} if reason else {}), **more)


def lines(*pieces: JSON) -> bytes:
    return b"".join(compact(piece) + b"\n" for piece in pieces)


def call(name: str, arguments: JSON, **more: JSON) -> dict[str, JSON]:
    return {**more, "function": {"name": name, "arguments": arguments}}


def response(**expected: Any) -> ParsedResponse:
    common = {"response_model": "llama3.2", "complete": True, "stop_reason": "stop"}
    return ParsedResponse(**{**common, **expected})


EMPTY = {"role": "assistant", "content": ""}

EXCHANGES = [
    Exchange(
        "chat",
        "ollama",
        lines(message("Hello"), message(", wörld"), done(message=EMPTY, **TIMES)),
        response(content="Hello, wörld", usage=COUNTED),
        first_content=b"Hello",
        content_type=LINES,
    ),
    Exchange(
        "chat, thinking, then calls",
        "ollama",
        lines(
            message("", thinking="Let me "),
            message("", thinking="see"),
            message("Looking.", tool_calls=[call("weather", {"city": "Rom"})]),
            message(
                "",
                tool_calls=[
                    {
                        "id": "call_1",
                        "function": {"index": 0, "name": "weather", "arguments": {"city": "Köln"}},
                    },
                    call("now", {}),
                ],
            ),
            done(message=EMPTY, **TIMES),
        ),
        response(
            content="Looking.",
            reasoning="Let me see",
            tool_calls=[
                ParsedToolCall(None, "weather", '{"city":"Rom"}'),
                ParsedToolCall("call_1", "weather", '{"city":"Köln"}'),
                ParsedToolCall(None, "now", "{}"),
            ],
            usage=COUNTED,
        ),
        first_content=b"Let me",
        content_type=LINES,
    ),
    Exchange(
        "generate, cut off by num_predict",
        "ollama",
        lines(
            line(response="", thinking="Hm."),
            line(response="Once"),
            line(response=" upon"),
            done("length", response="", context=[1, 2, 3], **TIMES),
        ),
        response(content="Once upon", reasoning="Hm.", stop_reason="length", usage=COUNTED),
        first_content=b"Hm.",
        content_type=LINES,
    ),
    Exchange(
        "prompt out of the cache",
        "ollama",
        lines(message("Hi"), done(None, message=EMPTY, eval_count=0, total_duration=5)),
        response(
            content="Hi",
            stop_reason=None,
            usage=Usage(tokens_out=0, raw={"eval_count": 0, "total_duration": 5}),
        ),
        first_content=b"Hi",
        content_type=LINES,
    ),
    Exchange(
        "error in mid-stream",
        "ollama",
        lines(message("Hel"), {"error": "an error was encountered while running the model"}),
        response(
            content="Hel",
            stop_reason=None,
            error="an error was encountered while running the model",
        ),
        first_content=b"Hel",
        content_type=LINES,
    ),
    Exchange(
        "lines that are labelled as one object",
        "ollama",
        lines(message("Hi"), done(message=EMPTY, **TIMES)),
        response(content="Hi", usage=COUNTED),
        first_content=b"Hi",
        content_type="application/json; charset=utf-8",
    ),
    Exchange(
        "load only",
        "ollama",
        compact(done("load", message=EMPTY)),
        response(stop_reason="load"),
        content_type=PLAIN,
    ),
    Exchange(
        "unload only",
        "ollama",
        compact(done("unload", response="")),
        response(stop_reason="unload"),
        content_type=PLAIN,
    ),
    Exchange(
        "chat, whole",
        "ollama",
        compact(
            done(
                message={
                    "role": "assistant",
                    "content": "Hi",
                    "thinking": "Hm.",
                    "tool_calls": [call("now", {})],
                },
                **TIMES,
            )
        ),
        response(
            content="Hi",
            reasoning="Hm.",
            tool_calls=[ParsedToolCall(None, "now", "{}")],
            usage=COUNTED,
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "generate, whole",
        "ollama",
        compact(done(response="Hi", context=[1], **TIMES)),
        response(content="Hi", usage=COUNTED),
        content_type=PLAIN,
    ),
    Exchange(
        "embed",
        "ollama",
        compact({"model": "nomic", "embeddings": [[0.1]], "prompt_eval_count": 8}),
        response(
            response_model="nomic",
            stop_reason=None,
            usage=Usage(tokens_in=8, raw={"prompt_eval_count": 8}),
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "embeddings, the old way",
        "ollama",
        compact({"embedding": [0.1, 0.2]}),
        ParsedResponse(complete=True),
        content_type=PLAIN,
    ),
    Exchange(
        "error body",
        "ollama",
        compact({"error": "model 'x' not found"}),
        ParsedResponse(error="model 'x' not found", complete=True),
        status=404,
        content_type=PLAIN,
    ),
]
