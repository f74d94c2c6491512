"""Budgets hold, however many calls come at once and however they end: through a running proxy, with
the official SDKs."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from uuid import uuid4

import anthropic
import httpx
import openai
import pytest
from google import genai
from google.genai import errors

from tests.conftest import Opened
from tests.support import canned
from tests.support.ledger import Ledger, ServerName, wait_until
from tests.support.provider import Provider
from tests.support.raw import connect, request
from tests.support.spending import (
    ALL_AT_ONCE_S,
    CENT,
    HELLO,
    PRICING,
    at_once,
    call,
    client,
    one,
    program,
    settled,
    standing,
)

SERVERS: tuple[ServerName, ...] = ("daphne", "uvicorn")
HEADERS = {"session": "session_id", "agent": "agent_name", "user": "user_id"}


def ledger_with(
    request: pytest.FixtureRequest,
    provider: Provider,
    tmp_path_factory: pytest.TempPathFactory,
    **variables: str,
) -> Ledger:
    env = PRICING | {f"AGENTLEDGER_{name}": value for name, value in variables.items()}
    server: ServerName = getattr(request, "param", "daphne")
    return Ledger(tmp_path_factory.mktemp("budgets"), provider.url, server=server, env=env)


@pytest.fixture(scope="module", params=SERVERS)
def dime(
    request: pytest.FixtureRequest, _provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    """Ten cents for each session, each agent and each user."""
    ten = dict.fromkeys(("BUDGET_SESSION", "BUDGET_AGENT", "BUDGET_USER"), "0.1")
    with ledger_with(request, _provider, tmp_path_factory, **ten) as ledger:
        yield ledger


@pytest.mark.parametrize("whose", HEADERS)
def test_of_a_hundred_calls_at_once_ten_pass(dime: Ledger, provider: Provider, whose: str) -> None:
    program(provider, after_s=ALL_AT_ONCE_S)
    key = {HEADERS[whose]: str(uuid4())}
    assert at_once(100, dime, **key) == {"passed": 10, "budget_reserved": 90}
    assert provider.counts()["received"] == 10
    found = settled(dime, f"budget_{whose}", **key)
    assert (found["used"], found["left"], found["limit"]) == (10 * CENT, 0, 10 * CENT)
    assert (found["resets_at"] is None) == (whose == "session")
    assert at_once(20, dime, **key) == {"budget_exceeded": 20}
    assert provider.counts()["received"] == 10


@pytest.mark.parametrize("server", SERVERS)
def test_the_daily_budget_of_all_calls(
    provider: Provider, tmp_path_factory: pytest.TempPathFactory, server: ServerName
) -> None:
    env = PRICING | {"AGENTLEDGER_BUDGET_DAILY": "0.1"}
    program(provider, after_s=ALL_AT_ONCE_S)
    with Ledger(tmp_path_factory.mktemp("d"), provider.url, server=server, env=env) as ledger:
        assert at_once(100, ledger) == {"passed": 10, "budget_reserved": 90}
        found = settled(ledger, "budget_daily")
        assert (found["key"], found["used"], found["left"]) == (None, 10 * CENT, 0)
        assert found["resets_at"].endswith("T00:00:00+00:00")
        assert call(ledger, session_id="any") == "budget_exceeded"


def test_a_spent_budget_is_explained_and_not_retried(dime: Ledger, provider: Provider) -> None:
    program(provider, tokens_out=100)
    session = str(uuid4())
    assert call(dime, session_id=session) == "passed"
    settled(dime, "budget_session", session_id=session)
    began = time.monotonic()
    asking = openai.OpenAI(
        base_url=f"{dime.url}/v1",
        api_key="k",
        default_headers={"x-agentledger-session-id": session},
    )
    with asking, pytest.raises(openai.RateLimitError) as raised:
        asking.chat.completions.create(model="penny", messages=HELLO, stream=True)
    assert time.monotonic() - began < 5
    error = raised.value
    said = f"The session budget of {session} is spent: 0.1 of 0.1 USD; it resets never."
    assert said in str(error)
    assert (error.code, error.type) == ("budget_exceeded", "insufficient_quota")
    assert error.response.headers["x-should-retry"] == "false"
    assert "retry-after" not in error.response.headers
    refused = dime.calls(session, count=2)[1]
    assert (refused["outcome"], refused["status_code"], refused["cost_usd"]) == ("refused", 429, 0)
    assert refused["action_id"] == error.response.headers["x-agentledger-action-id"]
    assert refused["refusal"] == {
        "code": "budget_exceeded",
        "n_calls": 1,
        "budget": "session",
        "key": session,
        "spent_usd": "0.1",
        "reserved_usd": "0",
        "limit_usd": "0.1",
        "resets_at": None,
    }
    assert refused["budget_warning"] is None
    claude = anthropic.Anthropic(
        base_url=dime.url, api_key="k", default_headers={"x-agentledger-session-id": session}
    )
    with claude, pytest.raises(anthropic.RateLimitError, match="The session budget of"):
        claude.messages.create(model="claude-opus-4-5", max_tokens=9, messages=HELLO)
    assert len(dime.calls(session, count=3)) == 3


def test_a_call_refused_by_reservations_is_retried_and_passes(
    dime: Ledger, provider: Provider
) -> None:
    """It is expected to cost all of the budget, and costs a cent."""
    program(provider, tokens_out=1, after_s=0.5)
    session = str(uuid4())

    async def both() -> list[str]:
        async with client(dime, 2, session_id=session) as asking:
            return await asyncio.gather(*[one(asking, model="dime") for _ in range(2)])

    began = time.monotonic()
    assert asyncio.run(both()) == ["passed", "passed"]
    assert 1 <= time.monotonic() - began < 30
    calls = dime.calls(session, count=3)
    assert sorted(c["outcome"] for c in calls) == ["completed", "completed", "refused"]
    [refused] = [c for c in calls if c["refusal"]]
    assert refused["refusal"]["code"] == "budget_reserved"
    assert settled(dime, "budget_session", session_id=session)["used"] == 2 * CENT


def test_responses_say_what_is_left(dime: Ledger, provider: Provider, opened: Opened) -> None:
    program(provider)
    session, agent = str(uuid4()), str(uuid4())
    headers = {"x-agentledger-session-id": session, "x-agentledger-agent-name": agent}
    asking = opened(openai.OpenAI(base_url=f"{dime.url}/v1", api_key="k", default_headers=headers))
    left = []
    for _ in range(3):
        response = asking.chat.completions.with_raw_response.create(
            model="penny", messages=HELLO, max_tokens=10
        )
        left.append(Decimal(response.headers["x-agentledger-budget-remaining-usd"]))
    assert left == [10 * CENT, 9 * CENT, 8 * CENT]
    nobody = opened(openai.OpenAI(base_url=f"{dime.url}/v1", api_key="k"))
    free = nobody.chat.completions.with_raw_response.create(model="penny", messages=HELLO)
    assert "x-agentledger-budget-remaining-usd" not in free.headers


def test_a_budget_is_exceeded_by_no_more_than_calls_cost_beyond_their_reservation(
    dime: Ledger, provider: Provider
) -> None:
    program(provider, tokens_out=30, after_s=ALL_AT_ONCE_S)
    session = str(uuid4())
    assert at_once(50, dime, session_id=session) == {"passed": 10, "budget_reserved": 40}
    found = settled(dime, "budget_session", session_id=session)
    assert (found["used"], found["left"]) == (30 * CENT, 0)
    assert at_once(20, dime, session_id=session) == {"budget_exceeded": 20}


def test_a_call_that_fails_before_the_provider_works_costs_nothing(
    dime: Ledger, provider: Provider
) -> None:
    session = str(uuid4())
    overloaded = {"error": {"message": "overloaded", "type": "x", "code": "overloaded"}}
    provider.response(*canned.as_json(overloaded, 503), times=5)
    for _ in range(5):
        assert call(dime, session_id=session) == "overloaded"
    assert settled(dime, "budget_session", session_id=session)["used"] == 0


# --- streams, and agents that hang up ---

CHUNKS = canned.chat_chunks(["word "] * 50, usage=False, model="penny")


async def stream(asking: openai.AsyncOpenAI, n_chunks: int | None, **more: Any) -> None:
    """Reads so many chunks, then hangs up."""
    stream = await asking.chat.completions.create(
        model="penny", messages=HELLO, max_tokens=10, stream=True, **more
    )
    n = 0
    async for _ in stream:
        n += 1
        if n == n_chunks:
            break
    await stream.close()


def test_streams_count_with_and_without_usage(dime: Ledger, provider: Provider) -> None:
    with_usage, without = str(uuid4()), str(uuid4())

    async def both() -> None:
        async with client(dime, session_id=with_usage) as asking:
            provider.response(
                *canned.stream(canned.data_events(canned.chat_chunks(["a"] * 20, model="penny"))),
                times=1,
            )
            await stream(asking, None, stream_options={"include_usage": True})
        async with client(dime, session_id=without) as asking:
            provider.response(*canned.stream(canned.data_events(CHUNKS)), times=1)
            await stream(asking, None)

    asyncio.run(both())
    assert settled(dime, "budget_session", session_id=with_usage)["used"] == 2 * CENT
    used = settled(dime, "budget_session", session_id=without)["used"]
    recorded = dime.call(without)
    assert recorded["usage_source"] == "estimated"
    assert used == Decimal(str(recorded["cost_usd"])) > CENT


def test_hanging_up_repeatedly_is_no_way_round_a_budget(dime: Ledger, provider: Provider) -> None:
    provider.response(
        *canned.stream(canned.data_events(CHUNKS[:15], done=False))[:-1], *[canned.sleep(0.1)] * 300
    )
    session = str(uuid4())

    async def until_refused() -> int:
        async with client(dime, session_id=session) as asking:
            for n in range(100):
                try:
                    await stream(asking, 10)
                except openai.RateLimitError as error:
                    if error.code == "budget_exceeded":
                        return n
                    await asyncio.sleep(0.1)
        raise AssertionError("never refused")

    assert 3 <= asyncio.run(until_refused()) < 40
    found = settled(dime, "budget_session", session_id=session)
    assert found["used"] >= 10 * CENT

    def hung_up() -> list[dict[str, Any]]:
        response = dime.get(f"/session/{session}")
        calls = response.json() if response.status_code == 200 else []  # not recorded yet
        return [call for call in calls if call["outcome"] == "client_left"]

    wait_until(lambda: len(hung_up()) >= 3)
    left = hung_up()
    assert {c["usage_source"] for c in left} == {"estimated"}
    assert min(c["cost_usd"] for c in left) > 0


def test_hanging_up_before_a_response_costs_the_estimate(dime: Ledger, provider: Provider) -> None:
    provider.response(canned.HANG)
    session = str(uuid4())
    body = b'{"model": "unheard", "messages": [], "max_tokens": 40}'
    for n in range(1, 4):
        sock = connect(dime.url)
        headers = [("x-agentledger-session-id", session)]
        sock.sendall(request("POST", "/v1/chat/completions", headers, body))
        # Mypy infers no type for a default of a lambda.
        wait_until(lambda n=n: provider.counts()["received"] == n)  # type: ignore[misc]
        sock.close()
        wait_until(
            lambda n=n: (  # type: ignore[misc]  # mypy infers no type for a default of a lambda
                standing(dime, "budget_session", session_id=session)["used"] == n * 4 * CENT
            )
        )
    assert call(dime, session_id=session) == "budget_exceeded"
    first = dime.calls(session, count=4)[0]
    assert (first["outcome"], first["cost_usd"]) == ("client_left", None)
    assert first["notes"] == ["its cost is unknown; budgets were charged the estimate of 0.04 USD"]


# --- what operators may want otherwise ---


def test_warn_lets_calls_pass_and_marks_them(
    provider: Provider, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    program(provider, tokens_out=100)
    variables = {"BUDGET_SESSION": "0.1", "BUDGET_DAILY": "9", "BUDGET_ACTION": "warn"}
    with ledger_with(request, provider, tmp_path_factory, **variables) as ledger:
        assert [call(ledger, session_id="s") for _ in range(3)] == ["passed"] * 3
        marks = [c["budget_warning"] for c in ledger.calls("s", count=3)]
    spent = {"budget": "session", "key": "s", "limit_usd": "0.1"}
    assert marks[0] is None
    assert marks[1] == [{**spent, "spent_usd": "0.1"}]
    assert marks[2] == [{**spent, "spent_usd": "0.2"}]


def test_both_refuses_and_marks(
    provider: Provider, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    program(provider, tokens_out=100)
    variables = {"BUDGET_SESSION": "0.1", "BUDGET_ACTION": "both", "BUDGET_STATUS": "403"}
    with ledger_with(request, provider, tmp_path_factory, **variables) as ledger:
        assert [call(ledger, session_id="s") for _ in range(2)] == ["passed", "budget_exceeded"]
        refused = ledger.calls("s", count=2)[1]
    assert (refused["outcome"], refused["status_code"]) == ("refused", 403)
    [mark] = refused["budget_warning"]
    assert (mark["budget"], mark["key"], Decimal(mark["spent_usd"])) == ("session", "s", 10 * CENT)


@pytest.mark.parametrize(
    ("status", "of_openai", "of_anthropic"),
    [
        ("402", openai.APIStatusError, anthropic.PaymentRequiredError),
        ("403", openai.PermissionDeniedError, anthropic.PermissionDeniedError),
    ],
)
def test_spent_budgets_may_refuse_with_another_status(
    provider: Provider,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
    status: str,
    of_openai: type[openai.APIStatusError],
    of_anthropic: type[anthropic.APIStatusError],
) -> None:
    variables = {"BUDGET_DAILY": "0", "BUDGET_STATUS": status}
    with ledger_with(request, provider, tmp_path_factory, **variables) as ledger:
        asking = openai.OpenAI(base_url=f"{ledger.url}/v1", api_key="k")
        said = "The daily budget is spent"
        with (
            asking,
            pytest.raises(of_openai, match="The daily budget is spent: 0 of 0 USD") as raised,
        ):
            asking.chat.completions.create(model="penny", messages=HELLO)
        assert raised.value.status_code == int(status)
        claude = anthropic.Anthropic(base_url=ledger.url, api_key="k")
        with claude, pytest.raises(of_anthropic, match=said):
            claude.messages.create(model="claude-opus-4-5", max_tokens=9, messages=HELLO)
        options: Any = {"base_url": ledger.url}
        with (
            genai.Client(api_key="k", http_options=options) as gemini,
            pytest.raises(errors.ClientError, match=said) as of_gemini,
        ):
            gemini.models.generate_content(model="gemini-2.5-flash", contents="hello")
        assert of_gemini.value.code == int(status)
    assert provider.counts()["received"] == 0


@pytest.mark.parametrize("unpriced", ["pass", "block"])
def test_a_model_without_a_price_passes_or_is_refused(
    provider: Provider,
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
    unpriced: str,
    opened: Opened,
) -> None:
    variables = {"BUDGET_SESSION": "1", "BUDGET_UNPRICED": unpriced}
    with ledger_with(request, provider, tmp_path_factory, **variables) as ledger:
        headers = {"x-agentledger-session-id": "s"}
        url = f"{ledger.url}/v1"
        asking = opened(openai.OpenAI(base_url=url, api_key="k", default_headers=headers))
        if unpriced == "pass":
            asking.chat.completions.create(model="nobodys", messages=HELLO)
            [warning] = ledger.call("s")["budget_warning"]
            assert (warning["budget"], warning["key"]) == ("unpriced", "nobodys")
            return
        with pytest.raises(openai.RateLimitError, match="nobodys has no price") as raised:
            asking.chat.completions.create(model="nobodys", messages=HELLO)
        assert raised.value.response.headers["x-should-retry"] == "false"
        assert ledger.call("s")["refusal"]["code"] == "budget_unpriced"
    assert provider.counts()["received"] == 0


def background(id_: str, status: str, tokens_out: int = 0) -> dict[str, Any]:
    usage = {"input_tokens": 12, "output_tokens": tokens_out, "total_tokens": 12 + tokens_out}
    return {
        "id": id_,
        "object": "response",
        "model": "penny",
        "status": status,
        "background": True,
        "output": [],
        "usage": usage if status == "completed" else None,
        "error": None,
    }


def deferred(id_: str, tokens_out: int) -> dict[str, Any]:
    usage = {"prompt_tokens": 12, "completion_tokens": tokens_out, "total_tokens": 12 + tokens_out}
    return {**canned.chat("late", model="penny"), "usage": usage}


NOT_YET = canned.whole(b"", status=202, headers=[])


@pytest.mark.parametrize(
    ("path", "body", "asked", "polls", "answer", "fetched_from"),
    [
        (
            "/v1/responses",
            {"model": "penny", "input": "work", "max_output_tokens": 50, "background": True},
            canned.as_json(background("resp_1", "queued")),
            [canned.as_json(background("resp_1", "in_progress"))],
            canned.as_json(background("resp_1", "completed", 20)),
            "/v1/responses/resp_1",
        ),
        (
            "/v1/chat/completions",
            {"model": "penny", "messages": HELLO, "max_tokens": 50, "deferred": True},
            canned.as_json({"request_id": "late-1"}),
            [NOT_YET, canned.as_json({"error": "not found"}, status=404)],
            canned.as_json(deferred("late-1", 20)),
            "/v1/chat/deferred-completion/late-1",
        ),
    ],
)
def test_a_response_that_comes_later_costs_what_it_cost_once_it_is_fetched(
    dime: Ledger,
    provider: Provider,
    path: str,
    body: Any,
    asked: Any,
    polls: list[Any],
    answer: Any,
    fetched_from: str,
) -> None:
    session = str(uuid4())
    headers = {"x-agentledger-session-id": session}

    def spent() -> tuple[Decimal, Decimal]:
        found = standing(dime, "budget_session", session_id=session)
        return found["used"], found["reserved"]

    def fetch(steps: Any) -> None:
        provider.response(*steps, times=1)
        httpx.get(f"{dime.url}{fetched_from}", headers=headers, timeout=30)

    provider.response(*asked, times=1)
    assert httpx.post(f"{dime.url}{path}", json=body, headers=headers).status_code == 200
    used, held = spent()  # the estimate, which earlier calls of the model decide too
    assert used == 0 and 0 < held <= 5 * CENT
    for poll in polls:
        fetch(poll)
        assert spent() == (Decimal(0), held)
    for _ in range(2):
        fetch(answer)
        assert spent() == (2 * CENT, Decimal(0))
    dime.stop()
    dime.start()
    assert spent() == (2 * CENT, Decimal(0))
