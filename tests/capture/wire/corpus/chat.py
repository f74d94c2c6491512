"""Chat completions of OpenAI, Azure and those that copied them."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from capture.wire.types import JSON, ParsedResponse, ParsedToolCall, Usage
from tests.capture.wire.corpus.exchanges import PLAIN, Exchange, data

DONE = b"data: [DONE]\n\n"

USAGE = {
    "prompt_tokens": 19,
    "completion_tokens": 10,
    "total_tokens": 29,
    "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 4},
}


def chunk(delta: JSON, stop: str | None = None, index: int = 0, **more: JSON) -> dict[str, JSON]:
    choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": stop}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1764000000,
        "model": "gpt-4o-2024-08-06",
        "choices": [choice],
        **more,
    }


def fragment(index: int | None, arguments: str, **more: JSON) -> dict[str, JSON]:
    """A delta with a piece of a tool call."""
    name = more.pop("name", None)
    function = {"arguments": arguments} if name is None else {"name": name, "arguments": arguments}
    call = {**more, "function": function}
    return {"tool_calls": [call if index is None else {"index": index, **call}]}


def whole(message: JSON, stop: str = "stop", **more: JSON) -> bytes:
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": stop}
    [body] = [
        {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "model": "gpt-4o-2024-08-06",
            "choices": [choice],
            "usage": USAGE,
            **more,
        }
    ]
    return data(body).removeprefix(b"data: ").rstrip()


def response(**expected: Any) -> ParsedResponse:
    """The response of most of these exchanges, except for `expected`."""
    common = {"response_model": "gpt-4o-2024-08-06", "response_id": "chatcmpl-1", "complete": True}
    return ParsedResponse(**{**common, **expected})


COUNTED = Usage(
    tokens_in=19,
    tokens_out=10,
    tokens_cache_read=0,
    tokens_reasoning=4,
    tokens_audio_in=0,
    raw=dict(USAGE),
)
PAID = {
    "prompt_tokens": 194,
    "completion_tokens": 2,
    "total_tokens": 196,
    "cost": 0.00014,
    "is_byok": False,
    "cost_details": {"upstream_inference_cost": 19},
    "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 3, "video_tokens": 0},
}
KEPT_LONG = {
    "prompt_tokens": 8,
    "completion_tokens": 1,
    "prompt_tokens_details": {
        "cache_write_tokens_details": {"ttl_30m_tokens": 4, "ttl_12h_tokens": 2}
    },
}
ALL_KINDS = {
    "prompt_tokens": 100,
    "completion_tokens": 50,
    "total_tokens": 150,
    "prompt_tokens_details": {"audio_tokens": 40, "image_tokens": 30, "text_tokens": 30},
    "completion_tokens_details": {
        "audio_tokens": 20,
        "image_tokens": 5,
        "reasoning_tokens": 10,
        "accepted_prediction_tokens": 1,
    },
}
ROLE = chunk({"role": "assistant", "content": "", "refusal": None})

EXCHANGES = [
    Exchange(
        "stream with usage",
        "openai_chat",
        data(
            ROLE,
            chunk({"content": "Grüße"}, obfuscation="x1"),
            chunk({"content": " 😀"}),
            chunk({}, "stop"),
            chunk({}) | {"choices": [], "usage": USAGE},
            DONE,
        ),
        response(content="Grüße 😀", stop_reason="stop", usage=COUNTED),
        first_content="Grüße".encode(),
    ),
    Exchange(
        "stream without [DONE] or usage, cut before the last blank line",
        "openai_chat",
        data(ROLE, chunk({"content": "Hi"}), chunk({}, "length")).removesuffix(b"\n\n"),
        response(content="Hi", stop_reason="length"),
        first_content=b'"Hi"',
    ),
    Exchange(
        "stream cut by the upstream",
        "openai_chat",
        data(ROLE, chunk({"content": "Hi"}), chunk({"content": " th"}), b'data: {"id":"chatc'),
        response(content="Hi th", complete=False, note="the last event is cut short"),
        first_content=b'"Hi"',
    ),
    Exchange(
        "two choices, interleaved",
        "openai_chat",
        data(
            chunk({"role": "assistant", "content": ""}),
            chunk({"role": "assistant", "content": ""}, index=1),
            chunk({"content": "one"}),
            chunk({"content": "two"}, index=1),
            chunk({"content": "!"}),
            chunk({}, "stop"),
            chunk({}, "length", index=1),
            chunk({}) | {"choices": [], "usage": USAGE},
            DONE,
        ),
        response(
            content="one!",
            stop_reason="stop",
            choices=[{"index": 1, "content": "two", "stop_reason": "length", "tool_calls": []}],
            usage=COUNTED,
        ),
        first_content=b'"one"',
    ),
    Exchange(
        "parallel tool calls",
        "openai_chat",
        data(
            chunk({"role": "assistant", "content": None}),
            chunk(fragment(0, "", id="call_1", type="function", name="weather")),
            chunk(fragment(0, '{"city":')),
            chunk(fragment(0, ' "Rom"}')),
            chunk(fragment(1, "", id="call_2", type="function", name="time")),
            chunk(fragment(1, "{}")),
            chunk({}, "tool_calls"),
            DONE,
        ),
        response(
            stop_reason="tool_calls",
            tool_calls=[
                ParsedToolCall("call_1", "weather", '{"city": "Rom"}'),
                ParsedToolCall("call_2", "time", "{}"),
            ],
        ),
        first_content=b'"weather"',
    ),
    Exchange(
        "parallel tool calls, all with index 0",
        "openai_chat",
        data(
            chunk(fragment(0, '{"a"', id="call_1", name="f")),
            chunk(fragment(0, ":1}", id="call_1", name="f")),
            chunk(fragment(0, '{"b"', id="call_2", name="g")),
            chunk(fragment(0, ":2}", id="")),
            chunk(fragment(0, " ", id="call_1")),
            chunk({}, "tool_calls"),
            DONE,
        ),
        response(
            stop_reason="tool_calls",
            tool_calls=[
                ParsedToolCall("call_1", "f", '{"a":1} '),
                ParsedToolCall("call_2", "g", '{"b":2}'),
            ],
        ),
        first_content=b'"call_1"',
    ),
    Exchange(
        "tool calls without index and id",
        "openai_chat",
        data(
            chunk(fragment(None, "{}", name="f")),
            chunk(fragment(None, '{"b"', name="f")),
            chunk(fragment(None, ":2}")),
            chunk({}, "tool_calls"),
        ),
        response(
            stop_reason="tool_calls",
            tool_calls=[ParsedToolCall(None, "f", "{}"), ParsedToolCall(None, "f", '{"b":2}')],
        ),
        first_content=b'"f"',
    ),
    Exchange(
        "legacy function call",
        "openai_chat",
        data(
            chunk({"role": "assistant", "content": None, "function_call": {"name": "f"}}),
            chunk({"function_call": {"arguments": '{"a"'}}),
            chunk({"function_call": {"arguments": ":1}"}}),
            chunk({}, "function_call"),
            DONE,
        ),
        response(stop_reason="function_call", tool_calls=[ParsedToolCall(None, "f", '{"a":1}')]),
        first_content=b'"f"',
    ),
    Exchange(
        "custom tool, streamed",
        "openai_chat",
        data(
            chunk(
                {"tool_calls": [{"index": 0, "id": "c1", "custom": {"name": "sh", "input": ""}}]}
            ),
            chunk({"tool_calls": [{"index": 0, "custom": {"input": "ls "}}]}),
            chunk({"tool_calls": [{"index": 0, "custom": {"input": "-l"}}]}),
            chunk({}, "tool_calls"),
            DONE,
        ),
        response(stop_reason="tool_calls", tool_calls=[ParsedToolCall("c1", "sh", "ls -l")]),
        first_content=b'"sh"',
    ),
    Exchange(
        "refusal",
        "openai_chat",
        data(ROLE, chunk({"refusal": "I can't"}), chunk({"refusal": "."}), chunk({}, "stop"), DONE),
        response(content="I can't.", stop_reason="stop"),
        first_content=b"I can't",
    ),
    Exchange(
        "DeepSeek: keep-alive comments, reasoning, cache hits",
        "openai_chat",
        data(
            b": keep-alive\n\n",
            b": keep-alive\n\n",
            chunk({"role": "assistant", "content": None, "reasoning_content": ""}),
            chunk({"content": None, "reasoning_content": "Let me "}),
            chunk({"content": None, "reasoning_content": "think"}),
            chunk({"content": "42", "reasoning_content": None}),
            chunk(
                {"content": ""},
                "stop",
                usage={
                    "prompt_tokens": 9,
                    "completion_tokens": 3,
                    "total_tokens": 12,
                    "prompt_cache_hit_tokens": 8,
                    "prompt_cache_miss_tokens": 1,
                },
            ),
            DONE,
        ),
        response(
            content="42",
            reasoning="Let me think",
            stop_reason="stop",
            usage=Usage(
                tokens_in=9,
                tokens_out=3,
                tokens_cache_read=8,
                raw={
                    "prompt_tokens": 9,
                    "completion_tokens": 3,
                    "total_tokens": 12,
                    "prompt_cache_hit_tokens": 8,
                    "prompt_cache_miss_tokens": 1,
                },
            ),
        ),
        first_content=b"Let me",
    ),
    Exchange(
        "vLLM: both names of reasoning, usage on every chunk",
        "openai_chat",
        data(
            chunk(
                {"reasoning": "hm", "reasoning_content": "hm"},
                usage={"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
            ),
            chunk(
                {"content": "yes"},
                usage={"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
            ),
            chunk({}, "stop"),
            DONE,
        ),
        response(
            content="yes",
            reasoning="hm",
            stop_reason="stop",
            usage=Usage(
                tokens_in=5,
                tokens_out=2,
                raw={"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
            ),
        ),
        first_content=b'"hm"',
    ),
    Exchange(
        "Groq: usage in x_groq",
        "openai_chat",
        data(
            chunk({"role": "assistant", "content": ""}, x_groq={"id": "req_1"}),
            chunk({"content": "Hi"}),
            chunk(
                {},
                "stop",
                x_groq={
                    "id": "req_1",
                    "usage": {"prompt_tokens": 7, "completion_tokens": 2, "total_time": 0.01},
                },
            ),
            DONE,
        ),
        response(
            content="Hi",
            stop_reason="stop",
            usage=Usage(
                tokens_in=7,
                tokens_out=2,
                raw={"prompt_tokens": 7, "completion_tokens": 2, "total_time": 0.01},
            ),
        ),
        first_content=b'"Hi"',
    ),
    Exchange(
        "Moonshot: usage in the choice",
        "openai_chat",
        data(
            {
                "id": "chatcmpl-1",
                "model": "gpt-4o-2024-08-06",
                "choices": [
                    {
                        "index": 0,
                        "delta": {"content": "Hi"},
                        "finish_reason": "stop",
                        "usage": {"prompt_tokens": 3, "completion_tokens": 1, "cached_tokens": 2},
                    }
                ],
            },
            DONE,
        ),
        response(
            content="Hi",
            stop_reason="stop",
            usage=Usage(
                tokens_in=3,
                tokens_out=1,
                tokens_cache_read=2,
                raw={"prompt_tokens": 3, "completion_tokens": 1, "cached_tokens": 2},
            ),
        ),
        first_content=b'"Hi"',
    ),
    Exchange(
        "xAI: reasoning is not in the completion tokens",
        "openai_chat",
        data(
            chunk({"content": "Hi"}, "stop"),
            {
                "choices": [],
                "usage": {
                    "prompt_tokens": 10,
                    "completion_tokens": 5,
                    "total_tokens": 115,
                    "completion_tokens_details": {"reasoning_tokens": 100},
                },
            },
            DONE,
        ),
        response(
            content="Hi",
            stop_reason="stop",
            usage=Usage(
                tokens_in=10,
                tokens_out=105,
                tokens_reasoning=100,
                raw={
                    "prompt_tokens": 10,
                    "completion_tokens": 5,
                    "total_tokens": 115,
                    "completion_tokens_details": {"reasoning_tokens": 100},
                },
            ),
        ),
        first_content=b'"Hi"',
    ),
    Exchange(
        "OpenRouter: an error in mid-stream",
        "openai_chat",
        data(
            b": OPENROUTER PROCESSING\n\n",
            chunk({"role": "assistant", "content": "Hi"}),
            chunk(
                {"content": ""},
                "error",
                error={"code": 502, "message": "Provider disconnected"},
            ),
        ),
        response(content="Hi", stop_reason="error", error="Provider disconnected"),
        first_content=b'"Hi"',
    ),
    Exchange(
        "an error event in mid-stream",
        "openai_chat",
        data(
            ROLE,
            chunk({"content": "Hi"}),
            {"error": {"message": "The server had an error", "type": "server_error", "code": None}},
        ),
        response(content="Hi", error="The server had an error"),
        first_content=b'"Hi"',
    ),
    Exchange(
        "Azure: the filter's chunks first and last",
        "openai_chat",
        data(
            {
                "id": "",
                "model": "",
                "choices": [],
                "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": {}}],
            },
            ROLE,
            chunk({"content": "Hi"}),
            chunk({}, "content_filter"),
            {"id": "", "model": "", "choices": [{"index": 0, "delta": {}, "finish_reason": None}]},
            DONE,
        ),
        response(content="Hi", stop_reason="content_filter"),
        first_content=b'"Hi"',
    ),
    Exchange(
        "Mistral: content as chunks, a whole tool call with an object",
        "openai_chat",
        data(
            chunk(
                {
                    "content": [
                        {"type": "thinking", "thinking": [{"type": "text", "text": "Hm, "}]},
                    ]
                }
            ),
            chunk({"content": [{"type": "text", "text": "Well: "}]}),
            chunk({"content": "ok"}),
            chunk(
                {
                    "tool_calls": [
                        {"id": "null", "function": {"name": "f", "arguments": {"a": [1, "ü"]}}}
                    ]
                },
                "tool_calls",
                usage={"prompt_tokens": 4, "completion_tokens": 6, "total_tokens": 10},
            ),
            DONE,
        ),
        response(
            content="Well: ok",
            reasoning="Hm, ",
            stop_reason="tool_calls",
            tool_calls=[ParsedToolCall(None, "f", '{"a":[1,"ü"]}')],
            usage=Usage(
                tokens_in=4,
                tokens_out=6,
                raw={"prompt_tokens": 4, "completion_tokens": 6, "total_tokens": 10},
            ),
        ),
        first_content=b"Hm, ",
    ),
    Exchange(
        "audio with its transcript",
        "openai_chat",
        data(
            chunk({"role": "assistant", "content": None, "audio": {"id": "a1"}}),
            chunk({"audio": {"data": "AAAA"}}),
            chunk({"audio": {"transcript": "hi "}}),
            chunk({"audio": {"transcript": "there"}}),
            chunk({"audio": {"expires_at": 1764000000}}),
            chunk({}, "stop"),
            DONE,
        ),
        response(content="hi there", stop_reason="stop"),
        first_content=b'"hi "',
    ),
    Exchange(
        "plain response",
        "openai_chat",
        whole({"role": "assistant", "content": "Hello!", "refusal": None, "annotations": []}),
        response(content="Hello!", stop_reason="stop", usage=COUNTED),
        content_type=PLAIN,
    ),
    Exchange(
        "plain response behind blank lines, called text/plain",
        "openai_chat",
        b"\n\n\n" + whole({"role": "assistant", "content": "Hello!"}),
        response(content="Hello!", stop_reason="stop", usage=COUNTED),
        content_type="text/plain",
    ),
    Exchange(
        "plain response with every kind of tool call",
        "openai_chat",
        whole(
            {
                "role": "assistant",
                "content": None,
                "reasoning_content": "Both.",
                "tool_calls": [
                    {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                    {"id": "c1", "type": "custom", "custom": {"name": "sh", "input": "ls"}},
                ],
                "function_call": {"name": "old", "arguments": "{ }"},
            },
            "tool_calls",
        ),
        response(
            reasoning="Both.",
            stop_reason="tool_calls",
            usage=COUNTED,
            tool_calls=[
                ParsedToolCall("c1", "f", "{}"),
                ParsedToolCall("c1", "sh", "ls"),
                ParsedToolCall(None, "old", "{ }"),
            ],
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "Groq, plain: x_groq counts memory, not tokens",
        "openai_chat",
        whole({"content": "Hi"}, usage=None, x_groq={"usage": {"dram_cached_tokens": 512}}),
        response(content="Hi", stop_reason="stop"),
        content_type=PLAIN,
    ),
    Exchange(
        "OpenRouter: its price on the last chunk",
        "openai_chat",
        data(
            b": OPENROUTER PROCESSING\n\n",
            chunk({"role": "assistant", "content": "Hi", "reasoning": None}),
            chunk({"content": ""}, "stop"),
            chunk({"role": "assistant", "content": ""}, None, usage=PAID),
            DONE,
        ),
        response(
            content="Hi",
            stop_reason="stop",
            usage=Usage(
                tokens_in=194,
                tokens_out=2,
                tokens_cache_read=0,
                tokens_cache_write=3,
                reported_cost_usd=Decimal("0.00014"),
                raw=PAID,
            ),
        ),
        first_content=b'"Hi"',
    ),
    Exchange(
        "OpenRouter with the agent's own key: what that pays counts too",
        "openai_chat",
        whole(
            {"content": "Hi"},
            usage={
                "prompt_tokens": 1,
                "completion_tokens": 1,
                "cost": 0.1,
                "is_byok": True,
                "cost_details": {"upstream_inference_cost": 0.2, "server_tool_cost": 0.05},
            },
        ),
        response(
            content="Hi",
            stop_reason="stop",
            usage=Usage(
                tokens_in=1,
                tokens_out=1,
                reported_cost_usd=Decimal("0.3"),
                raw={
                    "prompt_tokens": 1,
                    "completion_tokens": 1,
                    "cost": 0.1,
                    "is_byok": True,
                    "cost_details": {"upstream_inference_cost": 0.2, "server_tool_cost": 0.05},
                },
            ),
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "xAI, plain: its price in ticks",
        "openai_chat",
        whole(
            {"content": "Hi"},
            usage={"prompt_tokens": 3, "completion_tokens": 1, "cost_in_usd_ticks": 318319000},
        ),
        response(
            content="Hi",
            stop_reason="stop",
            usage=Usage(
                tokens_in=3,
                tokens_out=1,
                reported_cost_usd=Decimal("0.0318319"),
                raw={"prompt_tokens": 3, "completion_tokens": 1, "cost_in_usd_ticks": 318319000},
            ),
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "every kind of token, and the tier that was billed",
        "openai_chat",
        data(
            chunk({"content": "Hi"}, service_tier="auto"),
            chunk({}, "stop", service_tier="priority"),
            chunk({}) | {"choices": [], "usage": ALL_KINDS, "service_tier": None},
            DONE,
        ),
        response(
            content="Hi",
            stop_reason="stop",
            service_tier="priority",
            usage=Usage(
                tokens_in=100,
                tokens_out=50,
                tokens_reasoning=10,
                tokens_audio_in=40,
                tokens_audio_out=20,
                tokens_image_in=30,
                tokens_image_out=5,
                raw=ALL_KINDS,
            ),
        ),
        first_content=b'"Hi"',
    ),
    Exchange(
        "plain, cache writes by how long they are kept, asked for any tier",
        "openai_chat",
        whole({"content": "Hi"}, usage=KEPT_LONG, service_tier="auto"),
        response(
            content="Hi",
            stop_reason="stop",
            usage=Usage(tokens_in=8, tokens_out=1, tokens_cache_write=6, raw=KEPT_LONG),
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "Mistral: seconds of audio in the prompt",
        "openai_chat",
        whole(
            {"content": "Hi"},
            "model_length",
            usage={"prompt_tokens": 4, "completion_tokens": 1, "prompt_audio_seconds": 12},
        ),
        response(
            content="Hi",
            stop_reason="model_length",
            usage=Usage(
                tokens_in=4,
                tokens_out=1,
                units={"audio_seconds": 12},
                raw={"prompt_tokens": 4, "completion_tokens": 1, "prompt_audio_seconds": 12},
            ),
        ),
        content_type=PLAIN,
    ),
    Exchange(
        "llama.cpp: timings instead of usage",
        "openai_chat",
        data(
            chunk({"content": "Hi"}),
            chunk({}, "stop", timings={"cache_n": 30, "prompt_n": 6, "predicted_n": 2}),
            DONE,
        ),
        response(
            content="Hi",
            stop_reason="stop",
            usage=Usage(
                tokens_in=36,
                tokens_out=2,
                tokens_cache_read=30,
                raw={"timings": {"cache_n": 30, "prompt_n": 6, "predicted_n": 2}},
            ),
        ),
        first_content=b'"Hi"',
    ),
    Exchange(
        "llama.cpp, plain: usage counts before timings",
        "openai_chat",
        whole({"content": "Hi"}, timings={"prompt_n": 1, "predicted_n": 1}),
        response(content="Hi", stop_reason="stop", usage=COUNTED),
        content_type=PLAIN,
    ),
    Exchange(
        "vLLM: an error body of its own",
        "openai_chat",
        b'{"object":"error","message":"model not found","type":"NotFoundError","code":404}',
        ParsedResponse(error="model not found", complete=True),
        status=404,
        content_type=PLAIN,
    ),
    Exchange(
        "error body",
        "openai_chat",
        b'{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"x"}}',
        ParsedResponse(error="Rate limit reached", complete=True),
        status=429,
        content_type=PLAIN,
    ),
    Exchange(
        "plain response cut short",
        "openai_chat",
        b'{"id":"chatcmpl-1","model":"gp',
        ParsedResponse(note="response: not JSON at character 27"),
        content_type=PLAIN,
    ),
]
