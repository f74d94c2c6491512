"""The stop switch: by API and command, on a running proxy, over restarts, without a database."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import Any
from urllib.parse import urlsplit

import anthropic
import httpx
import openai
import psycopg
import pytest

from tests.conftest import Opened, create_database
from tests.support.ledger import COMMANDS, Ledger, wait_until
from tests.support.provider import Provider


def add(ledger: Ledger, **facts: Any) -> httpx.Response:
    return httpx.post(f"{ledger.url}/api/stops", json={"reason": "runs wild", **facts})


def lift_all(ledger: Ledger) -> None:
    for stop in ledger.get("/api/stops").json():
        httpx.delete(f"{ledger.url}/api/stops/{stop['id']}").raise_for_status()


def command(ledger: Ledger, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, COMMANDS["daphne"][1], *arguments],
        cwd=ledger.folder,
        env=ledger.environment(),
        capture_output=True,
        text=True,
    )


def status(ledger: Ledger, **fields: str) -> int:
    headers = {f"x-agentledger-{name.replace('_', '-')}": v for name, v in fields.items()}
    body = {"model": "m", "messages": []}
    response = httpx.post(f"{ledger.url}/v1/chat/completions", json=body, headers=headers)
    return response.status_code


def within_a_second(ledger: Ledger, expected: int, **fields: str) -> None:
    wait_until(lambda: status(ledger, **fields) == expected, deadline_s=1.0)


@pytest.mark.parametrize(
    ("scope", "field"), [("session", "session_id"), ("agent", "agent_name"), ("user", "user_id")]
)
def test_a_stop_of_one_key_lets_the_others_go_on(stack: Ledger, scope: str, field: str) -> None:
    wait_until(lambda: stack.get("/api/stops").status_code == 200)  # the tables are made
    made = add(stack, scope=scope, value="one", who="ops")
    assert made.status_code == 201
    stop = made.json()
    assert (stop["scope"], stop["value"], stop["reason"], stop["who"]) == (
        *(scope, "one", "runs wild"),
        "ops",
    )
    within_a_second(stack, 403, **{field: "one"})
    assert status(stack, **{field: "other"}) == 200
    assert status(stack) == 200
    again = add(stack, scope=scope, value="one", reason="another")
    assert (again.status_code, again.json()) == (200, stop)
    assert stack.get("/api/stops").json() == [stop]
    lifted = httpx.delete(f"{stack.url}/api/stops/{stop['id']}")
    assert lifted.json()["lifted_at"] is not None
    within_a_second(stack, 200, **{field: "one"})
    assert stack.get("/api/stops").json() == []
    assert lifted.json() in stack.get("/api/stops?all=1").json()


def test_a_stop_of_everything(ledger: Ledger, provider: Provider) -> None:
    add(ledger, scope="everything").raise_for_status()
    within_a_second(ledger, 403)
    n_received = provider.counts()["received"]
    assert httpx.get(f"{ledger.url}/v1/models").status_code == 403
    assert ledger.get("/api/sessions").status_code == 200
    assert provider.counts()["received"] == n_received
    lift_all(ledger)
    within_a_second(ledger, 200)


def test_sdks_show_the_reason_and_try_once(
    ledger: Ledger, provider: Provider, opened: Opened
) -> None:
    add(ledger, scope="session", value="wild").raise_for_status()
    within_a_second(ledger, 403, session_id="wild")
    n_before = ledger.get("/readyz").json()["counters"]["refused"]
    headers = {"x-agentledger-session-id": "wild"}
    client = opened(
        openai.OpenAI(base_url=f"{ledger.url}/v1", api_key="k", default_headers=headers)
    )
    with pytest.raises(openai.PermissionDeniedError, match="session 'wild' is stopped: runs wild"):
        client.responses.create(model="m", input="hi", stream=True)
    claude = opened(anthropic.Anthropic(base_url=ledger.url, api_key="k", default_headers=headers))
    with pytest.raises(anthropic.PermissionDeniedError, match="stopped: runs wild") as raised:
        claude.messages.create(model="m", max_tokens=9, messages=[])
    assert ledger.get("/readyz").json()["counters"]["refused"] == n_before + 2
    call = ledger.explain(raised.value.response.headers["x-agentledger-action-id"])
    assert call["refusal"]["code"] == "stopped"
    assert call["refusal"]["reason"] == "runs wild"
    lift_all(ledger)


def test_the_commands_stop_and_resume(fresh: Ledger) -> None:
    with fresh:
        assert status(fresh, agent_name="a") == 200
        done = command(fresh, "stop", "--agent", "a", "--reason", "too dear")
        assert done.stdout == "Stopped agent 'a': too dear\n", done.stderr
        within_a_second(fresh, 403, agent_name="a")
        assert status(fresh, agent_name="b") == 200
        assert "Already stopped" in command(fresh, "stop", "--agent", "a", "--reason", "x").stdout
        command(fresh, "stop", "--all", "--reason", "night")
        within_a_second(fresh, 403, agent_name="b")
        assert command(fresh, "resume", "--all").stdout == "Resumed all calls\n"
        within_a_second(fresh, 200, agent_name="b")
        assert status(fresh, agent_name="a") == 403
        command(fresh, "resume", "--agent", "a")
        within_a_second(fresh, 200, agent_name="a")
        assert "No stop of" in command(fresh, "resume", "--agent", "a").stdout
        assert command(fresh, "stop", "--agent", "a").returncode == 2
        assert command(fresh, "stop", "--reason", "x").returncode == 2


@pytest.mark.parametrize("how", ["stopped", "killed"])
def test_a_stop_outlives_the_process(fresh: Ledger, how: str) -> None:
    with fresh:
        add(fresh, scope="user", value="u").raise_for_status()
        within_a_second(fresh, 403, user_id="u")
        fresh.kill() if how == "killed" else fresh.stop()
        fresh.start()
        assert status(fresh, user_id="u") == 403
        assert status(fresh, user_id="v") == 200


def test_without_a_database_the_last_known_stops_are_in_force(
    fresh: Ledger, postgresql: str
) -> None:
    fresh.env["AGENTLEDGER_DSN"] = dsn = create_database(postgresql)
    name = urlsplit(dsn).path.strip("/")

    def allow(yes: bool) -> None:
        with psycopg.connect(postgresql, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS {yes}")
            if not yes:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
                    [name],
                )

    with fresh:
        add(fresh, scope="user", value="u").raise_for_status()
        within_a_second(fresh, 403, user_id="u")
        allow(False)
        time.sleep(1.2)
        assert status(fresh, user_id="u") == 403
        assert "stops cannot be read" in str(fresh.get("/readyz").json()["reasons"])
        fresh.kill()
        fresh.start()
        assert status(fresh, user_id="u") == 403
        allow(True)
        wait_until(lambda: fresh.get("/api/stops").status_code == 200)
        lift_all(fresh)
        within_a_second(fresh, 200, user_id="u")


@pytest.mark.parametrize(
    "facts",
    [
        {"scope": "session"},
        {"scope": "session", "value": ""},
        {"scope": "everything", "value": "x"},
        {"scope": "model", "value": "x"},
        {"scope": "user", "value": "u", "reason": ""},
        {"scope": "user", "value": "u\0"},
        {},
    ],
)
def test_an_invalid_stop_is_refused(ledger: Ledger, facts: dict[str, Any]) -> None:
    response = add(ledger, **facts)
    assert response.status_code == 400, response.text
    assert ledger.get("/api/stops").json() == []


def test_lifting_an_unknown_stop_is_a_404(ledger: Ledger) -> None:
    for number in (4711, 10**30):
        assert httpx.delete(f"{ledger.url}/api/stops/{number}").status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ],
)
def test_pages_of_other_sites_change_nothing(ledger: Ledger, headers: dict[str, str]) -> None:
    body = {"scope": "everything", "reason": "x"}
    assert httpx.post(f"{ledger.url}/api/stops", json=body, headers=headers).status_code == 403
    response = httpx.delete(f"{ledger.url}/api/stops/1", headers=headers)
    assert response.status_code == 403
    assert ledger.get("/api/stops", headers=headers).json() == []


def test_a_key_in_a_link_changes_nothing(fresh: Ledger) -> None:
    fresh.env["AGENTLEDGER_API_KEY"] = "secret"
    with fresh:
        url = f"{fresh.url}/api/stops"
        body = {"scope": "everything", "reason": "x"}
        assert httpx.get(f"{url}?api_key=secret").status_code == 200
        assert httpx.post(f"{url}?api_key=secret", json=body).status_code == 401
        own = {"x-agentledger-api-key": "secret", "origin": fresh.url}
        assert httpx.post(url, json=body, headers=own).status_code == 201
