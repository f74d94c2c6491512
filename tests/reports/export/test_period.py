"""The report on a period: GET /export/period and `manage.py export_period`."""

from __future__ import annotations

import csv
import html
import io
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pypdf
import pytest

from access.request_checks import KEY_HEADER
from tests.conftest import KEY, STACKS, running_on
from tests.support import canned
from tests.support.ledger import PROJECT, Ledger, wait_until
from tests.support.provider import Provider

Row = dict[str, str]
FORMULA = "=cmd|' /C calc'!A0"
# USD per million tokens.
PRICES = '{"gpt-4o": [2.5, 10], "gpt-4o-mini": [0.15, 0.6]}'
# The night in which Berlin's clocks go back: its 26th of October has 25 hours.
OCTOBER = {"since": "2025-10-25", "until": "2025-10-28"}
TEAM = "app_id agent_name model_id"
TIME = "a time as ISO 8601, e.g. 2026-04-03T12:00:00Z or 2026-04-03"
FIGURES = ("call_count", "error_count", "refused_count", "cost_usd", "cost_unknown_calls")


def call(
    ledger: Ledger, model: str, *, tokens: tuple[int, int] | None = None, **names: str
) -> httpx.Response:
    headers = {f"x-agentledger-{name.replace('_', '-')}": v for name, v in names.items()}
    return httpx.post(
        f"{ledger.url}/v1/chat/completions",
        json={
            "model": model,
            "messages": [{"role": "user", "content": "hello"}],
            "stream": tokens is None,
        },
        headers={"x-agentledger-session-id": "october", **headers},
        timeout=30,
    )


@pytest.fixture(scope="module", params=STACKS)
def spent(
    request: pytest.FixtureRequest, _provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    """Three days of October 2025."""
    clock = tmp_path_factory.mktemp("clock") / "clock"
    clock.write_text("0")
    env: dict[str, Any] = {
        "PYTHONPATH": f"{PROJECT / 'tests' / 'support' / 'clock'}:{PROJECT}",
        "TEST_CLOCK": str(clock),
        "AGENTLEDGER_PRICING": PRICES,
        "AGENTLEDGER_MODELS_DENY": "forbidden*",
    }
    with running_on(request.param, request, **env) as ledger:

        def at(time_: str) -> None:
            target = datetime.fromisoformat(time_).replace(tzinfo=UTC)
            new = clock.with_suffix(".new")
            new.write_text(str(int(target.timestamp() - time.time())))
            new.replace(clock)

        def respond(model: str, tokens_in: int, tokens_out: int) -> None:
            usage = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out}
            response = canned.chat("x", model=model) | {"usage": usage}
            _provider.response(*canned.as_json(response), times=1)

        at("2025-10-25T23:30")
        respond("gpt-4o", 1000, 200)  # 0.0025 + 0.0020
        call(ledger, "gpt-4o", tokens=(1, 1), app_id="shop", user_id="ann", agent_name="buyer")
        at("2025-10-26T22:30")
        respond("gpt-4o-mini", 1001, 1)  # 0.00015015 + 0.0000006
        call(ledger, "gpt-4o-mini", tokens=(1, 1), app_id="shop", agent_name=FORMULA)
        respond("house-model", 5, 5)  # it has no price
        call(ledger, "house-model", tokens=(1, 1), agent_name="buyer")
        at("2025-10-26T23:30")
        _provider.response(*canned.as_json({"error": {"message": "no"}}, 500), times=1)
        call(ledger, "gpt-4o", tokens=(1, 1), agent_name="buyer")
        call(ledger, "forbidden-model", tokens=(1, 1), user_id="bob", agent_name="buyer")
        unreported = canned.data_events(canned.chat_chunks(["a", "b"], usage=False))
        _provider.response(*canned.stream(unreported), times=1)
        call(ledger, "gpt-4o", user_id="bob", agent_name="guesser")
        _provider.reset()
        wait_until(lambda: ledger.n_recorded() == 6)
        yield ledger


def table(ledger: Ledger, **parameters: Any) -> list[Row]:
    parameters = {**OCTOBER, "format": "csv", **parameters}
    response = ledger.get("/export/period", params=parameters)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(response.text)))


def figures(rows: list[Row], table: str, *by: str) -> dict[tuple[str, ...], tuple[Any, ...]]:
    return {
        tuple(row[name] for name in by): tuple(
            None if row[name] == "" else Decimal(row[name]) for name in FIGURES
        )
        for row in rows
        if row["table"] == table
    }


def guessed(ledger: Ledger) -> Decimal:
    """The cost of the call whose tokens were estimated."""
    [found] = [c for c in ledger.calls("october", count=6) if c["usage_source"] == "estimated"]
    return Decimal(str(found["cost_usd"]))


