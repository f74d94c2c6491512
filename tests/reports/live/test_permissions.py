"""Who may listen to the live feed."""

from __future__ import annotations

import httpx

from access.request_checks import KEY_HEADER
from tests.conftest import KEY
from tests.support.ledger import Ledger, wait_until
from tests.support.live import listen, refusal
from tests.support.provider import Provider


def test_it_takes_what_pages_take(keyed: Ledger, provider: Provider) -> None:
    wait_until(lambda: keyed.get("/api/stops", headers={KEY_HEADER: KEY}).status_code == 200)
    assert refusal(keyed).status_code == 401
    assert refusal(keyed, **{KEY_HEADER: "wrong"}).status_code == 401
    viewer = keyed.command("token", "create", "listener", "--role", "viewer").stdout.strip()
    ingest = keyed.command("token", "create", "sender", "--role", "ingest").stdout.strip()
    assert refusal(keyed, **{KEY_HEADER: ingest}).status_code == 403
    signed_in = httpx.post(f"{keyed.url}/dashboard/sign-in", data={"api_key": viewer})
    cookie = f"agentledger={signed_in.cookies['agentledger']}"
    for query, headers in (
        ("", {KEY_HEADER: KEY}),
        (f"api_key={KEY}", {}),
        ("", {KEY_HEADER: viewer}),
        ("", {"cookie": cookie, "origin": keyed.url}),
    ):
        with listen(keyed, query, headers) as (_, hello):
            assert hello["seq"] >= 0
    elsewhere = {"cookie": cookie, "origin": "http://evil.example"}
    assert refusal(keyed, **elsewhere).status_code == 403


def test_without_a_key_only_this_machine_and_no_foreign_page(ledger: Ledger) -> None:
    with listen(ledger, headers={"origin": ledger.url}):
        pass
    assert refusal(ledger, origin="http://evil.example").status_code == 403
    assert refusal(ledger, **{"x-forwarded-for": "203.0.113.9"}).status_code == 403
