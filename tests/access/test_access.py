"""The paths that AgentLedger serves itself, and who may read them."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterator
from typing import Any

import httpx
import psutil
import pytest

from access.forwarded import read_client
from access.request_checks import (
    KEY_HEADER,
    RequestFacts,
    check_host_with_key,
    check_page,
    check_without_key,
)
from agentledger_site import conf
from agentledger_site.owned_paths import is_owned
from agentledger_site.parsers import networks
from agentledger_site.variables import PREFIX
from tests.support.ledger import Ledger
from tests.support.provider import Provider
from tests.support.raw import exchange, request

OURS = "/ /ws /health /readyz /metrics /api/ /api/sessions /api/sessions/x /api/search /session/a/b"
OURS += " /api/analytics /api/limits /api/stops /api/stops/1"
OURS += " /explain/x /export/x /dashboard/calls /admin /admin/x /static/x.css /mcp"
OURS += " /api /session /dashboard /health/ //"
PROVIDERS = "/v1 /v1/models /v1/sessions /api/chat /api/tags /api/generate /sessions"
PROVIDERS += " /healthz /readyz/x /mcp/x /x/health /v1/mcp"


def test_the_table_of_paths() -> None:
    assert [path for path in OURS.split() if not is_owned(path)] == []
    assert [path for path in PROVIDERS.split() if is_owned(path)] == []


@pytest.mark.parametrize("path", PROVIDERS.split())
def test_what_is_not_ours_reaches_the_provider(
    ledger: Ledger, provider: Provider, path: str
) -> None:
    assert httpx.get(f"{ledger.url}{path}").status_code == 200
    assert [request.target for request in provider.requests()] == [path]


@pytest.mark.parametrize("path", ["/", "/health", "/api/sessions", "/session/x", "/explain/x"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"])
def test_what_is_ours_does_not(ledger: Ledger, provider: Provider, path: str, method: str) -> None:
    response = httpx.request(method, ledger.url + path)
    assert provider.counts()["received"] == 0
    if method in ("GET", "HEAD"):
        assert response.status_code == (404 if path.endswith("/x") else 200)
    elif method == "OPTIONS":
        assert response.status_code in (200, 405)
    else:
        assert response.status_code == 405


# --- the rule ---

LOOPBACK: dict[str, object] = {"address": "127.0.0.1", "host": "localhost:8000"}
CASES: list[tuple[dict[str, str], dict[str, object], int | None]] = [
    # without a key: this machine alone, under a name of its own
    ({}, LOOPBACK, None),
    ({}, {"address": "::1", "host": "[::1]:8000"}, None),
    ({}, {"address": "::ffff:127.0.0.1", "host": "127.0.0.1"}, None),
    ({}, {"address": "127.9.9.9", "host": "ledger.localhost"}, None),
    ({}, {"address": "127.0.0.1", "host": ""}, 403),
    ({}, {"address": "127.0.0.1", "host": "evil.example:8000"}, 403),
    ({}, {"address": "127.0.0.1", "host": "localhost.evil.example"}, 403),
    ({}, {"address": "127.0.0.1", "host": "evillocalhost"}, 403),
    ({}, {"address": "127.0.0.1", "host": "evil-localhost:8000"}, 403),
    ({}, {"address": "127.0.0.1", "host": "evillocalhost.localdomain"}, 403),
    ({}, {"address": "10.1.2.3", "host": "localhost"}, 403),
    ({}, {"address": None, "host": "localhost"}, 403),
    ({}, {**LOOPBACK, "headers": {"x-forwarded-for": "127.0.0.1"}}, 403),
    ({}, {**LOOPBACK, "headers": {"forwarded": "for=127.0.0.1"}}, 403),
    ({}, {**LOOPBACK, "headers": {"via": "1.1 x"}}, 403),
    ({}, {**LOOPBACK, "headers": {"x-forwarded-for": "127.0.0.1"}, "is_forwarded": True}, None),
    ({}, {**LOOPBACK, "http_version": "1.0"}, 403),
    ({}, {**LOOPBACK, "http_version": "2"}, None),
    # Host: loopback, 0.0.0.0 for short, and the port that the connection was made to
    ({}, {"address": "127.0.0.1", "host": "0.0.0.0:8000"}, None),
    ({}, {"address": "127.0.0.1", "host": "[::]:8000"}, None),
    ({}, {"address": "127.0.0.1", "host": "10.0.0.1"}, 403),
    ({}, {"address": "127.0.0.1", "host": "[2001:db8::1]:8000"}, 403),
    ({}, {**LOOPBACK, "server": ("127.0.0.1", 8000)}, None),
    ({}, {**LOOPBACK, "server": ("127.0.0.1", 8001)}, 403),
    ({}, {**LOOPBACK, "host": "localhost", "server": ("127.0.0.1", 8001)}, None),
    ({}, {**LOOPBACK, "host": "localhost:", "server": ("127.0.0.1", 8001)}, None),
    ({}, {**LOOPBACK, "host": "localhost:x", "server": ("127.0.0.1", 8001)}, 403),
    ({}, {**LOOPBACK, "host": "[::1]:8000", "server": ("::1", 8001)}, 403),
    (
        {"TRUSTED_NETWORKS": "10.0.0.0/8"},
        {"address": "10.1.2.3", "host": "10.0.0.1:9", "server": ("10.0.0.1", 8)},
        None,
    ),
    (
        {"TRUSTED_NETWORKS": "10.0.0.0/8"},
        {"address": "10.1.2.3", "host": "10.0.0.1", "http_version": "1.0"},
        403,
    ),
    ({"TRUSTED_NETWORKS": "10.0.0.0/8"}, {"address": "10.1.2.3", "host": "10.0.0.1"}, None),
    ({"TRUSTED_NETWORKS": "10.0.0.0/8"}, {"address": "11.1.2.3", "host": "10.0.0.1"}, 403),
    ({"TRUSTED_NETWORKS": "10.0.0.0/8"}, {"address": "10.1.2.3", "host": "ledger.lan"}, 403),
    (
        {"TRUSTED_NETWORKS": "10.0.0.0/8", "ALLOWED_HOSTS": "ledger.lan"},
        {"address": "10.1.2.3", "host": "Ledger.lan:80"},
        None,
    ),
    ({"TRUSTED_NETWORKS": "fd00::/8"}, {"address": "fd00::1%eth0", "host": "[fd00::2]:80"}, None),
    # with a key: no address is enough
    ({"API_KEY": "k"}, LOOPBACK, 401),
]


@pytest.mark.parametrize(("variables", "reader", "status"), CASES)
def test_who_may_read_from_which_place(
    variables: dict[str, str], reader: dict[str, object], status: int | None
) -> None:
    refusal = check_without_key(facts_of(reader), **rules(variables))
    assert (refusal and refusal.status) == status
    if refusal:
        assert refusal.reason


def test_a_page_is_told_by_either_header_of_browsers() -> None:
    for headers in ({"origin": "http://h:1"}, {"sec-fetch-site": "same-origin"}):
        assert facts_of({**LOOPBACK, "headers": headers}).is_from_page
    assert not facts_of({**LOOPBACK, "headers": {"accept": "text/html"}}).is_from_page


def test_requests_with_a_key_may_be_restricted_to_host_names() -> None:
    reader = facts_of({"address": "8.8.8.8", "host": "x.y", "headers": {"via": "1.1 x"}})
    assert check_host_with_key(reader, ()) is None
    assert check_host_with_key(reader, ("x.y",)) is None
    refusal = check_host_with_key(reader, ("x.z",))
    assert refusal is not None and refusal.status == 403


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({}, True),
        ({"origin": "http://h:1"}, True),
        ({"origin": "https://h:1"}, True),  # TLS ends before us
        ({"sec-fetch-site": "same-origin"}, True),
        ({"origin": "http://h:2"}, False),
        ({"origin": "null"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "http://h:1"}, False),
    ],
)
def test_whose_page_may_change_something(headers: dict[str, str], passes: bool) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        reader = facts_of({**LOOPBACK, "host": "h:1", "headers": headers, "method": method})
        assert (check_page(reader) is None) == passes
    assert check_page(facts_of({**LOOPBACK, "headers": headers})) is None


def rules(variables: dict[str, str]) -> dict[str, Any]:
    config = conf.read_config({PREFIX + name: value for name, value in variables.items()})
    return {
        "has_key": config.api_key is not None,
        "trusted_networks": config.trusted_networks,
        "allowed_hosts": config.allowed_hosts,
    }


def facts_of(facts: dict[str, object]) -> RequestFacts:
    # Facts differ by field.
    return RequestFacts(**{"headers": {}, **facts})  # type: ignore[arg-type]


PROXIES = networks("10.0.0.0/8,::1")
VOUCHED = [
    # from whom, with which headers, whom it names; None: nobody vouches for anything
    ("8.8.8.8", {"x-forwarded-for": "1.1.1.1"}, None),
    ("10.0.0.1", {}, None),
    ("10.0.0.1", {"via": "1.1 x"}, None),
    ("10.0.0.1", {"x-forwarded-for": "1.1.1.1"}, "1.1.1.1"),
    ("::1", {"x-forwarded-for": "1.1.1.1"}, "1.1.1.1"),
    ("10.0.0.1", {"x-forwarded-for": "127.0.0.1, 1.1.1.1"}, "1.1.1.1"),
    ("10.0.0.1", {"x-forwarded-for": "127.0.0.1, 1.1.1.1, 10.9.9.9"}, "1.1.1.1"),
    ("10.0.0.1", {"x-forwarded-for": "10.2.2.2, 10.9.9.9"}, "10.2.2.2"),
    ("10.0.0.1", {"x-forwarded-for": "1.1.1.1:4711"}, "1.1.1.1"),
    ("10.0.0.1", {"x-forwarded-for": "[2001:db8::1]:4711"}, "2001:db8::1"),
    ("10.0.0.1", {"x-forwarded-for": "localhost"}, ""),
    ("10.0.0.1", {"x-forwarded-for": ""}, ""),
    ("10.0.0.1", {"forwarded": "for=127.0.0.1, for=1.1.1.1;proto=https"}, "1.1.1.1"),
    ("10.0.0.1", {"forwarded": 'for="[2001:db8::1]:4711"'}, "2001:db8::1"),
    ("10.0.0.1", {"forwarded": "for=unknown"}, ""),
    ("10.0.0.1", {"forwarded": "for=127.0.0.1", "x-forwarded-for": "1.1.1.1"}, ""),
    ("10.0.0.1", {"forwarded": "for=1.1.1.1", "x-forwarded-for": "1.1.1.1"}, "1.1.1.1"),
    ("10.0.0.1", {"x-real-ip": "1.1.1.1"}, "1.1.1.1"),
    ("10.0.0.1", {"x-real-ip": "127.0.0.1", "x-forwarded-for": "1.1.1.1"}, "1.1.1.1"),
]


@pytest.mark.parametrize(("peer", "headers", "expected"), VOUCHED)
def test_the_client_that_a_trusted_proxy_names(
    peer: str, headers: dict[str, str], expected: str | None
) -> None:
    found = read_client(peer, headers, PROXIES)
    assert (None if found is None else found.address or "") == expected


# --- as it is served ---


BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


@pytest.fixture(scope="module")
def locked(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    env = {"AGENTLEDGER_API_KEY": "k-1"}
    with Ledger(tmp_path_factory.mktemp("locked"), _provider.url, env=env) as ledger:
        yield ledger


@pytest.mark.parametrize(
    "path", ["/", "/api/sessions", "/session/x", "/explain/x", "/static/x", "/dashboard/x", "/mcp"]
)
def test_a_key_locks_what_can_be_read(locked: Ledger, path: str) -> None:
    url = locked.url + path
    page = httpx.get(url, headers=BROWSER)
    assert page.status_code == 401
    assert 'name="api_key"' in page.text
    refused = httpx.get(url, headers={"accept": "application/json", KEY_HEADER: "k-3"})
    assert refused.status_code == 401
    assert KEY_HEADER in refused.json()["detail"]
    for wrong in (b"k-2", b"K-1", "k-1\u00e9".encode()):
        program = {b"accept": b"application/json", KEY_HEADER.encode(): wrong}
        response = httpx.get(url, headers=program)
        assert (response.status_code, response.json()) == (401, refused.json())
    for response in (httpx.get(url, headers={KEY_HEADER: "k-1"}), httpx.get(url + "?api_key=k-1")):
        assert response.status_code in (200, 404)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("accept", ["*/*", "application/json", None])
def test_a_client_that_looks_for_a_server_finds_one(
    locked: Ledger, ledger: Ledger, method: str, accept: str | None
) -> None:
    """As Ollama's do, with `HEAD /`, before their first call."""
    probe = request(method, "/", [("accept", accept)] if accept else [])
    proxied = request(method, "/", [("via", "1.1 x")])
    for url, sent in ((locked.url, probe), (ledger.url, proxied)):
        response = exchange(url, sent, method=method)
        assert response.status == 200
        assert response.body == (b"AgentLedger is running" if method == "GET" else b"")


