"""Tokens: made, listed, revoked; what each opens, for how long, and what guessing gets."""

from __future__ import annotations

import os
import re
import time
from datetime import UTC, datetime
from urllib.parse import urlsplit

import django
import httpx
import psycopg
import pytest

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentledger_site.settings")
django.setup()

from access.failed_logins import FREE_ATTEMPTS, LoginThrottle  # noqa: E402 (after Django is set up)
from access.request_checks import KEY_HEADER  # noqa: E402 (after Django is set up)
from tests.access.test_access import other_address  # noqa: E402 (after Django is set up)
from tests.access.test_audit import execute  # noqa: E402 (after Django is set up)
from tests.conftest import KEY, create_database  # noqa: E402 (after Django is set up)
from tests.support.ledger import Ledger, wait_until  # noqa: E402 (after Django is set up)
from tests.support.provider import Provider  # noqa: E402 (after Django is set up)

INGEST_HEADER = "x-agentledger-ingest-key"
CALL = {"model": "m", "messages": []}
PAST = "UPDATE access_token SET expires_at = '2020-01-01 00:00:00' WHERE name = 'short'"


def make(ledger: Ledger, name: str, role: str, *options: str) -> str:
    made = ledger.command("token", "create", name, "--role", role, *options)
    assert made.returncode == 0, made.stderr
    assert "shown once" in made.stderr
    return made.stdout.strip()


def read(ledger: Ledger, secret: str, path: str = "/api/sessions") -> int:
    return ledger.get(path, headers={KEY_HEADER: secret}).status_code


def call(ledger: Ledger, secret: str | None) -> int:
    headers = {INGEST_HEADER: secret} if secret is not None else {}
    url = f"{ledger.url}/v1/chat/completions"
    return httpx.post(url, json=CALL, headers=headers).status_code


def test_a_token_is_made_listed_and_revoked(keyed: Ledger) -> None:
    secret = make(keyed, "ci", "viewer", "--expires", "90d")
    assert re.fullmatch(r"al_[A-Za-z0-9_-]{43}", secret)
    assert read(keyed, secret) == 200
    listed = keyed.command("token", "list").stdout
    assert re.search(rf"^ci +viewer +{re.escape(secret[:9])}… +in force ", listed, re.MULTILINE)
    assert secret not in listed
    again = keyed.command("token", "create", "ci", "--role", "admin")
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr.count("\n") == 1 and "a token 'ci' exists" in again.stderr
    assert keyed.command("token", "revoke", "ci").stdout == "Revoked the viewer token 'ci'\n"
    assert read(keyed, secret) == 401
    assert "ci" not in keyed.command("token", "list").stdout
    assert "revoked" in keyed.command("token", "list", "--all").stdout
    assert keyed.command("token", "revoke", "ci").returncode == 1
    assert read(keyed, make(keyed, "ci", "viewer")) == 200  # the name is free again


@pytest.mark.parametrize(
    "arguments",
    [
        ("create", "", "--role", "viewer"),
        ("create", "-x", "--role", "viewer"),
        ("create", "x\n", "--role", "viewer"),
        ("create", "x" * 101, "--role", "viewer"),
        ("create", "x", "--role", "root"),
        ("create", "x"),
        ("create", "x", "--role", "viewer", "--expires", "soon"),
        ("create", "x", "--role", "viewer", "--expires", "2020-01-01"),
        ("create", "x", "--role", "viewer", "--expires", "99999d"),
        ("create", "x", "--role", "viewer", "--expires", "99999999999d"),
        ("create", "x", "--role", "viewer", "--daily-budget", "5"),
        ("create", "x", "--role", "ingest", "--daily-budget", "-5"),
        ("create", "x", "--role", "ingest", "--daily-budget", "much"),
        ("revoke", "nobody"),
        (),
    ],
)
def test_what_cannot_be_a_token(ledger: Ledger, arguments: tuple[str, ...]) -> None:
    done = ledger.command("token", *arguments)
    if "99999d" in arguments:  # 274 years
        assert done.returncode == 0
        return
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_the_secret_is_stored_nowhere(fresh: Ledger) -> None:
    with fresh:
        secret = make(fresh, "a", "ingest")
        assert call(fresh, secret) == 200
    files = [path for path in fresh.folder.rglob("*") if path.is_file()]
    assert len(files) > 3
    assert [path for path in files if secret.encode() in path.read_bytes()] == []