def test_sums_are_exact_by_day_and_name(spent: Ledger) -> None:
    rows, guess = table(spent), guessed(spent)
    assert guess > 0
    night, buyer = Decimal("0.00015075"), Decimal("0.0045")
    assert figures(rows, "total") == {(): (6, 1, 1, buyer + night + guess, 2)}
    assert figures(rows, "day", "at") == {
        ("2025-10-25",): (1, 0, 0, buyer, 0),
        ("2025-10-26",): (5, 1, 1, night + guess, 2),
    }
    assert figures(rows, "app_id", "app_id") == {
        ("shop",): (2, 0, 0, buyer + night, 0),
        ("",): (4, 1, 1, guess, 2),
    }
    assert figures(rows, "user_id", "user_id") == {
        ("ann",): (1, 0, 0, buyer, 0),
        ("bob",): (2, 0, 1, guess, 0),
        ("",): (3, 1, 0, night, 2),
    }
    assert figures(rows, "agent_name", "agent_name") == {
        ("buyer",): (4, 1, 1, buyer, 2),
        (f"'{FORMULA}",): (1, 0, 0, night, 0),
        ("guesser",): (1, 0, 0, guess, 0),
    }
    assert figures(rows, "model_id", "model_id") == {
        ("gpt-4o",): (3, 1, 0, buyer + guess, 1),
        ("gpt-4o-mini",): (1, 0, 0, night, 0),
        ("house-model",): (1, 0, 0, None, 1),
        ("forbidden-model",): (1, 0, 1, 0, 0),
    }
    team = TEAM.split()
    assert figures(rows, TEAM, *team)["shop", "buyer", "gpt-4o"] == (1, 0, 0, buyer, 0)
    details = figures(rows, "details", "at", *team, "provider", "environment")
    assert len(details) == 6
    assert details["2025-10-25", "shop", "buyer", "gpt-4o", "openai", "development"][0] == 1


def test_days_are_those_of_the_time_zone(spent: Ledger) -> None:
    rows, guess = table(spent, tz="Europe/Berlin"), guessed(spent)
    assert figures(rows, "day", "at") == {
        ("2025-10-26",): (3, 0, 0, Decimal("0.00465075"), 1),
        ("2025-10-27",): (3, 1, 1, guess, 1),
    }
    assert {row["at"] for row in rows if row["table"] == "details"} == {"2025-10-26", "2025-10-27"}
    rows = table(spent, tz="Europe/Berlin", since="2025-10-26", until="2025-10-27")
    assert figures(rows, "total") == {(): (3, 0, 0, Decimal("0.00465075"), 1)}
    # With an offset of its own a time is that time in any zone.
    rows = table(spent, tz="Europe/Berlin", since="2025-10-26T23:00:00Z")
    assert figures(rows, "total")[()][:3] == (3, 1, 1)


def test_estimates_are_marked(spent: Ledger) -> None:
    rows = table(spent)
    estimated = {
        (row["table"], row["at"], row["agent_name"], row["app_id"], row["user_id"])
        for row in rows
        if row["cost_is_estimate"] == "true"
    }
    assert {
        one for one in estimated if one[0] not in ("app_id agent_name model_id", "details")
    } == {
        ("total", "", "", "", ""),
        ("day", "2025-10-26", "", "", ""),
        ("app_id", "", "", "", ""),
        ("user_id", "", "", "", "bob"),
        ("agent_name", "", "guesser", "", ""),
        ("model_id", "", "", "", ""),
    }
    assert [one[2] for one in estimated if one[0] == "details"] == ["guesser"]
    page = spent.get("/export/period", params=OCTOBER).text
    assert len(re.findall("≈ [0-9]", page)) >= 8 and "≈ marks sums" in page


def test_errors_and_refusals_are_counted_by_reason(spent: Ledger) -> None:
    failures = [row for row in table(spent) if row["table"] == "failures"]
    assert [
        (row["outcome"], row["status_code"], row["refusal_code"], row["call_count"])
        for row in failures
    ] == [
        ("refused", "403", "model_denied", "1"),
        ("upstream_error", "500", "", "1"),
    ]


def test_one_agents_report_has_its_calls_alone(spent: Ledger) -> None:
    rows = table(spent, agent_name="buyer")
    assert figures(rows, "total") == {(): (4, 1, 1, Decimal("0.0045"), 2)}
    assert figures(rows, "app_id", "app_id") == {
        ("shop",): (1, 0, 0, Decimal("0.0045"), 0),
        ("",): (3, 1, 1, 0, 2),
    }
    assert figures(rows, "user_id") == {}  # users have sums of all agents together
    assert {row["agent_name"] for row in rows if row["table"] == "details"} == {"buyer"}
    nobody = table(spent, agent_name="nobody")
    assert figures(nobody, "total") == {(): (0, 0, 0, None, 0)}
    assert {row["table"] for row in nobody} <= {"total", "policy", "orders to delete", "deletions"}