def test_the_response_to_probes_is_at_the_root_alone(locked: Ledger) -> None:
    for path in ("/api/sessions", "/session/x", "/explain/x", "/static/x", "/dashboard/x", "/mcp"):
        assert httpx.get(locked.url + path).status_code == 401
    assert httpx.post(locked.url).status_code == 401
    assert httpx.get(locked.url, headers=BROWSER).status_code == 401


def test_a_key_locks_neither_agents_nor_probes(locked: Ledger, provider: Provider) -> None:
    assert httpx.get(f"{locked.url}/health").json() == {"status": "ok", "version": conf.VERSION}
    body = {"model": "m", "messages": []}
    assert httpx.post(f"{locked.url}/v1/chat/completions", json=body).status_code == 200
    assert httpx.get(f"{locked.url}/v1/models").status_code == 200


def test_readiness_gives_its_reasons_to_those_who_may_read(locked: Ledger) -> None:
    url = f"{locked.url}/readyz"
    assert httpx.get(url).json() == {"status": "ready"}
    facts = httpx.get(url, headers={KEY_HEADER: "k-1"}).json()
    assert facts["reasons"] == []
    assert facts["counters"]["calls"] >= 0


def test_a_trusted_proxy_says_who_reads(fresh: Ledger) -> None:
    fresh.env["AGENTLEDGER_TRUSTED_PROXIES"] = "127.0.0.1"
    with fresh:
        for header, status in (("8.8.8.8", 403), ("127.0.0.1", 200), ("127.0.0.1, 8.8.8.8", 403)):
            response = fresh.get("/api/sessions", headers={"x-forwarded-for": header})
            assert response.status_code == status
        # It is a program of our own user, and says that a local one is behind it.
        secure = {"x-forwarded-for": "::1", "x-forwarded-proto": "https"}
        assert fresh.get("/", headers=secure).json()["sessions"].startswith("https://")


