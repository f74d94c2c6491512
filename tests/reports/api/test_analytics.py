"""Figures over time: /api/analytics, from the rollups that the recorder keeps up."""

from __future__ import annotations

import csv
import io
import math
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.ledger import histogram
from tests.capture.ledger.test_stored_responses import client, event, response
from tests.conftest import STACKS, running_on
from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider

Figures = dict[str, Any]
BY = {
    "model": "model_id",
    "provider": "provider",
    "agent": "agent_name",
    "user": "user_id",
    "app": "app_id",
    "environment": "environment",
}
SUMS = (
    *("tokens_in", "tokens_out", "tokens_cache_read", "tokens_cache_write", "tokens_reasoning"),
    *("cost_usd", "cache_savings_usd"),
)


def analytics(ledger: Ledger, query: str = "", **parameters: Any) -> Figures:
    response = ledger.get(f"/api/analytics{query}", params=parameters or None)
    assert response.status_code == 200, response.text
    figures: Figures = response.json()
    return figures


# --- histograms ---

durations = st.lists(st.floats(1, 70_000_000), min_size=1, max_size=200)


def stored(values: Iterable[float]) -> bytes:
    return histogram.add_durations(b"", [histogram.bucket_of(value) for value in values])


@given(durations, st.sampled_from([0.0, 0.5, 0.95, 0.99, 1.0]))
def test_a_percentile_is_within_5_percent(values: list[float], share: float) -> None:
    exact = sorted(values)[max(1, math.ceil(share * len(values) - 1e-9)) - 1]
    [percentile] = histogram.percentiles(histogram.to_integer(stored(values)), [share]) or []
    assert abs(percentile - exact) <= 0.05 * exact


@given(durations, durations, durations)
def test_histograms_merge_in_any_order(a: list[float], b: list[float], c: list[float]) -> None:
    x, y, z = (histogram.to_integer(stored(values)) for values in (a, b, c))
    assert (x + y) + z == x + (y + z) == histogram.to_integer(stored([*c, *a, *b]))
    buckets = [histogram.bucket_of(value) for value in b]
    assert histogram.to_integer(histogram.add_durations(stored(a), buckets)) == x + y


@given(st.lists(st.tuples(st.integers(0, 191), st.integers(1, 70_000)), min_size=1, max_size=5))
@settings(max_examples=25)
def test_a_bucket_holds_any_number(counts: list[tuple[int, int]]) -> None:
    data, expected = b"", 0
    for bucket, n in counts:
        data = histogram.add_durations(data, [bucket] * n)
        expected += n << (64 * bucket)
    assert histogram.to_integer(data) == expected


def test_durations_that_no_call_has_are_counted_all_the_same() -> None:
    whole = histogram.to_integer(stored([-1, 0, 0.2, 1e12, math.inf]))
    assert histogram.percentiles(whole, [0.5]) == [1.0]
    assert histogram.percentiles(0, [0.5]) is None


# --- sums over calls ---


@pytest.fixture(scope="module", params=STACKS)
def busy(
    request: pytest.FixtureRequest, _provider: Provider
) -> Iterator[tuple[Ledger, list[Figures]]]:
    """A ledger with calls of many kinds, and these calls."""
    _provider.reset()
    with running_on(request.param, request, AGENTLEDGER_MODELS_DENY="forbidden*") as ledger:
        ids = [make_a_call(ledger, _provider, random.Random(number)) for number in range(60)]
        ids += resumed(ledger, _provider)
        yield ledger, [ledger.explain(id_) for id_ in ids]


def make_a_call(ledger: Ledger, provider: Provider, random: random.Random) -> str:
    model = random.choice(["gpt-4o", "gpt-4o-mini", "house-model", "forbidden-model"])
    names = {
        "agent-name": random.choice(["researcher", "writer", "=cmd|' /C calc'!A0"]),
        "user-id": random.choice(["ann", "bob", None]),
        "app-id": random.choice(["shop", None]),
        "environment": random.choice(["production", "staging", None]),
        "session-id": random.choice(["run-1", "run-2", None]),
    }
    kind = random.choice(["plain", "plain", "stream", "error"])
    if kind == "error":
        provider.response(*canned.as_json({"error": {"message": "no"}}, 500), times=1)
    elif model == "house-model":
        provider.response(*canned.as_json(canned.chat("x", model=model)), times=1)
    response = httpx.post(
        f"{ledger.url}/v1/chat/completions",
        json={
            "model": model,
            "messages": [{"role": "user", "content": "hello"}],
            "stream": kind == "stream" and model != "house-model",
        },
        headers={f"x-agentledger-{name}": value for name, value in names.items() if value},
    )
    provider.reset()
    action_id: str = response.headers["x-agentledger-action-id"]
    return action_id