def test_a_period_without_calls_is_empty(spent: Ledger) -> None:
    rows = table(spent, since="2024-01-01", until="2024-02-01")
    assert [row["table"] for row in rows] == ["total"]
    page = spent.get("/export/period", params={"since": "2024-01-01", "until": "2024-02-01"})
    assert page.status_code == 200 and "2024-01-01 to 2024-01-31" in page.text


def test_the_default_is_the_last_month(spent: Ledger) -> None:
    now = datetime.now(UTC)
    first = now.replace(day=1)
    last = first - timedelta(days=1)
    disposition = spent.get("/export/period?format=csv").headers["content-disposition"]
    name = f"period-{last:%Y%m}01T00-{first:%Y%m}01T00.csv"
    assert disposition == f'attachment; filename="{name}"'


@pytest.mark.parametrize(
    ("query", "refused"),
    [
        ("since=x", {"since": [TIME]}),
        (
            "since=0001-01-01",
            {"since": [TIME]},
        ),
        ("tz=Nowhere", {"tz": ["the name of a time zone, e.g. Europe/Berlin"]}),
        ("since=2025-01-02&until=2025-01-01", {"since": ["a time before `until`"]}),
        ("since=2000-01-01&until=2025-01-01", {"since": ["at most 1100 days before `until`"]}),
        ("format=xml", {"format": ["one of html, pdf, csv"]}),
        (
            "tz=Asia/Kolkata",
            {"tz": ["a zone whose days begin with an hour of UTC: sums are kept by these hours"]},
        ),
    ],
)
def test_what_cannot_be_reported_is_refused(
    spent: Ledger, query: str, refused: dict[str, list[str]]
) -> None:
    response = spent.get(f"/export/period?{query}")
    assert (response.status_code, response.json()) == (400, refused)
    page = spent.get(f"/export/period?{query}", headers={"accept": "text/html"})
    assert page.status_code == 400 and "Invalid parameters" in page.text


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [("*/*", "text/html"), ("text/csv", "text/csv"), ("text/html,*/*;q=0.8", "text/html")],
)
def test_the_format_is_negotiated(spent: Ledger, accept: str, content_type: str) -> None:
    response = spent.get("/export/period", params=OCTOBER, headers={"accept": accept})
    assert response.headers["content-type"] == f"{content_type}; charset=utf-8"
    head = httpx.head(f"{spent.url}/export/period", params=OCTOBER, headers={"accept": accept})
    assert head.status_code == 200 and head.content == b""


def test_the_command_writes_what_the_address_shows(spent: Ledger, tmp_path: Path) -> None:
    options = [f"--{name}={value}" for name, value in OCTOBER.items()]
    done = spent.command("export_period", *options, "--format=csv")
    assert done.returncode == 0, done.stderr
    shown = spent.get("/export/period", params=OCTOBER | {"format": "csv"}).text
    assert done.stdout == shown.replace("\r\n", "\n")  # as the shell's text has them
    file = tmp_path / "october.html"
    done = spent.command("export_period", *options, "--agent-name=buyer", "-o", str(file))
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    page = file.read_text()
    assert "buyer" in page and "guesser" not in page
    # It needs nothing beside it.
    assert "<style>" in page and not re.search(r"(href|src)=", page)
    wrong = spent.command("export_period", "--since=yesterday")
    assert wrong.returncode == 1 and wrong.stderr.count("\n") == 1 and "--since" in wrong.stderr


def test_the_pdf_says_what_the_page_says(spent: Ledger) -> None:
    response = spent.get("/export/period", params={**OCTOBER, "format": "pdf"})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/pdf"
    reader = pypdf.PdfReader(io.BytesIO(response.content))
    printed = " ".join(page.extract_text() for page in reader.pages)
    page = html.unescape(spent.get("/export/period", params=OCTOBER).text)
    titles = re.findall("<h2[^>]*>(.*?)</h2>", page)
    assert len(titles) > 8 and [title for title in titles if title not in printed] == []
    amounts = re.findall(r"\d+\.\d{4,}", page)
    assert len(amounts) > 20 and [amount for amount in amounts if amount not in printed] == []
    assert FORMULA in printed
    assert [entry.title for entry in reader.outline if not isinstance(entry, list)][-1] == titles[
        -1
    ]


# --- policy and deletions ---