@pytest.mark.parametrize("header", ["x-forwarded-for", "Forwarded", "X-Real-IP", "via"])
def test_without_a_key_nobody_reads_through_a_proxy(ledger: Ledger, header: str) -> None:
    response = httpx.get(f"{ledger.url}/api/sessions", headers={header: "127.0.0.1"})
    assert response.status_code == 403
    assert "AGENTLEDGER_API_KEY" in response.json()["detail"]


def test_without_a_key_another_sites_page_does_not_read(ledger: Ledger) -> None:
    response = httpx.get(f"{ledger.url}/api/sessions", headers={"host": "evil.example"})
    assert response.status_code == 403


def test_without_a_key_another_machine_does_not_read(fresh: Ledger, provider: Provider) -> None:
    """A request from another address of this machine looks like one from another machine."""
    address = other_address()
    fresh.env["AGENTLEDGER_HOST"] = "0.0.0.0"
    with fresh:
        url = fresh.url.replace("localhost", address)
        assert httpx.get(f"{url}/api/sessions").status_code == 403
        assert httpx.get(f"{url}/readyz").json() == {"status": "ready"}
        assert httpx.get(f"{url}/v1/models").status_code == 200
    fresh.env["AGENTLEDGER_TRUSTED_NETWORKS"] = f"{address}/32"
    with fresh:
        url = fresh.url.replace("localhost", address)
        assert httpx.get(f"{url}/api/sessions").status_code == 200


def other_address() -> str:
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            is_ipv4 = address.family == socket.AF_INET
            if is_ipv4 and not ipaddress.ip_address(address.address).is_loopback:
                return str(address.address)
    pytest.skip("this machine has no address but loopback")
