"""Calls of the official SDKs, recorded: on both servers, over both databases."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import anthropic
import openai
import pytest

from tests.conftest import EVERY_STACK, running_on
from tests.support import canned
from tests.support.ledger import Ledger
from tests.support.provider import Provider

USER: Any = {"role": "user", "content": "hello there"}
TOOL: Any = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}


@pytest.fixture(scope="module", params=EVERY_STACK)
def stack(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    """Started as a user's first start is: it makes its tables itself."""
    with running_on(request.param, request, is_new=True) as ledger:
        yield ledger


def session_header() -> tuple[str, dict[str, str]]:
    session_id = f"run-{uuid4()}"
    return session_id, {"x-agentledger-session-id": session_id}


def openai_client(ledger: Ledger, **headers: str) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{ledger.url}/v1", api_key="sk-test", default_headers=headers, max_retries=0
    )


def anthropic_client(ledger: Ledger, **headers: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        base_url=ledger.url, api_key="sk-ant-test", default_headers=headers, max_retries=0
    )


def test_a_chat_completion_is_recorded_whole(stack: Ledger, provider: Provider) -> None:
    session_id, headers = session_header()
    headers |= {
        "x-agentledger-user-id": "user-42",
        "x-agentledger-agent-name": "researcher",
        "x-agentledger-app-id": "my-app",
        "x-agentledger-environment": "production",
        "x-agentledger-handoff-from": "orchestrator",
        "x-agentledger-handoff-to": "writer",
        "x-agentledger-parent-action-id": "01a20c13-d16f-74d4-89cc-0550f9949054",
    }
    messages: Any = [{"role": "system", "content": "Be brief."}, USER]
    with openai_client(stack, **headers) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-4o",
            messages=messages,
            temperature=0.5,
            max_tokens=100,
            seed=7,
            tools=[TOOL],
        )
    assert raw.parse().choices[0].message.content == "echo: hello there"
    call = stack.call(session_id)
    assert call["action_id"] == raw.headers["x-agentledger-action-id"]
    expected = {
        "session_id": session_id,
        "model_id": "gpt-4o",
        "response_model": "gpt-4o-2024-08-06",
        "provider": "openai",
        "messages": messages,
        "system_prompt": "Be brief.",
        "tools": [TOOL],
        "tool_calls": [],
        "tool_results": [],
        "content": "echo: hello there",
        "stop_reason": "stop",
        "tokens_in": 12,
        "tokens_out": 7,
        "tokens_cache_read": 4,
        "tokens_cache_write": None,
        "tokens_reasoning": 2,
        "usage_source": "provider",
        "cost_usd": 0.000095,  # of gpt-4o: 2.50 in, 1.25 cached, 10.00 out, USD per million
        "status_code": 200,
        "error_detail": None,
        "agent_name": "researcher",
        "user_id": "user-42",
        "app_id": "my-app",
        "environment": "production",
        "parent_action_id": "01a20c13-d16f-74d4-89cc-0550f9949054",
        "handoff_from": "orchestrator",
        "handoff_to": "writer",
        "outcome": "completed",
        "streaming": False,
        "temperature": 0.5,
        "max_tokens": 100,
        "wire_format": "openai_chat",
    }
    assert {name: call[name] for name in expected} == expected
    assert call["request_params"]["seed"] == 7
    assert call["latency_ms"] > 0
    assert call["timestamp"].endswith("+00:00")


def test_nothing_is_invented_for_a_call_without_headers(stack: Ledger, provider: Provider) -> None:
    with openai_client(stack) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-4o",
            messages=[USER],
        )
    call = stack.explain(raw.headers["x-agentledger-action-id"])
    fields = "session_id agent_name user_id app_id parent_action_id handoff_from handoff_to"
    assert {call[name] for name in fields.split()} == {None}
    assert call["environment"] == "development"
    assert call["content"] == "echo: hello there"


