"""GET /api/sessions and /api/sessions/{id}: filters, orders, pages, labels, notes and pins."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest

from tests.conftest import create_database
from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider

PREFIX = "x-agentledger-"


def call(ledger: Ledger, session: str, model: str = "gpt-4o", **fields: str) -> str:
    """One call in this session; its action_id."""
    headers = {PREFIX + "session-id": session}
    headers |= {PREFIX + name.replace("_", "-"): value for name, value in fields.items()}
    raw = [(name.encode(), value.encode()) for name, value in headers.items()]
    body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
    response = httpx.post(f"{ledger.url}/v1/chat/completions", json=body, headers=raw)
    action_id: str = response.headers["x-agentledger-action-id"]
    return action_id


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def filled(
    request: pytest.FixtureRequest, _provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    """Sessions of which each differs from the others in what it can be found by."""
    _provider.reset()
    env = {"AGENTLEDGER_MODELS_DENY": "denied"}
    if request.param == "postgresql":
        env["AGENTLEDGER_DSN"] = create_database(request.getfixturevalue("postgresql"))
    with Ledger(tmp_path_factory.mktemp("filled"), _provider.url, env=env) as ledger:
        call(ledger, "first", agent_name="Планировщик", user_id="ann", environment="production")
        call(ledger, "first", model="gpt-4o-mini", agent_name="writer", app_id="shop")
        for _ in range(3):
            call(ledger, "costly", user_id="bob", app_id="100%_shop")
        _provider.response(*canned.as_json({"error": {"message": "no"}}, 400))
        call(ledger, "failed", agent_name="writer", user_id="Ann-2")
        _provider.reset()
        call(ledger, "refused", model="denied")
        call(ledger, "unpriced", model="nobody-knows-it")
        wait_until(lambda: ledger.n_recorded() == 8)
        patch(ledger, "costly", labels=["incident-7", "Zürich"], pinned=True)
        yield ledger


def patch(ledger: Ledger, session: str, **changes: Any) -> httpx.Response:
    return httpx.patch(f"{ledger.url}/api/sessions/{quote(session, safe='')}", json=changes)


def ids(ledger: Ledger, **query: Any) -> list[str]:
    response = ledger.get("/api/sessions", params=query).raise_for_status()
    found = [session["session_id"] for session in response.json()]
    if "limit" not in query:
        assert response.headers["x-total-count"] == str(len(found))
    return found


ALL = ["unpriced", "refused", "failed", "costly", "first"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"agent_name": "writer"}, ["failed", "first"]),
        ({"agent_name": "Планировщик"}, ["first"]),
        ({"agent_name": "write"}, []),
        ({"user_id": "ann"}, ["first"]),
        ({"app_id": "100%_shop"}, ["costly"]),
        ({"environment": "production"}, ["first"]),
        ({"environment": "development"}, ALL),
        ({"model_id": "gpt-4o"}, ["failed", "costly", "first"]),
        ({"model_id": "gpt-4o", "agent_name": "writer"}, ["failed", "first"]),
        ({"label": "incident-7"}, ["costly"]),
        ({"label": "INCIDENT-7"}, []),
        ({"status": "ok"}, ["unpriced", "costly", "first"]),
        ({"status": "error"}, ["failed"]),
        ({"status": "refused"}, ["refused"]),
        ({"pinned": "true"}, ["costly"]),
        ({"pinned": "0", "user_id": "bob"}, []),
        ({"min_cost": "0.00025"}, ["costly"]),
        ({"min_cost": "1000"}, []),
        ({"q": "ПЛАНИР"}, ["first"]),
        ({"q": "ann"}, ["failed", "first"]),
        ({"q": "ÜRICH"}, ["costly"]),
        ({"q": "%"}, []),
        ({"q": "cost"}, ["costly"]),
        ({"since": "2020-01-01"}, ALL),
        ({"since": "2020-01-01T00:00:00+02:00", "until": "2120-01-01T00:00:00Z"}, ALL),
        ({"until": "2020-01-01 12:00"}, []),
        ({"agent_name": "", "status": "", "since": ""}, ALL),
        ({"order": "started_at"}, ["first", "costly", "failed", "refused", "unpriced"]),
        ({"order": "-error_count", "limit": 1}, ["failed"]),
        ({"order": "-call_count", "limit": 2}, ["costly", "first"]),
        ({"order": "-total_cost_usd", "limit": 2}, ["costly", "first"]),
    ],
    ids=str,
)
def test_sessions_are_found(filled: Ledger, query: dict[str, Any], expected: list[str]) -> None:
    assert ids(filled, **query) == expected


def test_a_plus_that_was_not_encoded_is_an_offset(filled: Ledger) -> None:
    response = filled.get("/api/sessions?since=2020-01-01T00:00:00+02:00")
    assert len(response.raise_for_status().json()) == 5


@pytest.mark.parametrize(
    ("query", "name", "accepted"),
    [
        ("since=yesterday", "since", "ISO 8601"),
        ("until=0001-01-01T00:00:00%2B14:00", "until", "ISO 8601"),
        ("status=fine", "status", "one of ok, error, refused"),
        ("order=price", "order", "-last_call_at"),
        ("min_cost=-1", "min_cost", "a number of USD"),
        ("min_cost=NaN", "min_cost", "a number of USD"),
        ("pinned=perhaps", "pinned", "true or false"),
        ("cursor=x", "cursor", "Link"),
        ("cursor=k60tbGFzdF9jYWxsX2F0AQE", "cursor", "Link"),
        ("agent_name=%00", "agent_name", "text"),
        ("q=" + "x" * 513, "q", "512"),
        ("agentname=writer", "agentname", "known: agent_name"),
        ("limit=1&limit=2", "limit", "once"),
    ],
)
def test_an_unreadable_parameter_is_refused_by_name(
    filled: Ledger, query: str, name: str, accepted: str
) -> None:
    response = filled.get(f"/api/sessions?{query}")
    assert response.status_code == 400
    [(given, [message])] = response.json().items()
    assert given == name
    assert accepted in message


def cursor_of(value: object, id: int = 1, order: str = "-total_cost_usd") -> str:
    """A cursor as the API makes them, of values that it would never put there."""
    packed = msgspec.msgpack.encode((order, value, id))
    return base64.urlsafe_b64encode(packed).decode().rstrip("=")


BEYOND = 2**63  # the first integer that no column holds


@pytest.mark.parametrize(
    "cursor",
    [
        pytest.param(cursor_of(float("nan")), id="NaN"),
        pytest.param(cursor_of(float("inf")), id="infinity"),
        pytest.param(cursor_of(float("-inf")), id="minus infinity"),
        pytest.param(cursor_of(1e300), id="a huge number"),
        pytest.param(cursor_of(BEYOND), id="2^63"),
        pytest.param(cursor_of(0.5, BEYOND), id="the id 2^63"),
        pytest.param(cursor_of(0.5, -1), id="a negative id"),
        pytest.param(cursor_of(datetime(1, 1, 1, tzinfo=UTC)), id="the year 1"),
        pytest.param(cursor_of(datetime(9999, 12, 31, tzinfo=UTC)), id="the year 9999"),
        pytest.param(cursor_of("text"), id="a text"),
        pytest.param(cursor_of(None), id="nothing"),
    ],
)
def test_a_cursor_that_no_database_can_compare_is_refused(filled: Ledger, cursor: str) -> None:
    for limit in (1, 100):
        response = filled.get(f"/api/sessions?order=-total_cost_usd&limit={limit}&cursor={cursor}")
        assert (response.status_code, list(response.json())) == (400, ["cursor"])


def test_the_largest_values_that_a_column_holds_make_a_cursor(filled: Ledger) -> None:
    for value in (0, 0.5, -1.5, BEYOND - 1, 1 - BEYOND):
        for id in (0, BEYOND - 1):
            cursor = cursor_of(value, id)
            response = filled.get(f"/api/sessions?order=-total_cost_usd&cursor={cursor}")
            assert response.status_code == 200, (value, id)


def test_the_key_is_a_parameter_everywhere(filled: Ledger) -> None:
    for path in ("/api/sessions", "/api/sessions/first", "/session/first", "/api/limits", "/"):
        assert filled.get(f"{path}?api_key=k").status_code == 200, path
        assert filled.get(f"{path}?apikey=k").status_code == 400, path


@pytest.mark.parametrize(
    "order", "last_call_at -last_call_at started_at -total_cost_usd total_cost_usd".split()
)
def test_cursors_lead_through_every_session_once(filled: Ledger, order: str) -> None:
    seen = []
    url = f"{filled.url}/api/sessions?order={order}&limit=2&api_key=secret"
    while url:
        response = httpx.get(url).raise_for_status()
        seen += [session["session_id"] for session in response.json()]
        assert response.headers["x-total-count"] == "5"
        url = response.links.get("next", {}).get("url", "")
        assert "secret" not in url
    assert seen == ids(filled, order=order)


def test_a_page_continues_where_it_was_when_new_calls_come(
    ledger: Ledger, provider: Provider
) -> None:
    for number in range(4):
        call(ledger, f"run-{number}")
    wait_until(lambda: ledger.n_recorded() == 4)
    first = ledger.get("/api/sessions?limit=2&q=run-")
    call(ledger, "run-new")
    call(ledger, "run-3")
    wait_until(lambda: ledger.n_recorded() == 6)
    second = httpx.get(first.links["next"]["url"])
    shown = [s["session_id"] for response in (first, second) for s in response.json()]
    assert shown == ["run-3", "run-2", "run-1", "run-0"]


# --- one session, and what readers give it ---


def test_one_session(filled: Ledger) -> None:
    [listed] = filled.get("/api/sessions?q=costly").json()
    assert filled.get("/api/sessions/costly").json() == listed
    assert filled.get("/api/sessions/nothing").status_code == 404
    assert filled.get("/api/sessions/%00").status_code == 404


def test_labels_notes_and_pins_stay_when_calls_come(stack: Ledger, provider: Provider) -> None:
    call(stack, "a/b c")
    stack.calls("a/b c")
    changed = patch(stack, "a/b c", labels=["x", "y", "x"], note="why?", pinned=True).json()
    assert (changed["labels"], changed["note"], changed["pinned"]) == (["x", "y"], "why?", True)
    changed = patch(stack, "a/b c", labels=["z"]).json()
    assert (changed["labels"], changed["note"], changed["pinned"]) == (["z"], "why?", True)
    call(stack, "a/b c", agent_name="later")
    stack.calls("a/b c", count=2)
    now = stack.get("/api/sessions/a%2Fb%20c").json()
    assert (now["labels"], now["note"], now["pinned"]) == (["z"], "why?", True)
    assert ids(stack, label="z") == ids(stack, q="Z") == ids(stack, q="LATER") == ["a/b c"]
    assert ids(stack, label="x") == []
    changed = patch(stack, "a/b c", labels=[], note=None, pinned=False).json()
    assert (changed["labels"], changed["note"], changed["pinned"]) == ([], None, False)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"labels": "x"}, "labels"),
        ({"labels": ["x"] * 51}, "labels"),
        ({"labels": ["x" * 101]}, "labels"),
        ({"labels": ["a\0b"]}, "labels"),
        ({"note": "x" * 10_001}, "note"),
        ({"pinned": None}, "pinned"),
        ({"labels": None}, "labels"),
        ({"label": ["x"]}, "label"),
        ({}, "detail"),
    ],
    ids=str,
)
def test_a_bad_change_is_refused_by_name(
    filled: Ledger, changes: dict[str, Any], name: str
) -> None:
    response = patch(filled, "first", **changes)
    assert response.status_code == 400
    assert list(response.json()) == [name]


def test_a_change_to_no_session_is_a_404(filled: Ledger) -> None:
    assert patch(filled, "nothing", pinned=True).status_code == 404


def test_a_browser_gets_a_form_for_the_filters(filled: Ledger) -> None:
    page = filled.get("/api/sessions?q=cost", headers={"accept": "text/html"})
    assert page.status_code == 200
    for name in ("agent_name", "status", "min_cost", "order"):
        assert f'name="{name}"' in page.text
    assert 'value="cost"' in page.text