def resumed(ledger: Ledger, provider: Provider) -> list[str]:
    """A stream that is cut, and the fetch that takes back what was estimated of it."""
    begun = event("response.created", sequence_number=0, response=response("r", "in_progress"))
    place = {"sequence_number": 1, "item_id": "m", "output_index": 0, "content_index": 0}
    delta = event("response.output_text.delta", **place, delta="Do", logprobs=[])
    chunked = canned.head(200, [*canned.SSE_TYPE, ("transfer-encoding", "chunked")])
    pieces = canned.send(chunked), canned.send(canned.chunk(begun + delta))
    provider.response(*pieces, canned.CLOSE, times=1)
    with client(ledger, "resumed") as agent:
        with pytest.raises(openai.APIConnectionError):
            list(agent.responses.create(model="gpt-4o", input="Work", stream=True))
        ledger.calls("resumed")
        provider.response(*canned.as_json(response("r", "completed")), times=1)
        agent.responses.retrieve("r")
    provider.reset()
    return [call["action_id"] for call in ledger.calls("resumed", count=2)]


def expected(calls: list[Figures]) -> Figures:
    """What analytics should say of these calls."""
    sums: Figures = {
        "call_count": len(calls),
        "refused_count": sum(call["outcome"] == "refused" for call in calls),
        "error_count": sum(call["outcome"] not in ("completed", "refused") for call in calls),
        "cost_unknown_calls": sum(call["cost_usd"] is None for call in calls),
    }
    for name in SUMS:
        known = [Decimal(str(call[name])) for call in calls if call[name] is not None]
        sums[name] = float(sum(known)) if known else None
    return sums


def known_figures(figures: Figures) -> Figures:
    values = {name: figures[name] for name in expected([])}
    return {name: None if value is None else round(value, 10) for name, value in values.items()}


def check_percentiles(figures: Figures, calls: list[Figures]) -> None:
    for name in ("latency", "ttft"):
        sent = [call for call in calls if call["outcome"] != "refused"]
        values = sorted(call[f"{name}_ms"] for call in sent if call[f"{name}_ms"] is not None)
        for percentile in (50, 95, 99):
            ms = figures[f"{name}_p{percentile}_ms"]
            if not values:
                assert ms is None
                continue
            exact = values[max(1, math.ceil(percentile * len(values) / 100)) - 1]
            assert ms == pytest.approx(exact, rel=0.05, abs=1.0)


def test_the_total_is_that_of_the_calls(busy: tuple[Ledger, list[Figures]]) -> None:
    ledger, calls = busy
    for interval in ("hour", "day"):
        total = analytics(ledger, interval=interval)["total"]
        assert known_figures(total) == expected(calls)
        check_percentiles(total, calls)
        assert total["refused_count"] > 0 < total["error_count"]
        assert total["cost_unknown_calls"] > 0
        assert total["cache_share"] == pytest.approx(
            total["tokens_cache_read"] / total["tokens_in"]
        )


@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("limit", [1, 100])
def test_groups_are_those_of_the_calls(
    busy: tuple[Ledger, list[Figures]], by: str, limit: int
) -> None:
    ledger, calls = busy
    name = BY[by]
    grouped: dict[str | None, list[Figures]] = defaultdict(list)
    for call in calls:
        grouped[call[name]].append(call)
    response = analytics(ledger, by=by, limit=limit, interval="hour")
    groups = response["groups"]
    named = [group for group in groups if not group["is_other"]]
    assert len(named) == min(limit, len(grouped))
    for group in named:
        assert known_figures(group) == expected(grouped[group[name]])
        check_percentiles(group, grouped[group[name]])
    costs = [group["cost_usd"] or 0 for group in named]
    assert costs == sorted(costs, reverse=True)
    rest = [call for call in calls if call[name] not in {group[name] for group in named}]
    others = [group for group in groups if group["is_other"]]
    assert len(others) == bool(rest)
    for other in others:
        assert other[name] is None
        unknown = {key: value for key, value in expected(rest).items() if value == 0}
        assert known_figures(other) | unknown == expected(rest)
        check_percentiles(other, rest)
    for key in ("call_count", "error_count", "cost_usd"):
        points = sum(point[key] or 0 for point in response["series"])
        assert points == pytest.approx(response["total"][key])