def test_a_streamed_chat_is_recorded_as_it_was_received(stack: Ledger, provider: Provider) -> None:
    session_id, headers = session_header()
    pieces = canned.data_events(canned.chat_chunks(["One ", "two ", "three"]))
    provider.response(*canned.stream(pieces, pause=0.05))
    with openai_client(stack, **headers) as client:
        stream = client.chat.completions.create(
            model="gpt-4o",
            messages=[USER],
            stream=True,
            stream_options={"include_usage": True},
        )
        heard = "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
    assert heard == "One two three"
    call = stack.call(session_id)
    assert (call["content"], call["streaming"], call["outcome"]) == (heard, True, "completed")
    assert (call["tokens_in"], call["tokens_out"]) == (12, 3)
    # The role came at once, the first word one pause later, the end five pauses later.
    assert 50 <= call["ttft_ms"] <= call["latency_ms"] - 150


def test_a_stream_without_usage_has_estimated_tokens(stack: Ledger, provider: Provider) -> None:
    session_id, headers = session_header()
    provider.response(*canned.stream(canned.data_events(canned.chat_chunks(["Hi"], usage=False))))
    with openai_client(stack, **headers) as client:
        list(client.chat.completions.create(model="m", messages=[USER], stream=True))
    call = stack.call(session_id)
    assert call["usage_source"] == "estimated"
    assert call["usage"] is None
    # Two words and what frames a message; two letters and what opens a response.
    assert (call["tokens_in"], call["tokens_out"]) == (7, 4)


def test_tool_results_come_from_the_next_call(stack: Ledger, provider: Provider) -> None:
    session_id, headers = session_header()
    function = {"name": "look_up", "arguments": '{"word": "ledger"}'}
    tool_call = {"id": "call_1", "type": "function", "function": function}
    provider.response(*canned.as_json(canned.chat("", tool_calls=[tool_call])), times=1)
    with openai_client(stack, **headers) as client:
        first = client.chat.completions.create(model="m", messages=[USER])
        history: list[Any] = [
            USER,
            first.choices[0].message.model_dump(exclude_none=True),
            {"role": "tool", "tool_call_id": "call_1", "content": "a book of accounts"},
        ]
        client.chat.completions.create(model="m", messages=history)
        client.chat.completions.create(model="m", messages=[*history, USER])
    calls = stack.calls(session_id, count=3)
    assert calls[0]["tool_calls"] == [
        {"id": "call_1", "name": "look_up", "arguments": {"word": "ledger"}}
    ]
    assert calls[0]["stop_reason"] == "tool_calls"
    result = {"tool_call_id": "call_1", "name": "look_up", "content": "a book of accounts"}
    assert calls[0]["tool_results"] == [{**result, "is_error": False}]
    assert [call["tool_results"] for call in calls[1:]] == [[], []]
    assert calls[2]["messages"] == [*history, USER]


def test_tool_results_are_distinguished_when_a_provider_reuses_ids(
    stack: Ledger, provider: Provider
) -> None:
    """The second turn's tool message is the first's to the letter."""
    session_id, headers = session_header()
    tool_call = {"id": "call_0", "type": "function", "function": {"name": "go", "arguments": "{}"}}
    provider.response(*canned.as_json(canned.chat("", tool_calls=[tool_call])), times=4)
    turn: list[Any] = [
        {"role": "assistant", "tool_calls": [tool_call]},
        {"role": "tool", "tool_call_id": "call_0", "content": "ok"},
    ]
    with openai_client(stack, **headers) as client:
        for history in ([USER], [USER, *turn], [USER, *turn], [USER, *turn, *turn]):
            client.chat.completions.create(model="m", messages=history)
    calls = stack.calls(session_id, count=4)
    results = [[result["content"] for result in call["tool_results"]] for call in calls]
    # The third call is the second sent again: it brings nothing. One of the two gets the last's.
    assert results[0] == ["ok"]
    assert sorted(results[1:3]) == [[], ["ok"]]
    assert results[3] == []


