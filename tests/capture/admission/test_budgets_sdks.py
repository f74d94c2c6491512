"""What the official SDKs make of a budget: a spent one they do not try again, and a stream that it
ends raises."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import anthropic
import cohere
import groq
import httpx
import ollama
import openai
import pytest
from google import genai
from google.genai import errors
from mistralai.client import Mistral
from mistralai.client.errors import SDKError
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.capture.admission.test_token_budgets import token
from tests.capture.proxy.test_websocket import address, realtime
from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider
from tests.support.socket_provider import SocketProvider, hear, say
from tests.support.spending import CENT, HELLO, PRICING, settled

Headers = dict[str, str]
SPENT = "budget of .* is spent"


@pytest.fixture(scope="module")
def spent(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """No session may spend anything."""
    env = {"AGENTLEDGER_BUDGET_SESSION": "0"}
    with Ledger(tmp_path_factory.mktemp("spent"), _provider.url, env=env) as ledger:
        yield ledger


def of_openai(url: str, headers: Headers) -> Any:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="k", default_headers=headers) as client:
        return client.chat.completions.create(model="gpt-4o", messages=HELLO)


def of_openai_responses(url: str, headers: Headers) -> Any:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="k", default_headers=headers) as client:
        return list(client.responses.create(model="gpt-4o", input="hello", stream=True))


def of_anthropic(url: str, headers: Headers) -> Any:
    with anthropic.Anthropic(base_url=url, api_key="k", default_headers=headers) as client:
        return client.messages.create(model="claude-opus-4-5", max_tokens=9, messages=HELLO)


def of_gemini(url: str, headers: Headers) -> Any:
    options: Any = {"base_url": url, "headers": headers}
    with genai.Client(api_key="k", http_options=options) as client:
        return client.models.generate_content(model="gemini-2.5-flash", contents="hello")


def of_mistral(url: str, headers: Headers) -> Any:
    with Mistral(api_key="k", server_url=url) as client:
        return client.chat.complete(
            model="mistral-large-latest", messages=HELLO, http_headers=headers
        )


def of_groq(url: str, headers: Headers) -> Any:
    with groq.Groq(base_url=url, api_key="k", default_headers=headers) as client:
        return client.chat.completions.create(model="llama-3.3-70b-versatile", messages=HELLO)


def of_ollama(url: str, headers: Headers) -> Any:
    with ollama.Client(host=url, headers=headers) as client:
        return client.chat(model="llama3.2", messages=HELLO)


@pytest.mark.parametrize(
    ("ask", "error"),
    [
        (of_openai, openai.RateLimitError),
        (of_openai_responses, openai.RateLimitError),
        (of_anthropic, anthropic.RateLimitError),
        (of_gemini, errors.ClientError),
        (of_mistral, SDKError),
        (of_groq, groq.RateLimitError),
        (of_ollama, ollama.ResponseError),
    ],
)
def test_sdks_show_a_spent_budget_and_do_not_retry(
    spent: Ledger,
    provider: Provider,
    ask: Callable[[str, Headers], Any],
    error: type[Exception],
) -> None:
    session = str(uuid4())
    with pytest.raises(error, match=SPENT):
        ask(spent.url, {"x-agentledger-session-id": session})
    assert spent.call(session)["outcome"] == "refused"
    assert provider.counts()["received"] == 0


def test_coheres_sdk_retries_whatever_the_response_says(spent: Ledger, provider: Provider) -> None:
    """It knows no x-should-retry: AGENTLEDGER_BUDGET_STATUS=403 is what it does not try again."""
    session = str(uuid4())
    options: Any = {"additional_headers": {"x-agentledger-session-id": session}}
    client = cohere.ClientV2("k", base_url=spent.url, httpx_client=(http := httpx.Client()))
    with http, pytest.raises(cohere.TooManyRequestsError, match=SPENT):
        client.chat(model="command-a-03-2025", messages=HELLO, request_options=options)
    assert len(spent.calls(session, count=3)) == 3
    assert provider.counts()["received"] == 0


# --- streams that a budget ends ---


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def ending(
    request: pytest.FixtureRequest, _provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    env = PRICING | {"AGENTLEDGER_BUDGET_SESSION": "0.1", "AGENTLEDGER_BUDGET_MIDSTREAM": "1"}
    folder = tmp_path_factory.mktemp(request.param)
    with Ledger(folder, _provider.url, server=request.param, env=env) as ledger:
        yield ledger


WORDS = ["word "] * 2000
ENDED = "this stream has used up what was left of its budget"


def stream_of_openai(url: str, headers: Headers) -> Iterator[Any]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="k", default_headers=headers) as client:
        yield from client.chat.completions.create(
            model="penny", messages=HELLO, max_tokens=10, stream=True
        )


def stream_of_responses(url: str, headers: Headers) -> Iterator[Any]:
    with openai.OpenAI(base_url=f"{url}/v1", api_key="k", default_headers=headers) as client:
        yield from client.responses.create(
            model="penny", input="hello", max_output_tokens=10, stream=True
        )


def stream_of_anthropic(url: str, headers: Headers) -> Iterator[Any]:
    with anthropic.Anthropic(base_url=url, api_key="k", default_headers=headers) as client:
        yield from client.messages.create(model="penny", max_tokens=10, messages=HELLO, stream=True)


def stream_of_gemini(url: str, headers: Headers) -> Iterator[Any]:
    options: Any = {"base_url": url, "headers": headers}
    config: Any = {"max_output_tokens": 10}
    with genai.Client(api_key="k", http_options=options) as client:
        yield from client.models.generate_content_stream(
            model="penny", contents="hello", config=config
        )


def gemini_events() -> list[bytes]:
    """Each tells how many tokens there are by now."""
    events = []
    for n, word in enumerate(WORDS, start=1):
        usage = {"promptTokenCount": 9, "candidatesTokenCount": n, "totalTokenCount": n + 9}
        content = {"role": "model", "parts": [{"text": word}]}
        events.append({"candidates": [{"content": content}], "usageMetadata": usage})
    return canned.data_events(events, done=False)


@pytest.mark.parametrize(
    ("ask", "pieces", "error"),
    [
        (
            stream_of_openai,
            canned.data_events(canned.chat_chunks(WORDS, usage=False, model="penny")),
            openai.APIError,
        ),
        (
            stream_of_responses,
            canned.named_events(canned.response_events(WORDS)),
            openai.APIError,
        ),
        (
            stream_of_anthropic,
            canned.named_events(canned.message_events(WORDS)),
            anthropic.APIStatusError,
        ),
        (stream_of_gemini, gemini_events(), errors.APIError),
    ],
)
def test_a_stream_that_costs_more_than_is_left_is_ended(
    ending: Ledger,
    provider: Provider,
    ask: Callable[[str, Headers], Iterator[Any]],
    pieces: list[bytes],
    error: type[Exception],
) -> None:
    session = str(uuid4())
    steps = canned.stream(pieces)
    slow = [step for one in steps[:-1] for step in (one, canned.sleep(0.002))]
    provider.response(*slow, steps[-1])
    n = 0
    with pytest.raises(error, match=ENDED):
        for _ in ask(ending.url, {"x-agentledger-session-id": session}):
            n += 1
    assert 50 < n < 400
    wait_until(lambda: provider.counts()["aborted"] == 1)
    call = ending.call(session)
    assert call["outcome"] == "upstream_error"
    assert ENDED in call["error_detail"]
    used = settled(ending, "budget_session", session_id=session)["used"]
    # A look at the stream is taken when it has grown by a quarter.
    assert 10 * CENT <= used <= 16 * CENT
    assert abs(used - Decimal(str(call["cost_usd"]))) <= CENT


def test_a_stream_gets_what_is_left(ending: Ledger, provider: Provider) -> None:
    """It costs six times what it was expected to, and the budget has that."""
    pieces = canned.data_events(canned.chat_chunks(["word "] * 60, usage=False, model="penny"))
    provider.response(*canned.stream(pieces))
    session = str(uuid4())
    assert len(list(stream_of_openai(ending.url, {"x-agentledger-session-id": session}))) == 62
    assert settled(ending, "budget_session", session_id=session)["used"] > 6 * CENT


# --- WebSockets ---


@pytest.mark.parametrize("of", ["session", "token"])
def test_turns_of_a_websocket_are_charged_and_refused(tmp_path: Path, of: str) -> None:
    env = {"AGENTLEDGER_BUDGET_SESSION": "0.005"} if of == "session" else {}
    with (
        SocketProvider(realtime) as provider,
        Ledger(tmp_path, provider.url, env=env) as ledger,
    ):
        headers = {"x-agentledger-session-id": "s"}
        whose = {"session_id": "s"}
        if of == "token":
            wait_until(lambda: ledger.get("/api/sessions").status_code == 200)
            headers["x-agentledger-ingest-key"] = token(ledger, "crawler", "0.005")
            whose = {"ingest_token": "crawler"}
            wait_until(lambda: ledger.get("/api/limits", params=whose).json())
        url = address(ledger, "/v1/realtime?model=gpt-realtime")
        with connect(url, additional_headers=headers) as socket:
            hear(socket)
            content = [{"type": "input_text", "text": "The capital of France?"}]
            item = {"type": "message", "role": "user", "content": content}
            say(socket, {"type": "conversation.item.create", "item": item})
            say(socket, {"type": "response.create"})
            while hear(socket)["type"] != "response.done":
                pass
            assert settled(ledger, f"budget_{of}", **whose)["used"] == Decimal("0.00528")
            say(socket, {"type": "response.create"})
            with pytest.raises(ConnectionClosed) as closed:
                while True:
                    hear(socket)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008
        [key] = whose.values()
        assert f"The {of} budget of {key} is spent" in closed.value.rcvd.reason
        assert [c["outcome"] for c in ledger.calls("s", count=2)] == ["completed", "refused"]