FILTERS: list[dict[str, str]] = [
    {"model_id": "gpt-4o"},
    {"agent_name": "writer", "environment": "production"},
    {"agent_name": "writer", "environment": "development", "app_id": "shop", "by": "model"},
    {"provider": "openai", "by": "agent"},
    {"model_id": "gpt-4o", "by": "model"},
    {"user_id": "ann"},
    {"user_id": "ann", "by": "user"},
    {"agent_name": "nobody", "by": "model"},
    {"agent_name": "nobody"},
]


@pytest.mark.parametrize("query", FILTERS, ids=str)
def test_filters_are_those_of_sessions(
    busy: tuple[Ledger, list[Figures]], query: dict[str, str]
) -> None:
    ledger, calls = busy
    filters = {name: value for name, value in query.items() if name != "by"}
    matching = [call for call in calls if all(call[n] == v for n, v in filters.items())]
    response = analytics(ledger, **query)
    assert known_figures(response["total"]) == expected(matching)
    check_percentiles(response["total"], matching)
    if "by" in query:
        name = BY[query["by"]]
        assert {group[name] for group in response["groups"]} == {call[name] for call in matching}


def test_rollups_are_corrected_with_prices(fresh: Ledger, provider: Provider) -> None:
    provider.response(*canned.as_json(canned.chat("x", model="house-model")), times=2)
    body = {"model": "house-model", "messages": [{"role": "user", "content": "hello"}]}
    with fresh:
        for _ in range(2):
            httpx.post(f"{fresh.url}/v1/chat/completions", json=body)
        fresh.explain(make_a_call(fresh, provider, random.Random(1)))
        wait_until(lambda: analytics(fresh)["total"]["call_count"] == 3)
        before = analytics(fresh, by="model")
        [house] = [g for g in before["groups"] if g["model_id"] == "house-model"]
        assert (house["cost_usd"], house["cost_unknown_calls"]) == (None, 2)
        fresh.env["AGENTLEDGER_PRICING"] = '{"house-model": [1000, 2000]}'
        assert fresh.command("reprice").returncode == 0
        after = analytics(fresh, by="model")
        usd = (house["tokens_in"] * 1000 + house["tokens_out"] * 2000) / 10**6
        assert after["groups"][0]["model_id"] == "house-model"
        assert after["groups"][0]["cost_usd"] == pytest.approx(usd)
        assert after["groups"][0]["cost_unknown_calls"] == 0
        more = after["total"]["cost_usd"] - (before["total"]["cost_usd"] or 0)
        assert more == pytest.approx(usd)
        del fresh.env["AGENTLEDGER_PRICING"]
        assert fresh.command("reprice").returncode == 0
        assert analytics(fresh, by="model") == before


def test_a_flood_of_refused_calls_counts_each(fresh: Ledger, provider: Provider) -> None:
    fresh.env["AGENTLEDGER_MODELS_DENY"] = "m"
    with fresh, httpx.Client() as agent:
        for _ in range(200):
            body = {"model": "m", "messages": []}
            response = agent.post(f"{fresh.url}/v1/chat/completions", json=body)
            assert response.status_code == 403
        wait_until(lambda: analytics(fresh)["total"]["refused_count"] == 200)
        total = analytics(fresh)["total"]
    assert (total["call_count"], total["error_count"], total["latency_p50_ms"]) == (200, 0, None)


# --- ranges ---


def test_a_range_is_widened_to_whole_hours(busy: tuple[Ledger, list[Figures]]) -> None:
    ledger, calls = busy
    first = min(datetime.fromisoformat(call["timestamp"]) for call in calls)
    hour = first.replace(minute=0, second=0, microsecond=0)
    response = analytics(
        ledger,
        since=(hour + timedelta(minutes=59)).isoformat(),
        until=(hour + timedelta(hours=1, minutes=10)).isoformat(),
    )
    assert response["interval"] == "hour"
    assert datetime.fromisoformat(response["since"]) == hour
    assert datetime.fromisoformat(response["until"]) == hour + timedelta(hours=2)
    assert response["total"]["call_count"] == len(calls)
    begin, end = ((hour + timedelta(hours=hours)).isoformat() for hours in (3, 300))
    later = analytics(ledger, since=begin, until=end)
    assert (later["total"]["call_count"], later["series"]) == (0, [])
    assert later["total"]["cost_usd"] is None
    before = analytics(ledger, until=hour.isoformat(), interval="day")
    assert before["total"]["call_count"] == 0