def test_a_retry_names_the_call_that_it_repeats(stack: Ledger, provider: Provider) -> None:
    session_id, headers = session_header()
    provider.response(*canned.as_json({"error": {"message": "busy"}}, status=503), times=2)
    with openai_client(stack, **headers).with_options(max_retries=2) as client:
        client.chat.completions.create(model="m", messages=[USER])
        client.chat.completions.create(model="m", messages=[USER])
    first, second, third, alone = stack.calls(session_id, count=4)
    assert [call["attempt"] for call in (first, second, third, alone)] == [1, 2, 3, 1]
    assert first["retry_of"] is alone["retry_of"] is None
    assert second["retry_of"] == first["action_id"]
    assert third["retry_of"] == second["action_id"]


def test_absurd_token_counts_delay_no_later_call(stack: Ledger, provider: Provider) -> None:
    session_id, headers = session_header()
    usage = {"prompt_tokens": 2**63 - 1, "completion_tokens": 2**53, "total_tokens": 1}
    provider.response(*canned.as_json(canned.chat("x") | {"usage": usage}), times=3)
    with openai_client(stack, **headers) as client:
        for _ in range(3):
            client.chat.completions.create(model="m", messages=[USER])
    calls = stack.calls(session_id, count=3)
    assert {(call["tokens_in"], call["tokens_out"]) for call in calls} == {(None, 2**53)}


def test_a_result_without_its_tool_call_stays_with_the_call_that_brought_it(
    stack: Ledger, provider: Provider
) -> None:
    session_id, headers = session_header()
    history: list[Any] = [{"role": "tool", "tool_call_id": "call_0", "content": "lost"}]
    with openai_client(stack, **headers) as client:
        client.chat.completions.create(model="m", messages=history)
    [result] = stack.call(session_id)["tool_results"]
    assert (result["tool_call_id"], result["content"]) == ("call_0", "lost")


def test_responses_are_recorded(stack: Ledger, provider: Provider) -> None:
    session_id, headers = session_header()
    with openai_client(stack, **headers) as client:
        response = client.responses.create(model="gpt-4o", instructions="Be brief.", input="hello")
        with client.responses.stream(model="gpt-4o", input="hello again") as stream:
            streamed = stream.get_final_response()
    assert (response.output_text, streamed.output_text) == ("echo: hello", "echo:helloagain")
    plain, second = stack.calls(session_id, count=2)
    assert (plain["content"], plain["system_prompt"]) == ("echo: hello", "Be brief.")
    assert plain["messages"] == "hello"
    assert (plain["tokens_in"], plain["tokens_cache_read"]) == (11, 2)
    assert (second["content"], second["streaming"]) == ("echo:helloagain", True)
    assert second["ttft_ms"] is not None
    assert {call["provider"] for call in (plain, second)} == {"openai"}


def test_anthropic_messages_are_recorded(stack: Ledger, provider: Provider) -> None:
    session_id, headers = session_header()
    request: dict[str, Any] = {
        "model": "claude-opus-5-5",
        "max_tokens": 64,
        "messages": [USER],
    }
    with anthropic_client(stack, **headers) as client:
        response = client.messages.create(**request, system="Be brief.")
        with client.messages.stream(**request) as stream:
            streamed = stream.get_final_text()
    assert response.content[0].to_dict()["text"] == "echo: hello there"
    plain, second = stack.calls(session_id, count=2)
    expected = {
        "provider": "anthropic",
        "content": "echo: hello there",
        "system_prompt": "Be brief.",
        "max_tokens": 64,
        "stop_reason": "end_turn",
        "tokens_in": 18,
        "tokens_out": 6,
        "tokens_cache_read": 5,
        "tokens_cache_write": 3,
    }
    assert {name: plain[name] for name in expected} == expected
    assert (second["content"], second["streaming"]) == (streamed, True)


