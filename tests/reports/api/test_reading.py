"""Reading the ledger: lists, pages of lists, odd ids, errors, and what a browser gets."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import pytest

from tests.conftest import create_database
from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider
from tests.support.raw import exchange, request

BODY: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


def post(ledger: Ledger, session_id: str | bytes | None = None, **headers: str) -> httpx.Response:
    given: list[tuple[str, str | bytes]] = list(headers.items())
    if session_id is not None:
        raw = session_id.encode() if isinstance(session_id, str) else session_id
        given.append(("x-agentledger-session-id", raw))
    fields = [(name.encode(), v if isinstance(v, bytes) else v.encode()) for name, v in given]
    return httpx.post(f"{ledger.url}/v1/chat/completions", json=BODY, headers=fields)


# --- the list of sessions ---


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def seven(
    request: pytest.FixtureRequest, _provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    """A ledger with the sessions run-0 … run-6, called in this order."""
    _provider.reset()
    env = {}
    if request.param == "postgresql":
        env["AGENTLEDGER_DSN"] = create_database(request.getfixturevalue("postgresql"))
    with Ledger(tmp_path_factory.mktemp("seven"), _provider.url, env=env) as ledger:
        for number in range(7):
            post(ledger, f"run-{number}")
        wait_until(lambda: ledger.n_recorded() == 7)
        yield ledger


def listed(ledger: Ledger, query: str = "") -> tuple[list[str], httpx.Response]:
    response = ledger.get(f"/api/sessions{query}").raise_for_status()
    return [session["session_id"] for session in response.json()], response


NEWEST_FIRST = [f"run-{number}" for number in reversed(range(7))]


def test_the_newest_session_is_first(seven: Ledger) -> None:
    assert listed(seven)[0] == NEWEST_FIRST


@pytest.mark.parametrize(("limit", "offset"), [(3, 0), (3, 3), (3, 6), (7, 0), (1, 2), (5, 100)])
def test_sessions_come_in_pages(seven: Ledger, limit: int, offset: int) -> None:
    ids, response = listed(seven, f"?limit={limit}&offset={offset}")
    assert ids == NEWEST_FIRST[offset : offset + limit]
    assert response.headers["x-total-count"] == "7"
    assert ("next" in response.links) == (offset + limit < 7)
    assert ("prev" in response.links) == (offset > 0)


def test_links_lead_through_all_pages(seven: Ledger) -> None:
    seen = []
    url = f"{seven.url}/api/sessions?limit=3"
    while url:
        response = httpx.get(url)
        seen += [session["session_id"] for session in response.json()]
        url = response.links.get("next", {}).get("url", "")
    assert seen == NEWEST_FIRST


@pytest.mark.parametrize(
    "query", "limit=0 limit=1001 limit=-1 limit=ten limit=1e2 limit= offset=-1 offset=x".split()
)
def test_a_bad_page_is_refused_with_what_is_accepted(seven: Ledger, query: str) -> None:
    response = seven.get(f"/api/sessions?{query}")
    assert response.status_code == 400
    [(name, [accepted])] = response.json().items()
    assert name == query.split("=")[0]
    assert "whole number" in accepted


@pytest.mark.parametrize("column", ["latency_ms", "cost_usd", "tokens_out", "ttft_ms"])
@pytest.mark.parametrize("filter", ["", "&session=run-3", "&model=m&status=ok", "&budget=ok"])
def test_calls_are_sorted_as_the_parameter_says(seven: Ledger, column: str, filter: str) -> None:
    sort = column.removesuffix("_ms").removesuffix("_usd")

    def calls(order: str) -> list[dict[str, Any]]:
        found = seven.get(f"/dashboard/calls.json?sort={order}{filter}").raise_for_status()
        listed: list[dict[str, Any]] = found.json()
        return listed

    n_calls = 1 if "session" in filter else 7
    for order, is_reversed in ((f"-{sort}", True), (sort, False)):
        values = [call[column] for call in calls(order)]
        known = [value for value in values if value is not None]
        assert len(values) == n_calls
        # What is unknown comes last, whatever the order.
        assert values == sorted(known, reverse=is_reversed) + [None] * (len(values) - len(known))
    assert len(calls(f"-{sort}&limit=2")) == min(2, n_calls)


def test_an_empty_ledger_has_no_sessions(fresh: Ledger) -> None:
    with fresh:
        response = fresh.get("/api/sessions")
    assert (response.json(), response.headers["x-total-count"]) == ([], "0")


def test_a_sessions_totals(ledger: Ledger, provider: Provider) -> None:
    session_id = f"run-{uuid4()}"
    headers = {"x-agentledger-agent-name": "a", "x-agentledger-user-id": "u"}
    for _ in range(2):
        post(ledger, session_id, **headers)
    provider.response(*canned.as_json({"error": {"message": "no"}}, 400))
    post(ledger, session_id, **{"x-agentledger-agent-name": "b"})
    calls = ledger.calls(session_id, count=3)
    [session] = [s for s in ledger.sessions() if s["session_id"] == session_id]
    cost = sum(call["cost_usd"] for call in calls[:2])
    assert cost > 0
    assert calls[2]["cost_usd"] is None
    expected = {
        "call_count": 3,
        "error_count": 1,
        "refused_count": 0,
        "total_tokens_in": 24,
        "total_tokens_out": 14,
        "total_cost_usd": cost,
        "total_latency_ms": pytest.approx(sum(call["latency_ms"] for call in calls)),
        "agents": ["a", "b"],
        "users": ["u"],
        "apps": [],
        "environments": ["development"],
    }
    assert {name: session[name] for name in expected} == expected
    assert session["started_at"] == calls[0]["timestamp"]
    assert session["last_call_at"] == calls[2]["timestamp"]


# --- one session ---

ODD_IDS = [
    "a/b",
    "/",
    "//a//",
    "../x",
    "a b",
    "a?b=c&d#e",
    "100%",
    "%2F",
    "ä漢字🙂",
    "<script>alert(1)</script>",
    "'; DROP TABLE call;--",
    '"quoted"',
    "x" * 300,
    "trailing/",
    "a\\b",
    "a+b",
]


@pytest.mark.parametrize("session_id", ODD_IDS)
def test_session_ids_hold_any_characters(
    stack: Ledger, provider: Provider, session_id: str
) -> None:
    action_id = post(stack, session_id).headers["x-agentledger-action-id"]
    [call] = stack.calls(session_id)
    assert (call["session_id"], call["action_id"]) == (session_id, action_id)
    page = stack.get(f"/session/{quote(session_id, safe='')}", headers=BROWSER)
    assert page.status_code == 200
    assert "<script>alert" not in page.text


def test_calls_come_in_time_order(ledger: Ledger, provider: Provider) -> None:
    for _ in range(12):
        post(ledger, "ordered")
    calls = ledger.calls("ordered", count=12)
    times = [datetime.fromisoformat(call["timestamp"]) for call in calls]
    assert times == sorted(times)
    numbers = [call["seq"] for call in calls]
    assert numbers == sorted(numbers)


def test_calls_without_a_session_are_in_none(ledger: Ledger, provider: Provider) -> None:
    call = ledger.explain(post(ledger).headers["x-agentledger-action-id"])
    assert call["session_id"] is None
    assert ledger.get("/session/").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/session/unknown",
        "/session/",
        "/explain/unknown",
        "/explain/01a20c13-d16f-74d4-89cc-0550f9949054",
        "/explain/" + "9" * 400,
        "/explain/%00",
        "/session/%00",
        "/session/%ff",
        "/export/nothing",
        "/dashboard/nothing",
    ],
)
def test_a_missing_resource_is_a_404_in_json(stack: Ledger, path: str) -> None:
    response = stack.get(path)
    assert response.status_code == 404
    assert response.headers["content-type"].startswith("application/json")
    assert response.json()["detail"]


# --- JSON that not all readers take ---

LARGE = 123456789012345678901234567890
ODD_REQUEST = rb"""{"model": "m", "messages": [
    {"role": "user", "content": "cut emoji \ud83d"},
    {"role": "user", "content": "whole", "weight": 1.50e0, "id": 123456789012345678901234567890},
    {"role": "user", "content": "\ud83d", "id": 123456789012345678901234567890, "odd": NaN}
  ], "tools": [{"\ude00": -123456789012345678901234567890}],
  "seed": 123456789012345678901234567890, "limits": [1e30, 9223372036854775808, -1e999]}"""
ODD_ARGUMENTS = '{"id": 123456789012345678901234567890, "text": "\\ud83d"}'


def test_odd_json_can_be_read(stack: Ledger, provider: Provider) -> None:
    tool_call = {"id": "t", "function": {"name": "f", "arguments": ODD_ARGUMENTS}}
    response = canned.chat("x", tool_calls=[tool_call])
    response["usage"]["odd"] = LARGE
    provider.response(*canned.as_json(response))
    session = f"odd-{uuid4()}"
    headers = [("content-type", "application/json"), ("x-agentledger-session-id", session)]
    exchange(stack.url, request("POST", "/v1/chat/completions", headers, ODD_REQUEST))
    post(stack, session)
    call, _ = stack.calls(session, count=2)
    assert [message["content"] for message in call["messages"]] == [
        "cut emoji \ufffd",
        "whole",
        "\ufffd",
    ]
    assert call["messages"][2] == {"role": "user", "content": "\ufffd", "id": LARGE, "odd": "nan"}
    assert call["tools"] == [{"\ufffd": -LARGE}]
    large_float, *limits = call["request_params"]["limits"]
    assert (float(large_float), limits) == (1e30, [2**63, "-inf"])
    assert call["request_params"]["seed"] == LARGE
    assert call["usage"]["odd"] == LARGE
    assert call["tool_calls"][0]["arguments"] == {"id": LARGE, "text": "\ufffd"}
    for path in (f"/session/{session}", f"/explain/{call['action_id']}"):
        raw = stack.get(path).text
        assert '{"role": "user", "content": "whole", "weight": 1.50e0, ' in raw  # as it came
        page = stack.get(path, headers=BROWSER)
        assert page.status_code == 200
        assert str(LARGE) in page.text


def test_deep_json_can_be_read(ledger: Ledger, provider: Provider) -> None:
    deep = b"[" * 900 + b"]" * 900
    body = b'{"model": "m", "messages": [{"role": "user", "content": %b}]}' % deep
    action_id = httpx.post(f"{ledger.url}/v1/chat/completions", content=body).headers[
        "x-agentledger-action-id"
    ]
    ledger.explain(action_id)
    assert deep.decode() in ledger.get(f"/explain/{action_id}").text
    assert ledger.get(f"/explain/{action_id}", headers=BROWSER).status_code == 200


# --- browsers and programs ---


@pytest.mark.parametrize("path", ["/", "/api/sessions", "/session/seen", "/explain/{action_id}"])
def test_a_browser_gets_a_page_and_a_program_json(
    ledger: Ledger, provider: Provider, path: str
) -> None:
    action_id = post(ledger, "seen").headers["x-agentledger-action-id"]
    ledger.explain(action_id)
    path = path.format(action_id=action_id)
    page = ledger.get(path, headers=BROWSER)
    assert page.headers["content-type"].startswith("text/html")
    for accept in ("*/*", "application/json"):
        response = ledger.get(path, headers={"accept": accept})
        assert response.headers["content-type"] == "application/json"
        response.json()
    style_sheets = set(re.findall(r'/static/[^"]+', page.text))
    assert style_sheets
    for style_sheet in style_sheets:
        assert ledger.get(style_sheet).status_code == 200


def test_texts_of_agents_are_escaped_in_pages(ledger: Ledger, provider: Provider) -> None:
    provider.response(*canned.as_json(canned.chat("<img src=x onerror=alert(1)>")))
    action_id = post(ledger, "escaped").headers["x-agentledger-action-id"]
    assert "<img src=x" in ledger.explain(action_id)["content"]
    assert "<img src=x" not in ledger.get(f"/explain/{action_id}", headers=BROWSER).text
