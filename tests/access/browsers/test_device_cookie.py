"""Who guesses keys from an address does not shut out browsers that are known."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import partial

import httpx
import pytest

from access.failed_logins import FREE_ATTEMPTS
from tests.conftest import KEY
from tests.support.ledger import Ledger, wait_until

SIGN_IN = "/dashboard/sign-in"


def sign_in(ledger: Ledger, secret: str, cookies: dict[str, str] | None = None) -> httpx.Response:
    headers = {"cookie": "; ".join(f"{k}={v}" for k, v in (cookies or {}).items())}
    headers |= {"x-forwarded-for": "203.0.113.9", "x-forwarded-proto": "https"}
    return httpx.post(ledger.url + SIGN_IN, data={"api_key": secret}, headers=headers, timeout=30)


def follow_link(ledger: Ledger, secret: str, cookies: dict[str, str]) -> httpx.Response:
    headers = {"cookie": "; ".join(f"{k}={v}" for k, v in cookies.items()), "accept": "text/html"}
    headers |= {"x-forwarded-for": "203.0.113.9"}
    return httpx.get(f"{ledger.url}/?api_key={secret}", headers=headers, timeout=30)


def create(ledger: Ledger, name: str) -> str:
    return ledger.command("token", "create", name, "--role", "viewer").stdout.strip()


@pytest.fixture
def guarded(fresh: Ledger) -> Ledger:
    fresh.env |= {"AGENTLEDGER_API_KEY": KEY, "AGENTLEDGER_TRUSTED_PROXIES": "127.0.0.1"}
    return fresh


def while_shut_out(ledger: Ledger, attempt: Callable[[], httpx.Response]) -> httpx.Response:
    """Returns the response to an attempt between two guesses that were not even checked."""
    while True:
        before = sign_in(ledger, f"guess {uuid.uuid4()}")
        response = attempt()
        after = sign_in(ledger, f"guess {uuid.uuid4()}")
        if before.status_code == after.status_code == 429:
            return response


def test_a_known_browser_is_not_shut_out(guarded: Ledger) -> None:
    with guarded:
        wait_until(lambda: sign_in(guarded, KEY).status_code == 303)
        first, second, third = (create(guarded, name) for name in ("first", "second", "third"))
        known = sign_in(guarded, first)
        cookies = known.headers["set-cookie"].lower()
        assert first not in cookies and cookies.count("httponly") == cookies.count("secure") == 2
        value = known.cookies["agentledger-device"]
        device = {"agentledger-device": value}
        for unknown in ({}, {"agentledger-device": value[:-2] + "xx"}, {"agentledger": value}):
            wrong = partial(sign_in, guarded, "yet another guess", unknown)
            assert while_shut_out(guarded, wrong).status_code == 429
        # The cookie of a sign-in is none of a device, nor the other way round.
        swapped = {"agentledger-device": known.cookies["agentledger"]}
        wrong = partial(sign_in, guarded, "yet another guess", swapped)
        assert while_shut_out(guarded, wrong).status_code == 429
        right = partial(sign_in, guarded, second, device)
        assert while_shut_out(guarded, right).status_code == 303
        right = partial(follow_link, guarded, third, device)
        assert while_shut_out(guarded, right).status_code == 303


def test_a_known_browser_has_no_more_guesses_and_no_access(guarded: Ledger) -> None:
    with guarded:
        wait_until(lambda: sign_in(guarded, KEY).status_code == 303)
        cookies = [sign_in(guarded, KEY).cookies["agentledger-device"] for _ in range(2)]
        statuses = [
            sign_in(guarded, f"guess {n}", {"agentledger-device": cookies[n % 2]}).status_code
            for n in range(3 * FREE_ATTEMPTS)
        ]
        assert statuses[:FREE_ATTEMPTS] == [401] * FREE_ATTEMPTS
        assert 429 in statuses
        for name in ("agentledger", "agentledger-device"):
            headers = {"cookie": f"{name}={cookies[0]}"}
            assert guarded.get("/api/sessions", headers=headers).status_code == 401