def test_an_error_response_is_recorded_with_its_message(stack: Ledger, provider: Provider) -> None:
    session_id, headers = session_header()
    error = {"error": {"message": "no such model: m", "type": "invalid_request_error"}}
    provider.response(*canned.as_json(error, 404))
    with openai_client(stack, **headers) as client, pytest.raises(openai.NotFoundError) as raised:
        client.chat.completions.create(model="m", messages=[USER])
    assert "no such model: m" in str(raised.value)
    call = stack.call(session_id)
    assert (call["status_code"], call["outcome"]) == (404, "upstream_error")
    assert call["error_detail"] == "no such model: m"
    assert call["content"] is None
    [session] = [s for s in stack.sessions() if s["session_id"] == session_id]
    assert (session["call_count"], session["error_count"]) == (1, 1)


def test_an_error_in_mid_stream_is_recorded(stack: Ledger, provider: Provider) -> None:
    session_id, headers = session_header()
    events = canned.message_events(["Half "])[:4]
    overloaded = {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}
    provider.response(*canned.stream(canned.named_events([*events, overloaded])))
    with (
        anthropic_client(stack, **headers) as client,
        pytest.raises(anthropic.APIStatusError),
        client.messages.stream(model="c", max_tokens=9, messages=[]) as stream,
    ):
        stream.get_final_text()
    call = stack.call(session_id)
    assert (call["status_code"], call["outcome"]) == (200, "upstream_error")
    assert (call["error_detail"], call["content"]) == ("Overloaded", "Half ")


def test_a_response_that_cannot_be_parsed_is_recorded_as_text(
    stack: Ledger, provider: Provider
) -> None:
    session_id, headers = session_header()
    provider.response(
        *canned.whole(b"<html>Bad gateway</html>", 502, [("content-type", "text/html")])
    )
    with openai_client(stack, **headers) as client, pytest.raises(openai.InternalServerError):
        client.post("/chat/completions", body={"model": "m", "odd": [1]}, cast_to=object)
    call = stack.call(session_id)
    assert call["status_code"] == 502
    assert "Bad gateway" in call["error_detail"]
    assert call["request_params"] == {"odd": [1]}


async def stream_of(client: openai.AsyncOpenAI) -> str:
    stream = await client.chat.completions.create(
        model="m",
        messages=[USER],
        stream=True,
    )
    return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])


def test_the_async_clients_work_as_well(stack: Ledger, provider: Provider) -> None:
    import asyncio

    session_id, headers = session_header()

    async def run() -> list[str]:
        async with openai.AsyncOpenAI(
            base_url=f"{stack.url}/v1", api_key="k", default_headers=headers
        ) as client:
            return await asyncio.gather(*(stream_of(client) for _ in range(10)))

    assert set(asyncio.run(run())) == {"echo:hellothere"}
    assert {c["content"] for c in stack.calls(session_id, count=10)} == {"echo:hellothere"}


def test_several_choices_and_refusals(stack: Ledger, provider: Provider) -> None:
    session_id, headers = session_header()
    response = canned.chat("first")
    second = {"role": "assistant", "content": None, "refusal": "I can't"}
    response["choices"].append({"index": 1, "message": second, "finish_reason": "stop"})
    provider.response(*canned.as_json(response))
    with openai_client(stack, **headers) as client:
        client.chat.completions.create(model="m", messages=[USER], n=2)
    call = stack.call(session_id)
    assert call["content"] == "first"
    [choice] = call["choices"]
    assert (choice["index"], choice["content"]) == (1, "I can't")


def test_a_growing_history_is_returned_as_it_was_sent(stack: Ledger, provider: Provider) -> None:
    session_id, headers = session_header()
    history: list[Any] = []
    with openai_client(stack, **headers) as client:
        for turn in range(6):
            history.append({"role": "user", "content": f"turn {turn} é 漢字 \u2028"})
            response = client.chat.completions.create(model="m", messages=history)
            history.append({"role": "assistant", "content": response.choices[0].message.content})
    calls = stack.calls(session_id, count=6)
    assert [call["messages"] for call in calls] == [history[: 2 * n + 1] for n in range(6)]
    assert json.dumps(calls[5]["notes"]) == "null"