@pytest.fixture(scope="module")
def governed(request: pytest.FixtureRequest, keyed: Ledger) -> Iterator[tuple[Ledger, str]]:
    """A ledger with stops, tokens, other settings and deletions, and the token of a viewer."""
    admin = {KEY_HEADER: KEY}
    wait_until(lambda: keyed.get("/api/stops", headers=admin).status_code == 200)
    stop = {"scope": "agent", "value": "rogue", "reason": "it spends"}
    made = httpx.post(f"{keyed.url}/api/stops", json=stop, headers=admin).json()
    httpx.delete(f"{keyed.url}/api/stops/{made['id']}", headers=admin)
    viewer = keyed.command("token", "create", "books", "--role", "viewer").stdout.strip()
    for content in ("one", "two"):
        keyed.post("gone", content=content)
    wait_until(
        lambda: [s["call_count"] for s in keyed.get("/api/sessions", headers=admin).json()] == [2]
    )
    httpx.delete(f"{keyed.url}/api/sessions/gone", headers=admin)
    keyed.stop()
    keyed.env["AGENTLEDGER_MODELS_DENY"] = "gpt-3*"
    keyed.start()
    yield keyed, viewer


def now_on(ledger: Ledger, secret: str, **parameters: str) -> list[Row]:
    since = datetime.now(UTC) - timedelta(days=1)
    response = ledger.get(
        "/export/period",
        params={"since": since.isoformat(), "format": "csv", **parameters},
        headers={KEY_HEADER: secret},
    )
    assert response.status_code == 200, response.text
    return list(csv.DictReader(io.StringIO(response.text)))


def test_changes_of_policy_are_those_of_the_audit_log(governed: tuple[Ledger, str]) -> None:
    ledger, viewer = governed

    def policy() -> list[tuple[str, ...]]:
        rows = [row for row in now_on(ledger, KEY) if row["table"] == "policy"]
        return [(row["actor"], row["action"], row["object"], row["details"]) for row in rows]

    wait_until(lambda: len(policy()) == 5)
    first, stopped, lifted, token, other = policy()
    assert first[1] == "start" and "AGENTLEDGER_API_KEY: — → set" in first[3]
    assert (stopped[:3], lifted[:3]) == (
        ("key", "stop.create", "agent rogue"),
        ("key", "stop.lift", "agent rogue"),
    )
    assert "reason: it spends" in stopped[3]
    assert token[1:3] == ("token.create", "books") and "role: viewer" in token[3]
    # Settings that stayed as they were are no change.
    assert other[1] == "start" and other[3] == 'AGENTLEDGER_MODELS_DENY: — → ["gpt-3*"]'
    assert viewer not in str(policy())


def test_deleted_calls_are_counted(governed: tuple[Ledger, str]) -> None:
    ledger, viewer = governed

    def deletions(secret: str) -> list[tuple[str, ...]]:
        rows = [row for row in now_on(ledger, secret) if row["table"] == "deletions"]
        names = ("call_count", "first_seq", "last_seq")
        return [tuple(row[name] for name in names) for row in rows if row["log_index"]]

    wait_until(lambda: deletions(KEY) == [("2", "1", "2")])
    assert deletions(viewer) == [("2", "1", "2")]
    rows = now_on(ledger, KEY)
    [order] = [row for row in rows if row["table"] == "orders to delete"]
    assert (order["actor"], order["action"], order["object"]) == ("key", "session.delete", "gone")
    # What was spent is still there.
    assert figures(rows, "total")[()][0] == 2


def test_checkpoints_are_those_of_the_log(governed: tuple[Ledger, str]) -> None:
    ledger, _ = governed
    made = "/api/checkpoints"
    signed = wait_until(lambda: ledger.get(made, headers={KEY_HEADER: KEY}).json()["checkpoints"])
    rows = [row for row in now_on(ledger, KEY) if row["table"] == "checkpoints"]
    assert [(row["log_size"], row["log_root"]) for row in rows][-1] == (
        str(signed[0]["size"]),
        signed[0]["root"],
    )


def test_the_audit_log_is_for_those_who_may_read_it(governed: tuple[Ledger, str]) -> None:
    ledger, viewer = governed
    tables = {row["table"] for row in now_on(ledger, viewer)}
    assert {"total", "day", "details"} <= tables
    assert not {"policy", "orders to delete"} & tables
    since = (datetime.now(UTC) - timedelta(days=1)).isoformat()
    pages = [
        ledger.get("/export/period", params={"since": since}, headers={KEY_HEADER: secret}).text
        for secret in (KEY, viewer)
    ]
    assert ["rogue" in page for page in pages] == [True, False]
    assert ["which only the role admin may read" in page for page in pages] == [False, True]