@pytest.mark.parametrize("hours", [1, 5, 23, 24, 30, 47, 24 * 7])
def test_days_that_are_not_whole_have_their_hours(
    busy: tuple[Ledger, list[Figures]], hours: int
) -> None:
    ledger, calls = busy
    end = datetime.now(UTC) + timedelta(hours=1)
    begin = end - timedelta(hours=hours)
    response = analytics(ledger, since=begin.isoformat(), until=end.isoformat(), interval="day")
    matching = [c for c in calls if c["timestamp"] >= response["since"]]
    assert response["total"]["call_count"] == len(matching)
    starts = [point["start"] for point in response["series"]]
    assert starts
    assert [s for s in starts if not response["since"] <= s < response["until"]] == []


def test_a_plus_that_was_not_encoded_is_one(ledger: Ledger, provider: Provider) -> None:
    ledger.explain(make_a_call(ledger, provider, random.Random(1)))
    query = "?since=2026-01-01T00:00:00+00:00&until=2026-01-02T02:00:00+01:00"
    response = analytics(ledger, query)
    assert (response["since"], response["until"]) == (
        "2026-01-01T00:00:00+00:00",
        "2026-01-02T01:00:00+00:00",
    )


# --- bad input ---

BAD = {
    "by=session": "model, provider, agent",
    "interval=week": "hour, day",
    "since=yesterday": "ISO 8601",
    "since=1969-12-31": "from 1970",
    "since=0001-01-01T00:00:00%2B23:59": "ISO 8601",
    "until=9999-12-31T23:59:59-23:00": "ISO 8601",
    "since=2026-01-02&until=2026-01-01": "before `until`",
    "since=2026-01-01&until=2026-01-01": "before `until`",
    "since=2026-01-01&until=2026-03-01&interval=hour": "at most 31 days",
    "since=1970-01-01": "at most 1100 days",
    "limit=0": "from 1 to 100",
    "limit=101": "from 1 to 100",
    "limit=%C2%B2": "from 1 to 100",
    "agent_name=%00": "text of at most",
    "user_id=ann&agent_name=writer": "separate sums",
    "user_id=ann&by=model": "separate sums",
    "by=user&environment=production": "separate sums",
    "format=xml": "json, api, csv",
    "modle=gpt-4o": "model_id",
    "format=csv&interval=week": "hour, day",
}


@pytest.mark.parametrize("query", BAD)
def test_bad_input_is_refused_with_what_is_accepted(stack: Ledger, query: str) -> None:
    response = stack.get(f"/api/analytics?{query}")
    assert response.status_code == 400
    assert BAD[query] in response.text
    assert any(part.split("=")[0] in response.text for part in query.split("&"))


def test_the_key_may_be_a_parameter(fresh: Ledger) -> None:
    fresh.env["AGENTLEDGER_API_KEY"] = "key"
    with fresh:
        wait_until(lambda: fresh.get("/api/analytics?api_key=key").status_code == 200)
        assert fresh.get("/api/analytics").status_code == 401


# --- forms ---


def test_csv_holds_no_formulas(busy: tuple[Ledger, list[Figures]]) -> None:
    ledger, calls = busy
    response = ledger.get("/api/analytics?by=agent&interval=hour&format=csv")
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    assert response.headers["content-disposition"].startswith('attachment; filename="analytics-')
    rows = list(csv.DictReader(io.StringIO(response.text)))
    points = analytics(ledger, by="agent", interval="hour")["series"]
    assert len(rows) == len(points)
    assert any((point["agent_name"] or "").startswith("=") for point in points)
    for row, point in zip(rows, points, strict=True):
        name = point["agent_name"] or ""
        assert row["agent_name"] == (f"'{name}" if name.startswith("=") else name)
        for key in ("call_count", "cost_usd", "cache_savings_usd", "latency_p95_ms"):
            assert row[key] == "" if point[key] is None else float(row[key]) == point[key]
    assert sum(int(row["call_count"]) for row in rows) == len(calls)


def test_a_browser_gets_a_page(stack: Ledger, provider: Provider) -> None:
    stack.explain(make_a_call(stack, provider, random.Random(1)))
    page = stack.get("/api/analytics?by=model", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
