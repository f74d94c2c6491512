"""The audit log: its entries, that no change of them goes unnoticed, and who reads it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest
from psycopg.types.json import Json

from access.request_checks import KEY_HEADER
from tests.conftest import KEY, create_database
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider

AT_ONCE = 50  # failed log-ins that have an entry of their own, in 10 minutes
WITH_KEY = {KEY_HEADER: KEY}


def entries(ledger: Ledger, **parameters: Any) -> list[dict[str, Any]]:
    response = ledger.get("/api/audit", params=parameters, headers=WITH_KEY)
    found: list[dict[str, Any]] = response.raise_for_status().json()
    return found


def ready(ledger: Ledger) -> None:
    """The tables are made, and the start is on the record."""
    wait_until(lambda: ledger.get("/api/audit", headers=WITH_KEY).status_code == 200)
    wait_until(lambda: entries(ledger, action="start"))


def test_the_start_is_in_the_audit_log_without_secrets(keyed: Ledger) -> None:
    ready(keyed)
    [start] = entries(keyed, action="start")
    assert (start["id"], start["actor"], start["object"]) == (1, "agentledger", "settings")
    variables = start["details"]["variables"]
    assert variables["AGENTLEDGER_API_KEY"] == "set"
    assert variables["AGENTLEDGER_HOST"] == "127.0.0.1"
    assert KEY not in str(start)


def test_changes_are_in_the_audit_log(keyed: Ledger) -> None:
    ready(keyed)
    body = {"scope": "session", "value": "run-1", "reason": "it loops", "who": "ops"}
    made = httpx.post(f"{keyed.url}/api/stops", json=body, headers=WITH_KEY).json()
    httpx.post(f"{keyed.url}/api/stops", json=body, headers=WITH_KEY)  # was stopped: nothing done
    for _ in range(2):
        httpx.delete(f"{keyed.url}/api/stops/{made['id']}", headers=WITH_KEY)
    lifted, stopped = entries(keyed, object="session run-1")
    assert (stopped["action"], lifted["action"]) == ("stop.create", "stop.lift")
    assert stopped["actor"] == lifted["actor"] == "key"
    assert stopped["address"] == "127.0.0.1"
    assert stopped["details"] == {"id": made["id"], "reason": "it loops", "who": "ops"}

    keyed.command("stop", "--agent", "a", "--reason", "x")
    keyed.command("resume", "--agent", "a")
    by_command = entries(keyed, object="agent a")
    assert [entry["action"] for entry in by_command] == ["stop.lift", "stop.create"]
    assert by_command[0]["actor"].startswith("command")
    assert by_command[0]["address"] is None

    secret = keyed.command("token", "create", "ed", "--role", "editor").stdout.strip()
    stop = httpx.post(
        f"{keyed.url}/api/stops",
        json={"scope": "user", "value": "u", "reason": "x"},
        headers={KEY_HEADER: secret},
    ).json()
    assert stop["who"] == "token ed"
    assert [entry["action"] for entry in entries(keyed, actor="token ed")] == ["stop.create"]
    keyed.command("token", "revoke", "ed")
    by_name = [entry["action"] for entry in entries(keyed, object="ed")]
    assert by_name == ["token.revoke", "token.create"]
    assert secret not in str(entries(keyed, limit=1000))


def test_changes_of_sessions_are_in_the_audit_log(keyed: Ledger, provider: Provider) -> None:
    ready(keyed)
    for session in ("kept", "gone"):
        keyed.post(session)
    wait_until(lambda: len(keyed.get("/api/sessions", headers=WITH_KEY).json()) == 2)
    [call] = keyed.get("/session/kept", headers=WITH_KEY).json()
    changes = {"labels": ["l"], "note": "about a customer", "pinned": True}
    url = f"{keyed.url}/api/sessions"
    assert httpx.patch(f"{url}/kept", json=changes, headers=WITH_KEY).status_code == 200
    assert httpx.delete(f"{url}/gone", headers=WITH_KEY).status_code == 204
    assert httpx.delete(f"{url}/gone", headers=WITH_KEY).status_code == 404
    of_call = f"{keyed.url}/api/calls/{call['action_id']}"
    assert httpx.delete(of_call, headers=WITH_KEY).status_code == 204
    [annotated] = entries(keyed, object="kept")
    assert annotated["action"] == "session.annotate"
    assert annotated["details"] == {"labels": ["l"], "note": True, "pinned": True}
    assert [e["action"] for e in entries(keyed, object="gone")] == ["session.delete"]
    assert [e["action"] for e in entries(keyed, object=call["action_id"])] == ["call.delete"]


def test_log_ins_and_failed_ones_are_in_the_audit_log(keyed: Ledger) -> None:
    ready(keyed)
    url = f"{keyed.url}/dashboard/sign-in"
    httpx.post(url, data={"api_key": "a wrong one"})
    httpx.post(url, data={"api_key": "a wrong one"})
    signed_in = httpx.post(url, data={"api_key": KEY})
    cookies = f"agentledger={signed_in.cookies['agentledger']}; csrftoken={'t' * 32}"
    headers = {"cookie": cookies, "x-csrftoken": "t" * 32}
    assert httpx.post(f"{keyed.url}/dashboard/sign-out", headers=headers).status_code == 303
    recorded = [
        (entry["actor"], entry["action"])
        for entry in entries(keyed)
        if entry["action"].startswith("sign_")
    ]
    assert recorded == [("key", "sign_out"), ("key", "sign_in"), ("unknown", "sign_in.failed")]
    assert "a wrong one" not in str(entries(keyed))


def test_guessing_does_not_fill_the_audit_log(fresh: Ledger) -> None:
    fresh.env |= {"AGENTLEDGER_API_KEY": KEY, "AGENTLEDGER_TRUSTED_PROXIES": "127.0.0.1"}
    with fresh:
        ready(fresh)
        n_guesses = 3 * AT_ONCE
        with httpx.Client(base_url=fresh.url) as client:
            for n in range(n_guesses):
                far = {KEY_HEADER: f"guess {n}", "x-forwarded-for": f"8.8.{n}.8"}
                assert client.get("/api/sessions", headers=far).status_code == 401
        assert len(entries(fresh, action="sign_in.failed", limit=1000)) == AT_ONCE
        fresh.stop()
        fresh.start()
        recorded = entries(fresh, action="sign_in.failed", limit=1000)
        assert len(recorded) == AT_ONCE + 1
        assert recorded[0]["details"]["n"] == n_guesses - AT_ONCE
        assert fresh.command("verify_audit").returncode == 0


# --- the chain ---


def test_many_writers_make_one_chain(keyed: Ledger) -> None:
    ready(keyed)
    before = entries(keyed)[0]["id"]

    def by_command(n: int) -> None:
        keyed.command("stop", "--user", f"c{n}", "--reason", "x")

    def by_api(n: int) -> None:
        with httpx.Client(base_url=keyed.url, headers=WITH_KEY, timeout=60) as client:
            for m in range(10):
                body = {"scope": "user", "value": f"a{n}.{m}", "reason": "x"}
                assert client.post("/api/stops", json=body).status_code == 201

    threads = [threading.Thread(target=by_command, args=(n,)) for n in range(3)]
    threads += [threading.Thread(target=by_api, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert entries(keyed)[0]["id"] == before + 43
    done = keyed.command("verify_audit")
    assert done.returncode == 0, done.stderr
    assert f"{before + 43} entries" in done.stdout


CHANGES = {
    "changed": ("UPDATE access_auditentry SET actor = 'nobody' WHERE id = 3", "3 was changed"),
    "backdated": ("UPDATE access_auditentry SET at = '2020-01-01' WHERE id = 4", "4 was changed"),
    "removed": ("DELETE FROM access_auditentry WHERE id = 2", "2 is missing"),
    "cut off": ("DELETE FROM access_auditentry WHERE id > 3", "after 3 are missing"),
    "emptied": ("DELETE FROM access_auditentry", "after 0 are missing"),
    "moved": (
        "UPDATE access_auditentry SET previous_hash = hash WHERE id = 2",
        "2 does not follow",
    ),
}
GATES = {
    "sqlite": ("DROP TRIGGER audit_update", "DROP TRIGGER audit_delete"),
    "postgresql": ("ALTER TABLE access_auditentry DISABLE TRIGGER ALL",),
}


@pytest.mark.parametrize("database", GATES)
def test_a_changed_log_is_refused_or_found_out(
    fresh: Ledger, request: pytest.FixtureRequest, database: str
) -> None:
    if database == "postgresql":
        fresh.env["AGENTLEDGER_DSN"] = create_database(request.getfixturevalue("postgresql"))
    fresh.env["AGENTLEDGER_API_KEY"] = KEY
    with fresh:
        ready(fresh)
        for n in range(4):
            fresh.command("stop", "--user", f"u{n}", "--reason", "x")
    assert "5 entries" in fresh.command("verify_audit").stdout
    for statement, _ in CHANGES.values():
        with pytest.raises((sqlite3.IntegrityError, psycopg.Error), match="append-only"):
            execute(fresh, statement)
    for statement, finding in CHANGES.values():
        with broken(fresh, *GATES[database], statement) as ledger:
            done = ledger.command("verify_audit")
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.count("\n") == 1 and finding in done.stderr, done.stderr
    assert "5 entries" in fresh.command("verify_audit").stdout
    for forge, finding in (
        (rewrite_the_last, "entry 5 is not the one that was last appended"),
        (append_one, "entry 6 was not appended by AgentLedger"),
        (slip_one_in, "entry 5 is not the one that was last appended"),
    ):
        with broken(fresh, *GATES[database]) as ledger:
            change(ledger, forge)
            done = ledger.command("verify_audit")
        assert (done.returncode, done.stdout) == (1, "")
        assert finding in done.stderr, done.stderr
    assert "5 entries" in fresh.command("verify_audit").stdout


# --- forgers who know how entries are hashed ---

Row = dict[str, Any]
COLUMNS = ("id", "at", "actor", "address", "action", "object", "details", "previous_hash", "hash")


def with_hash(row: Row) -> Row:
    """The entry with the hash that the documented rule gives it, written down once more."""
    at = row["at"]
    at = datetime.fromisoformat(at) if isinstance(at, str) else at
    at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    details = row["details"]
    facts = {
        **{name: value for name, value in row.items() if name != "hash"},
        "at": at.isoformat(timespec="microseconds"),
        "details": json.loads(details) if isinstance(details, str) else details,
    }
    canonical = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return {**row, "hash": hashlib.sha256(canonical.encode()).hexdigest()}


def rewrite_the_last(rows: list[Row]) -> list[Row]:
    return [*rows[:-1], with_hash({**rows[-1], "actor": "nobody"})]


def append_one(rows: list[Row]) -> list[Row]:
    last = rows[-1]
    more = {**last, "id": last["id"] + 1, "previous_hash": last["hash"], "object": "user forged"}
    return [*rows, with_hash(more)]


def slip_one_in(rows: list[Row]) -> list[Row]:
    """An entry after the third, and all that follow it numbered, linked and hashed anew. Whoever
    changes the end of the chain as well leaves no trace: docs/access.md says so."""
    forged = [*rows[:3], {**rows[2], "object": "user forged"}, *rows[3:]]
    for n in range(3, len(forged)):
        linked = {**forged[n], "id": n + 1, "previous_hash": forged[n - 1]["hash"]}
        forged[n] = with_hash(linked)
    return forged


def change(ledger: Ledger, forge: Callable[[list[Row]], list[Row]]) -> None:
    dsn = ledger.env.get("AGENTLEDGER_DSN")
    file = ledger.folder / "agentledger.db"
    names = ", ".join(COLUMNS)
    connection: Any = psycopg.connect(dsn) if dsn else sqlite3.connect(file)
    with closing(connection), connection:
        found = connection.execute(f"SELECT {names} FROM access_auditentry ORDER BY id").fetchall()
        rows = [dict(zip(COLUMNS, row, strict=True)) for row in found]
        assert [with_hash(row)["hash"] for row in rows] == [row["hash"] for row in rows]
        connection.execute("DELETE FROM access_auditentry")
        for row in forge(rows):
            if dsn:
                row = {**row, "details": Json(row["details"])}
            marks = ", ".join(["%s" if dsn else "?"] * len(COLUMNS))
            insert = f"INSERT INTO access_auditentry ({names}) VALUES ({marks})"
            connection.execute(insert, [row[name] for name in COLUMNS])


def execute(ledger: Ledger, *statements: str) -> None:
    if dsn := ledger.env.get("AGENTLEDGER_DSN"):
        with psycopg.connect(dsn) as postgresql:
            for statement in statements:
                postgresql.execute(statement.encode())
        return
    with closing(sqlite3.connect(ledger.folder / "agentledger.db")) as sqlite, sqlite:
        for statement in statements:
            sqlite.execute(statement)


class broken:
    """The ledger after these statements; afterwards as it was before them."""

    def __init__(self, ledger: Ledger, *statements: str) -> None:
        self.ledger, self.statements = ledger, statements

    def __enter__(self) -> Ledger:
        if "AGENTLEDGER_DSN" in self.ledger.env:
            self.copy("audit_copy", "access_auditentry")
        else:
            self.file = self.ledger.folder / "agentledger.db"
            self.bytes = self.file.read_bytes()
        execute(self.ledger, *self.statements)
        return self.ledger

    def __exit__(self, *_: object) -> None:
        if "AGENTLEDGER_DSN" in self.ledger.env:
            self.copy("access_auditentry", "audit_copy")
            execute(self.ledger, "DROP TABLE audit_copy")
        else:
            for beside in self.ledger.folder.glob("agentledger.db-*"):
                beside.unlink()
            self.file.write_bytes(self.bytes)

    def copy(self, target: str, source: str) -> None:
        fill = f"INSERT INTO {target} SELECT * FROM {source}"
        if target == "audit_copy":
            execute(self.ledger, f"CREATE TABLE {target} AS SELECT * FROM {source}")
        else:
            execute(self.ledger, f"DELETE FROM {target}", fill)
            execute(self.ledger, f"ALTER TABLE {target} ENABLE TRIGGER ALL")


# --- reading ---


def test_pages_and_filters(fresh: Ledger) -> None:
    with fresh:
        ready(fresh)
        for n in range(7):
            body = {"scope": "user", "value": f"u{n}", "reason": "x"}
            httpx.post(f"{fresh.url}/api/stops", json=body).raise_for_status()
        everything = entries(fresh)
        assert [entry["id"] for entry in everything] == list(range(8, 0, -1))
        seen = []
        url: str | None = f"{fresh.url}/api/audit?limit=3&action=stop.create&api_key=x"
        while url is not None:
            response = httpx.get(url)
            seen += [entry["id"] for entry in response.json()]
            url = response.links["next"]["url"] if "next" in response.links else None
        assert seen == [8, 7, 6, 5, 4, 3, 2]
        assert [e["id"] for e in entries(fresh, object="user u2")] == [4]
        assert [e["id"] for e in entries(fresh, since=everything[2]["at"])] == [8, 7, 6]
        assert [e["id"] for e in entries(fresh, until=everything[5]["at"])] == [2, 1]
        assert entries(fresh, actor="somebody") == entries(fresh, address="8.8.8.8") == []
        for parameters in (
            {"limit": 0},
            {"limit": "x"},
            {"limit": 1001},
            {"cursor": -1},
            {"cursor": 10**30},
            {"since": "yesterday"},
            {"until": "2020-13-01"},
            {"actor": "a\0b"},
            {"what": "x"},
        ):
            response = fresh.get("/api/audit", params=parameters)
            assert response.status_code == 400, parameters
            assert list(response.json()) == list(parameters)
