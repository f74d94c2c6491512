"""Gemini: generateContent as events and as an array, embeddings, counting, Interactions."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from capture.wire.types import JSON, ParsedResponse, ParsedToolCall, Usage
from tests.capture.wire.corpus.exchanges import PLAIN, Exchange, compact

PROMPT = {"promptTokenCount": 8, "totalTokenCount": 8}
USAGE = {
    "promptTokenCount": 8,
    "candidatesTokenCount": 12,
    "totalTokenCount": 20,
    "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 8}],
}


def candidate(*parts: JSON, stop: str | None = None, **more: JSON) -> dict[str, JSON]:
    found: dict[str, JSON] = {"content": {"parts": list(parts), "role": "model"}, **more}
    return {**found, "finishReason": stop} if stop else found


def chunk(*candidates: JSON, usage: JSON = PROMPT, **more: JSON) -> dict[str, JSON]:
    return {
        "candidates": list(candidates),
        "usageMetadata": usage,
        "modelVersion": "gemini-2.5-flash",
        "responseId": "r1",
        **more,
    }


def events(*chunks: JSON) -> bytes:
    """As Google's server writes them: with \\r\\n, without names; what is bytes as it is."""
    return b"".join(
        some if isinstance(some, bytes) else b"data: " + compact(some) + b"\r\n\r\n"
        for some in chunks
    )


def array(*chunks: JSON) -> bytes:
    """An array as Google's server writes it: on several lines, with one before each comma."""
    found = [json.dumps(some, indent=2, ensure_ascii=False).encode() for some in chunks]
    return b"[" + b"\n,\r\n".join(found) + b"\n]\n"


def response(**expected: Any) -> ParsedResponse:
    common = {"response_model": "gemini-2.5-flash", "response_id": "r1", "complete": True}
    return ParsedResponse(**{**common, **expected})


def call(name: str, args: JSON = None, **more: JSON) -> dict[str, JSON]:
    return {"functionCall": {"name": name, **({} if args is None else {"args": args}), **more}}


COUNTED = Usage(tokens_in=8, tokens_out=12, raw=USAGE)
ERROR = {
    "error": {
        "code": 429,
        "message": "Quota exceeded {for} metric",
        "status": "RESOURCE_EXHAUSTED",
        "details": [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "3s"}],
    }
}
TEXT = [
    chunk(candidate({"text": "Hello"}, index=0)),
    chunk(candidate({"text": ', "wörld} \u2028\\'}, index=0)),
    chunk(candidate({"text": ""}, index=0, stop="STOP"), usage=USAGE),
]
LONG_USAGE = {
    "promptTokenCount": 1_000,
    "cachedContentTokenCount": 800,
    "candidatesTokenCount": 30,
    "thoughtsTokenCount": 70,
    "toolUsePromptTokenCount": 50,
    "totalTokenCount": 1_150,
    "promptTokensDetails": [
        {"modality": "TEXT", "tokenCount": 300},
        {"modality": "AUDIO", "tokenCount": 600},
        {"modality": "IMAGE", "tokenCount": 100},
    ],
    "cacheTokensDetails": [{"modality": "AUDIO", "tokenCount": 600}],
    "toolUsePromptTokensDetails": [{"modality": "IMAGE", "tokenCount": 50}],
    "candidatesTokensDetails": [
        {"modality": "TEXT", "tokenCount": 10},
        {"modality": "IMAGE", "tokenCount": 20},
    ],
}
THOUGHTS = [
    chunk(candidate({"text": "Let me ", "thought": True})),
    chunk(candidate({"text": "see.", "thought": True}, {"text": "", "thoughtSignature": "EqQB"})),
    chunk(candidate({"text": "Looking."}, call("weather", {"city": "Rom"}, id="call_1"))),
    chunk(
        candidate(call("weather", {"city": "Köln"}), call("now")), usage={"thoughtsTokenCount": 9}
    ),
    chunk(
        candidate(stop="STOP"),
        usage={"promptTokenCount": 9, "candidatesTokenCount": 5, "thoughtsTokenCount": None},
    ),
]
THOUGHT = {
    "content": "Looking.",
    "reasoning": "Let me see.",
    "stop_reason": "STOP",
    "tool_calls": [
        ParsedToolCall("call_1", "weather", '{"city":"Rom"}'),
        ParsedToolCall(None, "weather", '{"city":"Köln"}'),
        ParsedToolCall(None, "now", "{}"),
    ],
    "usage": Usage(
        tokens_in=9,
        tokens_out=14,
        tokens_reasoning=9,
        raw={
            "promptTokenCount": 9,
            "totalTokenCount": 8,
            "thoughtsTokenCount": 9,
            "candidatesTokenCount": 5,
        },
    ),
}
BLOCKED = {
    "promptFeedback": {"blockReason": "PROHIBITED_CONTENT", "safetyRatings": []},
    "usageMetadata": PROMPT,
    "modelVersion": "gemini-2.5-flash",
    "responseId": "r1",
}
PROMPT_COUNTED = Usage(tokens_in=8, raw=PROMPT)

