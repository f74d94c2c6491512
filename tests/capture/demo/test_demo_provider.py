"""The demo's provider as the official SDKs see it, without the proxy in between."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from capture.demo import provider, script

USER: Any = {"role": "user", "content": "hello there"}
SAID = "This is the demo provider, not a model. You wrote: hello there"
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "examples": ["Lisbon"]},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer", "minimum": 2},
        "note": {"type": "string"},
    },
    "required": ["city", "unit", "days"],
}
FITTING = {"city": "Lisbon", "unit": "celsius", "days": 2}
FUNCTION_CALL = {"name": "forecast", "arguments": json.dumps(FITTING)}
CHAT_TOOL: Any = {"type": "function", "function": {"name": "forecast", "parameters": SCHEMA}}
RESPONSES_TOOL: Any = {"type": "function", "name": "forecast", "parameters": SCHEMA}
ANTHROPIC_TOOL: Any = {"name": "forecast", "input_schema": SCHEMA}


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    with provider.serve_in_thread() as serving:
        yield serving.base_url


@pytest.fixture(scope="module")
def gpt(base_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{base_url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def claude(base_url: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=base_url, api_key="none", max_retries=0) as client:
        yield client


def test_a_chat_completion_has_text_and_usage(gpt: openai.OpenAI) -> None:
    response = gpt.chat.completions.create(model="gpt-4o", messages=[USER])
    assert response.choices[0].message.content == SAID
    assert response.choices[0].finish_reason == "stop"
    assert response.model == "gpt-4o-2024-08-06"
    assert response.usage is not None
    assert response.usage.prompt_tokens > 0
    assert response.usage.completion_tokens == len(SAID) // 4


@pytest.mark.parametrize("include_usage", [True, False])
def test_a_chat_stream_has_usage_only_on_request(gpt: openai.OpenAI, include_usage: bool) -> None:
    parsed_request: Any = {"stream_options": {"include_usage": True}} if include_usage else {}
    stream = gpt.chat.completions.create(
        model="gpt-4o", messages=[USER], stream=True, **parsed_request
    )
    chunks = list(stream)
    choices = [choice for chunk in chunks for choice in chunk.choices]
    assert "".join(choice.delta.content or "" for choice in choices) == SAID
    assert [c.finish_reason for c in choices if c.finish_reason] == ["stop"]
    usages = [chunk.usage for chunk in chunks if chunk.usage]
    assert [usage.completion_tokens for usage in usages] == [len(SAID) // 4] * include_usage


@pytest.mark.parametrize("streamed", [True, False])
def test_a_chat_uses_the_tool_and_then_its_result(gpt: openai.OpenAI, streamed: bool) -> None:
    parsed_request: Any = {"model": "gpt-4o", "tools": [CHAT_TOOL]}
    if streamed:
        with gpt.chat.completions.stream(messages=[USER], **parsed_request) as stream:
            choice: Any = stream.get_final_completion().choices[0]
    else:
        choice = gpt.chat.completions.create(messages=[USER], **parsed_request).choices[0]
    assert choice.finish_reason == "tool_calls"
    assert choice.message.content is None
    [tool_call] = choice.message.tool_calls
    assert tool_call.function.name == "forecast"
    assert json.loads(tool_call.function.arguments) == FITTING

    history: Any = [
        USER,
        {
            "role": "assistant",
            "tool_calls": [{"id": tool_call.id, "type": "function", "function": FUNCTION_CALL}],
        },
        {"role": "tool", "tool_call_id": tool_call.id, "content": "rain"},
    ]
    response = gpt.chat.completions.create(messages=history, **parsed_request)
    assert response.choices[0].message.content == "The tool says: rain"


def test_a_response_has_text_and_usage(gpt: openai.OpenAI) -> None:
    response = gpt.responses.create(model="gpt-4o", input="hello there", instructions="Be brief.")
    assert response.output_text == SAID
    assert (response.status, response.instructions) == ("completed", "Be brief.")
    assert response.usage is not None
    assert response.usage.output_tokens == len(SAID) // 4


def test_a_response_streams_numbered_events(gpt: openai.OpenAI) -> None:
    events: list[Any] = list(gpt.responses.create(model="gpt-4o", input=[USER], stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    deltas = [e.delta for e in events if e.type == "response.output_text.delta"]
    assert len(deltas) > 1
    assert "".join(deltas) == SAID
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert events[-1].response.output_text == SAID
    assert events[-1].response.usage.output_tokens == len(SAID) // 4


@pytest.mark.parametrize("streamed", [True, False])
def test_a_response_uses_the_tool_and_then_its_result(gpt: openai.OpenAI, streamed: bool) -> None:
    parsed_request: Any = {"model": "gpt-4o", "tools": [RESPONSES_TOOL]}
    if streamed:
        with gpt.responses.stream(input="hello there", **parsed_request) as stream:
            response: Any = stream.get_final_response()
    else:
        response = gpt.responses.create(input="hello there", **parsed_request)
    [item] = response.output
    assert (item.type, item.name) == ("function_call", "forecast")
    assert json.loads(item.arguments) == FITTING

    result = {"type": "function_call_output", "call_id": item.call_id, "output": "rain"}
    history: Any = [USER, item.to_dict(), result]
    assert (
        gpt.responses.create(input=history, **parsed_request).output_text == "The tool says: rain"
    )


def test_a_message_has_text_and_usage(claude: anthropic.Anthropic) -> None:
    response = claude.messages.create(model="claude-opus-5-5", max_tokens=100, messages=[USER])
    [block] = response.content
    assert block.type == "text"
    assert block.text == SAID
    assert response.stop_reason == "end_turn"
    assert response.usage.input_tokens > 0
    assert response.usage.output_tokens == len(SAID) // 4


def test_a_message_streams(claude: anthropic.Anthropic) -> None:
    parsed_request: Any = {"model": "claude-opus-5-5", "max_tokens": 100, "messages": [USER]}
    with claude.messages.stream(**parsed_request) as stream:
        pieces = list(stream.text_stream)
        message = stream.get_final_message()
    assert len(pieces) > 1
    assert "".join(pieces) == SAID
    assert message.stop_reason == "end_turn"
    assert message.usage.output_tokens == len(SAID) // 4


@pytest.mark.parametrize("streamed", [True, False])
def test_a_message_uses_the_tool_and_then_its_result(
    claude: anthropic.Anthropic, streamed: bool
) -> None:
    parsed_request: Any = {"model": "claude-opus-5-5", "max_tokens": 100, "tools": [ANTHROPIC_TOOL]}
    if streamed:
        with claude.messages.stream(messages=[USER], **parsed_request) as stream:
            response: Any = stream.get_final_message()
    else:
        response = claude.messages.create(messages=[USER], **parsed_request)
    [block] = response.content
    assert (response.stop_reason, block.name, block.input) == ("tool_use", "forecast", FITTING)

    history: Any = [
        USER,
        {"role": "assistant", "content": [block.to_dict()]},
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": block.id, "content": "rain"}],
        },
    ]
    reply = claude.messages.create(messages=history, **parsed_request)
    assert [b.text for b in reply.content if b.type == "text"] == ["The tool says: rain"]


def test_a_missing_model_is_an_error_of_the_api(
    gpt: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    with pytest.raises(openai.NotFoundError) as chat:
        gpt.chat.completions.create(model="gpt-missing", messages=[USER])
    with pytest.raises(openai.NotFoundError) as response:
        gpt.responses.create(model="gpt-missing", input="hello there", stream=True)
    assert chat.value.code == response.value.code == "model_not_found"
    assert "`gpt-missing` does not exist" in chat.value.message
    assert (chat.value.request_id or "").startswith("req_")
    with pytest.raises(anthropic.NotFoundError) as message:
        claude.messages.create(model="claude-missing", max_tokens=9, messages=[USER])
    # The SDK types a body as object.
    assert message.value.body["error"]["type"] == "not_found_error"  # type: ignore[index]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", b"{"),
        ("/v1/chat/completions", b'{"messages": []}'),
        ("/v1/chat/completions", b'{"model": "gpt-4o", "messages": ["hello"]}'),
        ("/v1/responses", b'{"model": "gpt-4o"}'),
        ("/v1/messages", b'{"model": "claude-opus-5-5", "messages": 5}'),
    ],
)
def test_an_invalid_body_is_refused(base_url: str, path: str, body: bytes) -> None:
    response = httpx.post(base_url + path, content=body, trust_env=False)
    assert response.status_code == 400
    assert response.json()["error"]["type"] == "invalid_request_error"


def test_the_models_are_listed_in_both_shapes(
    gpt: openai.OpenAI, claude: anthropic.Anthropic
) -> None:
    assert "gpt-4o" in [model.id for model in gpt.models.list()]
    assert [model.id for model in claude.models.list()] == ["claude-opus-5-5"]


def test_each_request_of_the_demo_has_a_reply_of_its_own(gpt: openai.OpenAI) -> None:
    parsed_request: Any = {"role": "user", "content": script.GUIDE}
    response = gpt.chat.completions.create(model="gpt-4o", messages=[parsed_request])
    assert response.choices[0].message.content == script.LINES[script.GUIDE]


def test_it_stops_and_frees_its_port() -> None:
    serving = provider.serve_in_thread()
    with httpx.Client(base_url=serving.base_url, trust_env=False) as client:
        assert client.get("/v1/models").status_code == 200
        serving.stop()  # does not wait for the connection that is kept alive
        with pytest.raises(httpx.ConnectError):
            client.get("/v1/models")
    serving.stop()
    port = int(serving.base_url.rpartition(":")[2])
    with provider.serve_in_thread(port=port) as again:
        assert again.base_url == serving.base_url


def test_a_used_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        provider.serve_in_thread(port=taken.getsockname()[1])