def test_a_token_expires(keyed: Ledger) -> None:
    secret = make(keyed, "short", "viewer", "--expires", "1h")
    assert read(keyed, secret) == 200
    execute(keyed, PAST)
    assert read(keyed, secret) == 401
    assert "expired" in keyed.command("token", "list", "--all").stdout


def test_last_use_is_written(fresh: Ledger) -> None:
    fresh.env["AGENTLEDGER_INGEST_KEY"] = "another"  # a token that is not known yet gets a 401
    with fresh:
        reading, sending = make(fresh, "reading", "viewer"), make(fresh, "sending", "ingest")
        assert fresh.command("token", "list").stdout.count(" -  ") >= 2
        assert read(fresh, reading) == 200
        wait_until(lambda: call(fresh, sending) == 200)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    listed = fresh.command("token", "list").stdout
    assert [today in line for line in listed.splitlines()] == [False, True, True]


def test_the_response_does_not_tell_whether_a_token_exists(keyed: Ledger) -> None:
    secret = make(keyed, "gone", "viewer")
    keyed.command("token", "revoke", "gone")
    program = {"accept": "application/json"}
    responses = [
        keyed.get("/api/sessions", headers=program | {KEY_HEADER: shown})
        for shown in (secret, "al_" + "y" * 43, "wrong")
    ]
    assert {response.status_code for response in responses} == {401}
    assert len({response.text for response in responses}) == 1


def test_without_a_key_a_token_reads_from_elsewhere(fresh: Ledger) -> None:
    address = other_address()
    fresh.env["AGENTLEDGER_HOST"] = "0.0.0.0"
    with fresh:
        secret = make(fresh, "far", "viewer")
        url = fresh.url.replace("localhost", address) + "/api/sessions"
        assert httpx.get(url).status_code == 403
        assert httpx.get(url, headers={KEY_HEADER: secret}).status_code == 200
        assert httpx.get(url, headers={KEY_HEADER: "al_" + "z" * 43}).status_code == 401


# --- ingest tokens ---


def test_agents_show_the_ingest_key_or_an_ingest_token(fresh: Ledger, provider: Provider) -> None:
    fresh.env["AGENTLEDGER_INGEST_KEY"] = "the-ingest-key"
    with fresh:
        secret, reading = make(fresh, "agent", "ingest"), make(fresh, "reader", "admin")
        wait_until(lambda: call(fresh, secret) == 200)
        assert call(fresh, "the-ingest-key") == 200
        for wrong in (None, "", reading, secret[:-1], secret + "x"):
            assert call(fresh, wrong) == 401
        [received, *_] = provider.requests()
        assert INGEST_HEADER not in str(received.headers).lower()
        assert read(fresh, secret) == 403  # it may only send calls
        fresh.command("token", "revoke", "agent")
        wait_until(lambda: call(fresh, secret) == 401)
        assert call(fresh, "the-ingest-key") == 200


def test_without_the_ingest_key_tokens_neither_close_nor_open_the_door(fresh: Ledger) -> None:
    with fresh:
        assert call(fresh, None) == call(fresh, "whatever") == 200
        made = fresh.command("token", "create", "agent", "--role", "ingest")
        assert "AGENTLEDGER_INGEST_KEY is not set" in made.stderr
        secret = made.stdout.strip()
        wait_until(lambda: call(fresh, "whatever") == 401)
        assert call(fresh, secret) == call(fresh, None) == 200
        fresh.command("token", "revoke", "agent")
        wait_until(lambda: call(fresh, secret) == 401)
        assert call(fresh, None) == 200


