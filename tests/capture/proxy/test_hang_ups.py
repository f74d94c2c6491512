"""Agents that hang up, upstreams that cut, stall, refuse or cannot be reached: as the official SDKs
see it, and as it is recorded."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import anthropic
import httpx
import openai
import pytest

from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider
from tests.support.raw import connect, request

USER: Any = {"role": "user", "content": "hello"}
PIECES = canned.data_events(canned.chat_chunks(["One ", "two ", "three"]))
READ_TIMEOUT_S = 1.0


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def impatient(
    request: pytest.FixtureRequest, _provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    """A proxy that waits no longer than READ_TIMEOUT_S for the next byte of its upstream."""
    folder = tmp_path_factory.mktemp(request.param)
    env = {"AGENTLEDGER_UPSTREAM_READ_TIMEOUT_S": str(READ_TIMEOUT_S)}
    with Ledger(folder, _provider.url, server=request.param, env=env) as ledger:
        yield ledger


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def unreachable(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    """A proxy whose upstream cannot be reached."""
    with socket.create_server(("127.0.0.1", 0)) as unused:
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
    with Ledger(tmp_path_factory.mktemp("cut"), url, server=request.param) as ledger:
        yield ledger


def openai_client(ledger: Ledger, session: str, *, max_retries: int = 0) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{ledger.url}/v1",
        api_key="k",
        default_headers={"x-agentledger-session-id": session},
        max_retries=max_retries,
    )


def anthropic_client(ledger: Ledger, session: str) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        base_url=ledger.url,
        api_key="k",
        default_headers={"x-agentledger-session-id": session},
        max_retries=0,
    )


# --- the agent hangs up ---


def test_an_agent_that_hangs_up_in_mid_stream_is_recorded(
    impatient: Ledger, provider: Provider
) -> None:
    provider.response(*canned.stream(PIECES[:2])[:-1], *[canned.sleep(0.3), canned.send(b"")] * 30)
    session = str(uuid4())
    with openai_client(impatient, session) as client:
        stream = client.chat.completions.create(model="m", messages=[USER], stream=True)
        assert next(iter(stream)).choices
        stream.response.close()
    call = impatient.call(session)
    assert call["outcome"] == "client_left"
    assert call["content"] in ("", "One ", None)
    wait_until(lambda: provider.counts()["aborted"] == 1)


def test_an_agent_that_hangs_up_before_the_response_is_recorded(
    impatient: Ledger, provider: Provider
) -> None:
    provider.response(canned.HANG)
    session = str(uuid4())
    with connect(impatient.url) as connection:
        headers = [("x-agentledger-session-id", session)]
        connection.sendall(request("POST", "/v1/chat/completions", headers, b'{"model": "m"}'))
        wait_until(lambda: provider.counts()["received"] == 1)
    call = impatient.call(session)
    assert (call["outcome"], call["status_code"]) == ("client_left", None)
    assert call["model_id"] == "m"
    wait_until(lambda: provider.counts()["aborted"] == 1)


def test_an_agent_that_gives_up_waiting_is_recorded(impatient: Ledger, provider: Provider) -> None:
    provider.response(canned.sleep(0.8), *canned.as_json(canned.chat("late")))
    session = str(uuid4())
    with openai_client(impatient, session) as client, pytest.raises(openai.APITimeoutError):
        client.with_options(timeout=0.3).chat.completions.create(model="m", messages=[USER])
    assert impatient.call(session)["outcome"] == "client_left"


# --- the upstream cuts ---


@pytest.mark.parametrize("end", [canned.CLOSE, canned.RESET], ids=["close", "reset"])
def test_an_upstream_that_cuts_a_stream_is_recorded(
    impatient: Ledger, provider: Provider, end: list[Any]
) -> None:
    provider.response(*canned.stream(PIECES[:2])[:-1], canned.sleep(0.2), end)
    session = str(uuid4())
    heard: list[Any] = []
    with openai_client(impatient, session) as client:
        stream = client.chat.completions.create(model="m", messages=[USER], stream=True)
        with pytest.raises(openai.APIConnectionError):
            heard.extend(stream)
    assert heard
    call = impatient.call(session)
    assert (call["outcome"], call["status_code"]) == ("upstream_cut", 200)
    assert call["error_detail"]
    assert call["content"] == "One "


def test_an_upstream_that_stalls_in_mid_stream_is_recorded(
    impatient: Ledger, provider: Provider
) -> None:
    provider.response(*canned.stream(PIECES[:2])[:-1], canned.HANG)
    session = str(uuid4())
    with (
        openai_client(impatient, session) as client,
        pytest.raises(openai.APIConnectionError),
    ):
        list(client.chat.completions.create(model="m", messages=[USER], stream=True))
    call = impatient.call(session)
    assert call["outcome"] == "upstream_cut"
    assert "stopped sending" in call["error_detail"]


# --- the upstream gives no response ---


def test_an_upstream_that_is_too_slow_is_not_paid_twice(
    impatient: Ledger, provider: Provider
) -> None:
    provider.response(canned.HANG)
    session = str(uuid4())
    with (
        openai_client(impatient, session, max_retries=2) as client,
        pytest.raises(openai.InternalServerError) as raised,
    ):
        client.chat.completions.create(model="m", messages=[USER])
    assert raised.value.status_code == 504
    assert raised.value.code == "upstream_timeout"
    assert raised.value.response.headers["x-should-retry"] == "false"
    assert provider.counts()["received"] == 1
    call = impatient.call(session)
    assert (call["outcome"], call["status_code"]) == ("upstream_error", 504)
    assert raised.value.request_id == call["action_id"]


def test_a_request_that_got_no_response_is_not_sent_again(
    impatient: Ledger, provider: Provider
) -> None:
    provider.response(canned.CLOSE)
    session = str(uuid4())
    with (
        openai_client(impatient, session, max_retries=2) as client,
        pytest.raises(openai.InternalServerError) as raised,
    ):
        client.chat.completions.create(model="m", messages=[USER])
    assert raised.value.status_code == 502
    assert provider.counts()["received"] == 1
    assert impatient.call(session)["outcome"] == "upstream_error"


def test_an_unreachable_upstream_is_an_error_of_openai(unreachable: Ledger) -> None:
    session = str(uuid4())
    with (
        openai_client(unreachable, session, max_retries=1) as client,
        pytest.raises(openai.InternalServerError) as raised,
    ):
        client.chat.completions.create(model="m", messages=[USER])
    assert raised.value.status_code == 502
    assert raised.value.type == "api_error"
    assert raised.value.code == "upstream_unreachable"
    assert "AgentLedger: " in raised.value.message
    # Nothing was sent, so the SDK may try again: each attempt is recorded.
    calls = unreachable.calls(session, count=2)
    assert {call["outcome"] for call in calls} == {"upstream_error"}
    assert {call["status_code"] for call in calls} == {502}


def test_an_unreachable_upstream_is_an_error_of_anthropic(unreachable: Ledger) -> None:
    session = str(uuid4())
    with (
        anthropic_client(unreachable, session) as client,
        pytest.raises(anthropic.APIStatusError) as raised,
    ):
        client.messages.create(model="m", max_tokens=9, messages=[USER])
    assert raised.value.status_code == 502
    body: Any = raised.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "api_error")
    assert raised.value.request_id == unreachable.call(session)["action_id"]


def test_an_unreachable_upstream_is_an_error_for_other_traffic(unreachable: Ledger) -> None:
    response = httpx.get(f"{unreachable.url}/v1/models")
    assert response.status_code == 502
    assert "AgentLedger: " in response.json()["error"]["message"]


def test_a_host_that_does_not_resolve_is_a_502(fresh: Ledger) -> None:
    fresh.upstream_url = "http://no-such-host.invalid"
    with fresh:
        response = httpx.post(f"{fresh.url}/v1/chat/completions", json={"model": "m"}, timeout=30)
    assert response.status_code == 502
    assert "no-such-host.invalid" in response.json()["error"]["message"]


# --- connections that stay open ---


def test_an_idle_connection_that_the_upstream_has_closed_costs_no_call(
    impatient: Ledger, provider: Provider
) -> None:
    for _ in range(10):
        provider.reset()
        provider.response(*canned.as_json(canned.chat("one")), canned.CLOSE, times=1)
        with openai_client(impatient, "kept") as client:
            client.chat.completions.create(model="m", messages=[USER])
            time.sleep(0.02)  # the close arrives while the connection is idle
            client.chat.completions.create(model="m", messages=[USER])


def test_retries_of_the_sdk_are_calls_of_their_own(impatient: Ledger, provider: Provider) -> None:
    error = {"error": {"message": "busy", "type": "server_error"}}
    provider.response(*canned.as_json(error, 503), times=2)
    session = str(uuid4())
    with openai_client(impatient, session, max_retries=3) as client:
        client.chat.completions.create(model="m", messages=[USER])
    calls = impatient.calls(session, count=3)
    assert [call["status_code"] for call in calls] == [503, 503, 200]
    assert [call["error_detail"] for call in calls] == ["busy", "busy", None]