GENERATED = [
    Exchange(
        "text",
        "gemini",
        events(*TEXT),
        response(content='Hello, "wörld} \u2028\\', stop_reason="STOP", usage=COUNTED),
        first_content=b"Hello",
    ),
    Exchange(
        "text, as an array",
        "gemini",
        array(*TEXT),
        response(content='Hello, "wörld} \u2028\\', stop_reason="STOP", usage=COUNTED),
        first_content=b"Hello",
        content_type="application/json; charset=UTF-8",
    ),
    Exchange("thoughts and calls", "gemini", events(*THOUGHTS), response(**THOUGHT), b"Let me"),
    Exchange(
        "thoughts and calls, as an array",
        "gemini",
        array(*THOUGHTS),
        response(**THOUGHT),
        first_content=b"Let me",
        content_type=PLAIN,
    ),
    Exchange(
        "blocked prompt",
        "gemini",
        events(BLOCKED),
        response(stop_reason="PROHIBITED_CONTENT", usage=PROMPT_COUNTED),
    ),
    Exchange(
        "blocked prompt, whole",
        "gemini",
        compact(BLOCKED),
        response(stop_reason="PROHIBITED_CONTENT", usage=PROMPT_COUNTED),
        content_type=PLAIN,
    ),
    Exchange(
        "two candidates in turns",
        "gemini",
        events(
            chunk(candidate({"text": "One"}, index=0), candidate({"text": "Eins"}, index=1)),
            chunk(candidate({"text": ", zwei"}, index=1, stop="MAX_TOKENS")),
            chunk(candidate({"text": ", two"}, index=0, stop="STOP"), usage=USAGE),
        ),
        response(
            content="One, two",
            stop_reason="STOP",
            choices=[
                {
                    "index": 1,
                    "content": "Eins, zwei",
                    "stop_reason": "MAX_TOKENS",
                    "tool_calls": [],
                }
            ],
            usage=COUNTED,
        ),
        first_content=b"One",
    ),
    Exchange(
        "code that Google runs",
        "gemini",
        events(
            chunk(candidate({"executableCode": {"language": "PYTHON", "code": "print(1)"}})),
            chunk(candidate({"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "1"}})),
            chunk(candidate({"text": "It is 1."}, stop="STOP"), usage=USAGE),
        ),
        response(
            content="It is 1.",
            stop_reason="STOP",
            tool_calls=[
                ParsedToolCall(None, "code_execution", '{"language":"PYTHON","code":"print(1)"}')
            ],
            usage=COUNTED,
        ),
        first_content=b"print(1)",
    ),
    Exchange(
        "malformed call",
        "gemini",
        events(
            chunk({"finishReason": "MALFORMED_FUNCTION_CALL", "finishMessage": "Malformed: x("})
        ),
        response(stop_reason="MALFORMED_FUNCTION_CALL", usage=PROMPT_COUNTED),
    ),
    Exchange(
        "call whose arguments come one by one",
        "gemini",
        events(
            chunk(candidate(call("book", id="c1", willContinue=True))),
            chunk(
                candidate(
                    call(
                        "",
                        willContinue=True,
                        partialArgs=[
                            {"jsonPath": "$.city", "stringValue": "New ", "willContinue": True}
                        ],
                    )
                )
            ),
            chunk(
                candidate(
                    {
                        "functionCall": {
                            "partialArgs": [
                                {"jsonPath": "$.city", "stringValue": "York"},
                                {"jsonPath": "$.who[0].name", "stringValue": "Ann"},
                                {"jsonPath": "$.who[1].name", "stringValue": "Bob"},
                                {"jsonPath": "$['n o']", "numberValue": 2},
                                {"jsonPath": "$.late", "boolValue": False},
                                {"jsonPath": "$.note", "nullValue": "NULL_VALUE"},
                            ],
                            "willContinue": True,
                        }
                    }
                )
            ),
            chunk(candidate({"functionCall": {}})),
            chunk(
                candidate(call("now", {}), stop="STOP"),
                usage={"promptTokenCount": 3, "trafficType": "ON_DEMAND_PRIORITY"},
            ),
        ),
        response(
            stop_reason="STOP",
            tool_calls=[
                ParsedToolCall(
                    "c1",
                    "book",
                    '{"city":"New York","who":[{"name":"Ann"},{"name":"Bob"}],'
                    '"n o":2,"late":false,"note":null}',
                ),
                ParsedToolCall(None, "now", "{}"),
            ],
            service_tier="priority",
            usage=Usage(
                tokens_in=3,
                raw={**PROMPT, "promptTokenCount": 3, "trafficType": "ON_DEMAND_PRIORITY"},
            ),
        ),
        first_content=b'"book"',
    ),
    Exchange(
        "grounded by searches",
        "gemini",
        events(
            chunk(candidate({"text": "Rome"}), modelVersion="gemini-3-pro-preview"),
            chunk(
                candidate(stop="STOP", groundingMetadata={"webSearchQueries": ["a", "b"]}),
                usage={**USAGE, "serviceTier": "standard"},
                modelVersion="gemini-3-pro-preview",
            ),
        ),
        response(
            response_model="gemini-3-pro-preview",
            content="Rome",
            stop_reason="STOP",
            service_tier="standard",
            usage=Usage(
                tokens_in=8,
                tokens_out=12,
                units={"web_searches": 2},
                raw={**USAGE, "serviceTier": "standard"},
            ),
        ),
        first_content=b"Rome",
    ),
    Exchange(
        "error in mid-stream on lines of its own",
        "gemini",
        events(TEXT[0], json.dumps(ERROR, indent=2).encode() + b"\n"),
        response(content="Hello", usage=PROMPT_COUNTED, error="Quota exceeded {for} metric"),
        first_content=b"Hello",
    ),
    Exchange(
        "error in mid-stream as an event",
        "gemini",
        events(TEXT[0], ERROR),
        response(content="Hello", usage=PROMPT_COUNTED, error="Quota exceeded {for} metric"),
        first_content=b"Hello",
    ),
    Exchange(
        "error in mid-array",
        "gemini",
        array(TEXT[0], ERROR),
        response(content="Hello", usage=PROMPT_COUNTED, error="Quota exceeded {for} metric"),
        first_content=b"Hello",
        content_type=PLAIN,
    ),
    Exchange(
        "end of a gateway's stream",
        "gemini",
        events(TEXT[0], b"data: [DONE]\r\n\r\n"),
        response(content="Hello", usage=PROMPT_COUNTED),
        first_content=b"Hello",
    ),
    Exchange(
        "error body",
        "gemini",
        json.dumps(ERROR, indent=2).encode(),
        ParsedResponse(error="Quota exceeded {for} metric", complete=True),
        status=429,
        content_type=PLAIN,
    ),
    Exchange(
        "error body of an array",
        "gemini",
        array(ERROR),
        ParsedResponse(error="Quota exceeded {for} metric", complete=True),
        status=429,
        content_type=PLAIN,
    ),
    Exchange(
        "whole, every kind of token",
        "gemini",
        json.dumps(
            chunk(candidate({"text": "Hi"}, stop="MAX_TOKENS"), usage=LONG_USAGE), indent=2
        ).encode(),
        response(
            content="Hi",
            stop_reason="MAX_TOKENS",
            usage=Usage(
                tokens_in=1_050,
                tokens_out=100,
                tokens_cache_read=800,
                tokens_reasoning=70,
                tokens_audio_in=600,
                tokens_image_in=150,
                tokens_image_out=20,
                units={"cache_audio_read_tokens": 600, "cache_image_read_tokens": 0},
                raw=LONG_USAGE,
            ),
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "whole, candidates without numbers",
        "gemini",
        compact(chunk(candidate({"text": "a"}, stop="STOP"), candidate(stop="SAFETY"), usage={})),
        response(
            content="a",
            stop_reason="STOP",
            choices=[{"index": 1, "content": None, "stop_reason": "SAFETY", "tool_calls": []}],
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "embeddings",
        "gemini_embeddings",
        compact({"embeddings": [{"values": [0.1]}], "usageMetadata": {"promptTokenCount": 4}}),
        ParsedResponse(usage=Usage(tokens_in=4, raw={"promptTokenCount": 4}), complete=True),
        content_type=PLAIN,
    ),
    Exchange(
        "counted",
        "gemini_count_tokens",
        compact({"totalTokens": 31, "promptTokensDetails": []}),
        ParsedResponse(usage=Usage(tokens_in=31, raw={"totalTokens": 31}), complete=True),
        content_type=PLAIN,
    ),
]


def event(name: str, **more: JSON) -> dict[str, JSON]:
    return {"event_type": name, **more}


def interaction_events(*some: JSON) -> bytes:
    """Events that have their `event_type` as their name."""
    return b"".join(
        b"event: " + one["event_type"].encode() + b"\ndata: " + compact(one) + b"\n\n"
        for one in some
    )


def step(index: int, kind: str, **more: JSON) -> dict[str, JSON]:
    return event("step.start", index=index, step={"type": kind, **more})


def delta(index: int, kind: str, **more: JSON) -> dict[str, JSON]:
    return event("step.delta", index=index, delta={"type": kind, **more})


def stop(index: int, **more: JSON) -> dict[str, JSON]:
    return event("step.stop", index=index, **more)


def thought(index: int, piece: str) -> dict[str, JSON]:
    return delta(index, "thought_summary", content={"type": "text", "text": piece})


def completed(status: str = "completed", **more: JSON) -> dict[str, JSON]:
    return event("interaction.completed", interaction={"id": "int_1", "status": status, **more})


CREATED = event(
    "interaction.created",
    interaction={"id": "int_1", "status": "in_progress", "model": "gemini-3-pro-preview"},
)
INTERACTION_USAGE = {
    "total_input_tokens": 20,
    "total_cached_tokens": 4,
    "total_output_tokens": 6,
    "total_thought_tokens": 10,
    "total_tool_use_tokens": 5,
    "total_tokens": 41,
    "input_tokens_by_modality": [
        {"modality": "text", "tokens": 12},
        {"modality": "audio", "tokens": 8},
    ],
    "output_tokens_by_modality": [{"modality": "text", "tokens": 6}],
    "grounding_tool_count": [{"type": "google_search", "count": 2}],
}
INTERACTION_COUNTED = Usage(
    tokens_in=25,
    tokens_out=16,
    tokens_cache_read=4,
    tokens_reasoning=10,
    tokens_audio_in=8,
    units={"web_searches": 2, "grounding_tokens": 5},
    raw=INTERACTION_USAGE,
)
STEPS = [
    {"type": "user_input", "content": [{"type": "text", "text": "Hi"}]},
    {"type": "thought", "signature": "x", "summary": [{"type": "text", "text": "Let me see."}]},
    {"type": "google_search_call", "id": "g1", "arguments": {"queries": ["rome"]}},
    {"type": "model_output", "content": [{"type": "text", "text": "Looking."}]},
    {"type": "function_call", "id": "f1", "name": "weather", "arguments": {"city": "Rom"}},
    {"type": "function_call", "id": "f2", "name": "now", "arguments": {}},
]


def interaction(**expected: Any) -> ParsedResponse:
    common = {
        "response_model": "gemini-3-pro-preview",
        "response_id": "int_1",
        "complete": True,
        "stop_reason": "completed",
    }
    return ParsedResponse(**{**common, **expected})


INTERACTIONS = [
    Exchange(
        "thought, text and calls",
        "gemini_interactions",
        interaction_events(
            CREATED,
            event("interaction.status_update", interaction_id="int_1", status="in_progress"),
            step(0, "thought"),
            thought(0, "Let me "),
            thought(0, "see."),
            delta(0, "thought_signature", signature="EqQB"),
            stop(0),
            step(1, "model_output"),
            delta(1, "text", text="Look"),
            delta(1, "text", text="ing."),
            delta(1, "text_annotation_delta", annotations=[]),
            stop(1),
            step(2, "function_call", id="f1", name="weather", arguments={}),
            delta(2, "arguments_delta", arguments='{"city":'),
            delta(2, "arguments_delta", arguments=' "Rom"}'),
            stop(2),
            step(3, "function_call", id="f2", name="now", arguments={}),
            stop(3),
            step(4, "code_execution_call", id="c1", arguments={"code": "1"}),
            stop(4, usage={"total_input_tokens": 20}),
            completed("requires_action", usage=INTERACTION_USAGE, service_tier="flex"),
        ),
        interaction(
            content="Looking.",
            reasoning="Let me see.",
            tool_calls=[
                ParsedToolCall("f1", "weather", '{"city": "Rom"}'),
                ParsedToolCall("f2", "now", "{}"),
            ],
            stop_reason="requires_action",
            service_tier="flex",
            usage=replace(  # the code's results are billed, what the searches found is not
                INTERACTION_COUNTED, units={"web_searches": 2, "unsplit_tool_tokens": 5}
            ),
        ),
        first_content=b'"Let me "',
    ),
    Exchange(
        "deltas of steps that never began",
        "gemini_interactions",
        interaction_events(CREATED, delta(0, "text", text="Hi"), completed()),
        interaction(content="Hi"),
        first_content=b'"Hi"',
    ),
    Exchange(
        "all steps at the end",
        "gemini_interactions",
        interaction_events(CREATED, completed(steps=STEPS, usage=INTERACTION_USAGE)),
        interaction(
            content="Looking.",
            reasoning="Let me see.",
            tool_calls=[
                ParsedToolCall("f1", "weather", '{"city":"Rom"}'),
                ParsedToolCall("f2", "now", "{}"),
            ],
            usage=INTERACTION_COUNTED,
        ),
        first_content=b"Looking.",
    ),
    Exchange(
        "error event",
        "gemini_interactions",
        interaction_events(
            CREATED,
            delta(0, "text", text="Hi"),
            event("error", error={"code": "resource_exhausted", "message": "quota exceeded"}),
        ),
        interaction(content="Hi", stop_reason=None, error="quota exceeded"),
        first_content=b'"Hi"',
    ),
    Exchange(
        "failed at the end",
        "gemini_interactions",
        interaction_events(
            CREATED,
            event(
                "step.delta",
                index=0,
                delta={"type": "text", "text": "Hi"},
                metadata={"total_usage": {"total_input_tokens": 3}},
            ),
            completed("failed", errors=[{"code": "internal", "message": "broke"}]),
        ),
        interaction(
            content="Hi",
            stop_reason="failed",
            error="broke",
            usage=Usage(tokens_in=3, raw={"total_input_tokens": 3}),
        ),
        first_content=b'"Hi"',
    ),
    Exchange(
        "whole",
        "gemini_interactions",
        compact(
            {
                "id": "int_1",
                "object": "interaction",
                "model": "gemini-3-pro-preview",
                "status": "completed",
                "steps": STEPS,
                "usage": INTERACTION_USAGE,
            }
        ),
        interaction(
            content="Looking.",
            reasoning="Let me see.",
            tool_calls=[
                ParsedToolCall("f1", "weather", '{"city":"Rom"}'),
                ParsedToolCall("f2", "now", "{}"),
            ],
            usage=INTERACTION_COUNTED,
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "whole, in the background",
        "gemini_interactions",
        compact({"id": "int_1", "model": "gemini-3-pro-preview", "status": "queued"}),
        interaction(stop_reason="queued", is_pending=True),
        content_type=PLAIN,
    ),
    Exchange(
        "whole, failed",
        "gemini_interactions",
        compact(
            {
                "id": "int_1",
                "status": "failed",
                "steps": [{"type": "model_output", "error": {"code": 13, "message": "broke"}}],
            }
        ),
        interaction(response_model=None, stop_reason="failed", error="broke"),
        content_type=PLAIN,
    ),
    Exchange(
        "error body",
        "gemini_interactions",
        compact({"error": {"code": "invalid_request", "message": "no such model"}}),
        ParsedResponse(error="no such model", complete=True),
        status=404,
        content_type=PLAIN,
    ),
]

EXCHANGES = [*GENERATED, *INTERACTIONS]
