"""AGENTLEDGER_INJECT_USAGE: streams are asked for their usage, which the agent does not see."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest

from capture.proxy.usage_injection import LONGEST_EVENT, UsageHider, request_usage
from capture.wire import registry
from tests.support import canned
from tests.support.ledger import Ledger
from tests.support.provider import Provider

USER: Any = {"role": "user", "content": "hello"}
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
USAGE_CHUNK = {"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": USAGE}
# Azure's first chunk has no choices either.
FILTER_CHUNK = {"id": "c", "choices": [], "prompt_filter_results": [{"prompt_index": 0}]}
CHUNKS = [FILTER_CHUNK, *canned.chat_chunks(["One ", "two"], usage=False)]
SHOWN = canned.data_events(CHUNKS)
CHAT = registry.by_name("openai_chat")


def events() -> list[bytes]:
    """Returns the stream with usage, [DONE] at its end."""
    return [*SHOWN[:-1], *canned.data_events([USAGE_CHUNK])[:-1], SHOWN[-1]]


def test_a_stream_is_asked_for_its_usage() -> None:
    body = b' {"model":"m", "stream": true,"messages":[]}'
    changed = request_usage(body, CHAT)
    assert changed is not None
    assert json.loads(changed) == {
        **json.loads(body),
        "stream_options": {"include_usage": True},
    }
    assert changed.endswith(body[2:])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not JSON",
        b"[]",
        b'{"model":"m"}',
        b'{"model":"m","stream":false}',
        b'{"model":"m","stream":true,"stream_options":{"include_usage":false}}',
        b'{"model":"m","stream":true,"stream_options":null}',
    ],
)
def test_other_bodies_are_left_alone(body: bytes) -> None:
    assert request_usage(body, CHAT) is None


def test_other_formats_are_left_alone() -> None:
    assert (
        request_usage(b'{"model":"m","stream":true}', registry.by_name("openai_responses")) is None
    )


@pytest.mark.parametrize("line_end", [b"\n", b"\r\n", b"\r"])
def test_one_event_is_hidden_wherever_the_stream_is_split(line_end: bytes) -> None:
    stream = b"".join(events()).replace(b"\n", line_end)
    expected = b"".join(SHOWN).replace(b"\n", line_end)
    for place in range(len(stream)):
        hider = UsageHider()
        assert hider.feed(stream[:place]) + hider.feed_last(stream[place:]) == expected


def test_an_event_is_passed_on_as_soon_as_it_is_complete() -> None:
    hider = UsageHider()
    for event in SHOWN:
        assert hider.feed(event) == event


def test_an_event_without_an_end_is_not_collected() -> None:
    hider = UsageHider()
    shown = sum(len(hider.feed(b"x" * 50_000)) for _ in range(100))
    assert shown >= 100 * 50_000 - LONGEST_EVENT


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def injecting(
    request: pytest.FixtureRequest, _provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    folder = tmp_path_factory.mktemp(request.param)
    env = {"AGENTLEDGER_INJECT_USAGE": "1"}
    with Ledger(folder, _provider.url, server=request.param, env=env) as ledger:
        yield ledger


@pytest.mark.parametrize("pause", [0, 0.01], ids=["at once", "in pieces"])
def test_the_agent_sees_no_usage_and_the_ledger_does(
    injecting: Ledger, provider: Provider, pause: float
) -> None:
    provider.response(*canned.stream(events(), pause=pause))
    session = f"s{pause}"
    headers = {"x-agentledger-session-id": session}
    with openai.OpenAI(
        base_url=f"{injecting.url}/v1", api_key="k", default_headers=headers
    ) as client:
        chunks = list(client.chat.completions.create(model="m", messages=[USER], stream=True))
    assert len(chunks) == len(CHUNKS)
    assert [chunk.usage for chunk in chunks] == [None] * len(CHUNKS)
    [received] = provider.requests()
    assert json.loads(received.body)["stream_options"] == {"include_usage": True}
    call = injecting.call(session)
    assert (call["tokens_in"], call["tokens_out"], call["usage_source"]) == (7, 3, "provider")
    assert call["usage_injected"] is True
    assert call["request_params"] is None


def test_a_refused_request_is_sent_again_as_it_came(injecting: Ledger, provider: Provider) -> None:
    refusal = {"error": {"message": "unknown field stream_options"}}
    provider.response(*canned.as_json(refusal, status=400), times=1)
    provider.response(*canned.stream(SHOWN))
    body = {"model": "m", "messages": [USER], "stream": True}
    response = httpx.post(f"{injecting.url}/v1/chat/completions", json=body)
    assert response.content == b"".join(SHOWN)
    first, second = provider.requests()
    assert b"stream_options" in first.body
    assert second.body == response.request.content