def test_an_ingest_token_expires(fresh: Ledger) -> None:
    fresh.env["AGENTLEDGER_INGEST_KEY"] = "the-ingest-key"
    with fresh:
        secret = make(fresh, "short", "ingest", "--expires", "1h")
        wait_until(lambda: call(fresh, secret) == 200)
        execute(fresh, PAST)
        wait_until(lambda: call(fresh, secret) == 401)


def test_ingest_tokens_apply_while_the_database_is_unavailable(
    fresh: Ledger, postgresql: str
) -> None:
    fresh.env["AGENTLEDGER_DSN"] = dsn = create_database(postgresql)
    fresh.env["AGENTLEDGER_INGEST_KEY"] = "the-ingest-key"
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
        secret = make(fresh, "agent", "ingest")
        wait_until(lambda: call(fresh, secret) == 200)
        allow(False)
        time.sleep(1)
        assert (call(fresh, secret), call(fresh, "al_" + "x" * 43)) == (200, 401)
        fresh.kill()
        fresh.start()
        assert (call(fresh, secret), call(fresh, "al_" + "x" * 43)) == (200, 401)
        response = fresh.get("/api/sessions", headers={KEY_HEADER: "al_" + "x" * 43})
        assert response.status_code == 503
        page = fresh.get("/admin/capture/stop/", headers={"accept": "text/html"})
        assert (page.status_code, "the database is unavailable" in page.text) == (503, True)
        assert fresh.get("/health").status_code == 200
        allow(True)


# --- guessing ---


@pytest.fixture
def guessed(fresh: Ledger) -> Ledger:
    """A ledger at which a client on this machine guesses until it is slowed down."""
    fresh.env["AGENTLEDGER_API_KEY"] = KEY
    fresh.env["AGENTLEDGER_TRUSTED_PROXIES"] = "127.0.0.1"
    return fresh


def test_guessing_is_slowed_down(guessed: Ledger) -> None:
    with guessed:
        wait_until(lambda: read(guessed, KEY) == 200)
        secret = make(guessed, "new", "viewer")
        responses = [
            guessed.get("/api/sessions", headers={KEY_HEADER: f"guess {n}"}) for n in range(9)
        ]
        statuses = [response.status_code for response in responses]
        assert statuses[:FREE_ATTEMPTS] == [401] * FREE_ATTEMPTS
        assert 429 in statuses
        assert 1 <= int(responses[statuses.index(429)].headers["retry-after"]) <= 60
        slowed = guessed.get("/readyz", headers={KEY_HEADER: "guess"})
        assert slowed.json() == {"status": "ready"}
        # Who was let in before is not shut out, nor is who asks from elsewhere.
        assert read(guessed, KEY) == 200
        elsewhere = {KEY_HEADER: "guess", "x-forwarded-for": "8.8.8.8"}
        assert guessed.get("/api/sessions", headers=elsewhere).status_code == 401
        # A right key that is new here waits like any other, and then is let in.
        page = httpx.post(f"{guessed.url}/dashboard/sign-in", data={"api_key": "another guess"})
        assert page.status_code in (401, 429)
        wait_until(lambda: read(guessed, secret) == 200)


def test_the_same_wrong_key_again_and_again_is_no_guessing(guessed: Ledger) -> None:
    with guessed:
        assert {read(guessed, "old key") for _ in range(3 * FREE_ATTEMPTS)} == {401}


def test_waits_double_and_memory_is_bounded() -> None:
    throttle = LoginThrottle()
    waits = []
    for n in range(12):
        throttle.note_wrong("1.1.1.1", str(n))
        waits.append(round(throttle.wait_s("1.1.1.1", "x")))
    assert waits == [0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 60, 60]
    for n in range(30):
        throttle.note_wrong(f"2001:db8::{n:x}", str(n))
    assert throttle.wait_s("2001:db8::ffff", "x") > 50  # one network is one guesser
    assert throttle.wait_s("2001:db9::1", "x") == 0
    for n in range(20_000):
        throttle.note_wrong(f"10.0.{n // 250}.{n % 250}", "x")
    assert len(throttle._addresses) <= 10_000
