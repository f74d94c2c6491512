"""What a response is billed beside tokens, as the wire tells it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from capture.wire.formats.openai import chat, responses
from capture.wire.types import ParsedResponse

JSON_TYPE = "application/json"
SSE_TYPE = "text/event-stream"
TOKENS = {"input_tokens": 10, "output_tokens": 2, "total_tokens": 12}
MESSAGE = {
    "type": "message",
    "role": "assistant",
    "content": [{"type": "output_text", "text": "ok"}],
}


def item(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "status": "completed", **more}


def search(action: Any = None, **more: Any) -> dict[str, Any]:
    return item("web_search_call", **({"action": action} if action else {}), **more)


SEARCH = search({"type": "search", "query": "q", "queries": ["q", "r"]})


def response(output: list[Any], **more: Any) -> dict[str, Any]:
    return {"id": "r", "status": "completed", "model": "m", "output": output, **more}


def units_of(parsed: ParsedResponse) -> dict[str, float] | None:
    return parsed.usage.units if parsed.usage else None


def of_response(body: dict[str, Any]) -> dict[str, float] | None:
    return units_of(
        responses.parse_response(json.dumps(body).encode(), status=200, content_type=JSON_TYPE)
    )


def of_stream(*events: dict[str, Any]) -> dict[str, float] | None:
    body = "".join(f"event: {e['type']}\ndata: {json.dumps(e)}\n\n" for e in events).encode()
    return units_of(responses.parse_response(body, status=200, content_type=SSE_TYPE))


def of_chat(body: dict[str, Any]) -> dict[str, float] | None:
    return units_of(
        chat.parse_response(json.dumps(body).encode(), status=200, content_type=JSON_TYPE)
    )


CONTAINER = {"type": "container_reference", "container_id": "c1"}


@pytest.mark.parametrize(
    ("output", "more", "units"),
    [
        pytest.param([SEARCH, SEARCH, MESSAGE], {}, {"web_searches": 2}, id="searches"),
        pytest.param(
            [
                SEARCH,
                search({"type": "open_page", "url": "u"}),
                search({"type": "find_in_page", "pattern": "p"}),
                search({"type": "find", "pattern": "p"}),
                search({"type": "search"}, status="failed"),
                search(),
            ],
            {},
            {"web_searches": 2},
            id="only searches, and calls without an action",
        ),
        pytest.param(
            [SEARCH],
            {"tools": [{"type": "web_search_preview_2025_03_11"}]},
            {"web_searches": 1, "preview_web_searches": 1},
            id="the older tool",
        ),
        pytest.param(
            [SEARCH], {"tools": [{"type": "web_search"}]}, {"web_searches": 1}, id="the newer tool"
        ),
        pytest.param(
            [SEARCH],
            {"tool_usage": {"web_search": {"num_requests": 4}}},
            {"web_searches": 4},
            id="what is counted apart is what is billed",
        ),
        pytest.param(
            [item("file_search_call", queries=["a", "b"]), item("file_search_call")],
            {},
            {"storage_searches": 2},
            id="file searches",
        ),
        pytest.param(
            [
                item("code_interpreter_call", container_id="c1"),
                item("code_interpreter_call", container_id="c1"),
                item("code_interpreter_call", container_id="c2"),
                item("shell_call", environment=CONTAINER, action={"commands": ["ls"]}),
                item("shell_call", environment={"type": "local"}, action={"commands": ["ls"]}),
                item("shell_call", environment=None, action={"commands": ["ls"]}),
            ],
            {},
            {"container_sessions": 2},
            id="several calls in one container are one session",
        ),
        pytest.param(
            [item("image_generation_call", result="x")],
            {},
            {"generated_images": 1},
            id="an image without usage",
        ),
        pytest.param(
            [item("image_generation_call", result="x")],
            {
                "tools": [{"type": "image_generation", "model": "gpt-image-1"}],
                "tool_usage": {"image_gen": {"input_tokens": 5, "output_tokens": 9}},
            },
            {"image_gen_tokens_in": 5, "image_gen_tokens_out": 9},
            id="an image with usage",
        ),
        pytest.param(
            [item("mcp_call"), item("mcp_list_tools"), item("computer_call"), MESSAGE],
            {"tools": [{"type": "web_search"}, {"type": "code_interpreter"}]},
            {},
            id="what is free, and what was not used",
        ),
        pytest.param(
            [SEARCH, 3, None, {"type": ["web_search_call"]}, search("x"), search([1])],
            {"tools": "web_search_preview", "tool_usage": [1]},
            {"web_searches": 3},
            id="odd types",
        ),
    ],
)
def test_items_of_the_output_are_counted(
    output: list[Any], more: dict[str, Any], units: dict[str, float]
) -> None:
    assert of_response(response(output, usage=TOKENS, **more)) == units


@pytest.mark.parametrize(
    ("usage", "units"),
    [
        pytest.param(
            {"server_side_tool_usage_details": {"web_search_calls": 2, "x_search_calls": 0}},
            {"web_searches": 2},
            id="xAI counts them",
        ),
        pytest.param(
            {
                "num_sources_used": 4,
                "num_server_side_tools_used": 8,
                "server_side_tool_usage_details": {
                    "x_search_calls": 1,
                    "code_interpreter_calls": 1,
                    "file_search_calls": 1,
                    "mcp_calls": 1,
                    "document_search_calls": 1,
                    "image_generation_calls": 1,
                    "new_tool_calls": 1,
                },
            },
            {
                "social_searches": 1,
                "code_executions": 1,
                "storage_searches": 1,
                "attachment_searches": 1,
                "generated_images": 1,
                "other_tool_calls": 1,
            },
            id="each of xAI's tools",
        ),
        pytest.param(
            {"server_side_tool_usage_details": {"x_search_calls": 2, "x_posts_fetched": 30}},
            {"x_posts": 30},
            id="posts of X are billed in place of its searches",
        ),
        pytest.param(
            {
                "server_side_tool_usage": {"SERVER_SIDE_TOOL_WEB_SEARCH": 3},
                "server_side_tool_usage_details": {"web_search_calls": 3},
            },
            {"web_searches": 3},
            id="the same calls twice",
        ),
        pytest.param(
            {"num_server_side_tools_used": 2},
            {"web_searches": 1, "other_tool_calls": 2},
            id="tools without their names",
        ),
        pytest.param(
            {
                "tool_calls_details": {
                    "search_web": {"invocation": 2},
                    "fetch_url": {"invocation": 1},
                }
            },
            {"web_searches": 2, "page_visits": 1},
            id="Perplexity's agents",
        ),
        pytest.param(
            {"x_tools": {"web_search": {"count": 1}, "code_interpreter": {"count": 2}}},
            {"web_searches": 1, "code_executions": 2},
            id="DashScope",
        ),
        pytest.param({"tool_usage": {"web_search": 2}}, {"web_searches": 2}, id="Volcengine"),
        pytest.param({"tool_usage": {}}, {"web_searches": 1}, id="no counts"),
        pytest.param(
            {"tool_usage": {"web_search": "2", "x": None}, "plugins": [1], "connectors": "a"},
            {},
            id="odd types",
        ),
    ],
)
def test_a_usage_that_counts_tools_is_what_is_billed(
    usage: dict[str, Any], units: dict[str, float]
) -> None:
    assert of_response(response([SEARCH], usage={**TOKENS, **usage})) == units


def completed(*output: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "response.completed", "response": response([*output], usage=TOKENS, **more)}


def test_items_are_counted_in_streams() -> None:
    added = {"type": "response.output_item.added", "output_index": 0}
    done = {"type": "response.output_item.done", "output_index": 0}
    half = {"type": "web_search_call", "id": "ws_1", "status": "in_progress"}
    assert of_stream({**done, "item": SEARCH}, completed()) == {"web_searches": 1}
    assert of_stream({**added, "item": half}, {**done, "item": SEARCH}) == {"web_searches": 1}
    opened = search({"type": "open_page", "url": "u"})
    assert of_stream({**added, "item": half}, {**done, "item": opened}, completed()) == {}
    # The last event's output leaves the call out, or has it too.
    end = completed(MESSAGE)
    assert of_stream({**done, "item": SEARCH}, end) == {"web_searches": 1}
    end = completed(SEARCH, MESSAGE)
    assert of_stream({**done, "item": SEARCH}, end) == {"web_searches": 1}
    # Only the step of the call came.
    step = {"output_index": 0, "item_id": "ws_1"}
    steps = [
        {"type": f"response.web_search_call.{name}", **step} for name in ("searching", "completed")
    ]
    assert of_stream(*steps, completed()) == {"web_searches": 1}
    tools = [{"type": "web_search_preview"}]
    both = {"web_searches": 1, "preview_web_searches": 1}
    assert of_stream({**done, "item": SEARCH}, completed(tools=tools)) == both


def chat_completion(message: dict[str, Any], **more: Any) -> dict[str, Any]:
    counts = {"prompt_tokens": 10, "completion_tokens": 2, **more.pop("usage", {})}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    return {"id": "c", "model": "m", "choices": [choice], "usage": counts, **more}


def call(name: str) -> dict[str, Any]:
    return {"id": name, "type": "function", "function": {"name": name, "arguments": "{}"}}


OK = {"role": "assistant", "content": "ok"}
EXECUTED = [
    {"index": 0, "type": "search", "arguments": "{}"},
    {"index": 0, "type": "search", "arguments": "{}", "output": "x"},
    {"index": 1, "type": "visit"},
    {"index": 2, "type": "python"},
    {"index": 3, "type": "wolfram"},
]


@pytest.mark.parametrize(
    ("body", "units"),
    [
        (chat_completion(OK, model="gpt-4o-search-preview-2025-03-11"), {"web_searches": 1}),
        (chat_completion(OK, model="gpt-5-search-api"), {"web_searches": 1}),
        (chat_completion(OK, web_search=[{"link": "u"}]), {"web_searches": 1}),
        (chat_completion(OK, web_search=[]), {}),
        (chat_completion({"tool_calls": [call("$web_search"), call("f")]}), {"web_searches": 1}),
        (
            chat_completion({**OK, "executed_tools": EXECUTED}),
            {"web_searches": 1, "page_visits": 1, "code_executions": 1, "other_tool_calls": 1},
        ),
        (chat_completion({**OK, "executed_tools": [{"index": []}, 3, {}]}), {}),
        (chat_completion(OK, usage={"num_sources_used": 3}), {"live_search_sources": 3}),
        (chat_completion(OK, usage={"search_context_size": "low"}), {"low_context_requests": 1}),
        (chat_completion(OK, usage={"search_context_size": ["low"]}), {}),
        (
            chat_completion(OK, usage={"plugins": {"search": {"count": 1, "strategy": "turbo"}}}),
            {"web_searches": 1},
        ),
        (
            chat_completion(
                OK,
                usage={
                    "server_tool_use": {"web_search_requests": 2, "tool_search_requests": 1},
                    "prompt_tokens_details": {"web_search_requests": 2},
                },
            ),
            {"web_searches": 2},
        ),
    ],
)
def test_chat_completions(body: dict[str, Any], units: dict[str, float]) -> None:
    assert of_chat(body) == units
    choice = body["choices"][0]
    chunk = {**body, "choices": [{**choice, "delta": choice["message"]}]}
    stream = f"data: {json.dumps(chunk)}\n\ndata: [DONE]\n\n".encode()
    assert units_of(chat.parse_response(stream, status=200, content_type=SSE_TYPE)) == units


def test_an_error_of_a_search_model_is_not_billed() -> None:
    assert of_chat({"model": "gpt-4o-search-preview", "error": {"message": "no"}}) is None


def test_reasoning_of_perplexitys_research_is_beside_its_completion() -> None:
    """https://github.com/bgeneto/open-webui-cost-tracker/issues/6"""
    counts = {
        "prompt_tokens": 108,
        "completion_tokens": 3256,
        "total_tokens": 3364,
        "citation_tokens": 7299,
        "num_search_queries": 74,
        "reasoning_tokens": 73248,
    }
    body = json.dumps(chat_completion(OK, usage=counts)).encode()
    usage = chat.parse_response(body, status=200, content_type=JSON_TYPE).usage
    assert usage is not None
    assert (usage.tokens_out, usage.tokens_reasoning) == (3256 + 73248, 73248)
    assert usage.units == {"web_searches": 74, "citation_tokens": 7299}
