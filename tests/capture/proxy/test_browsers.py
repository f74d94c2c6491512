"""What a browser may have of a provider: what its scripts read, never what it shows or runs; and
which pages may send calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.support import canned
from tests.support.ledger import Ledger
from tests.support.provider import Provider
from tests.support.raw import RawResponse, exchange, request

CALL, OTHER = "/v1/chat/completions", "/v1/models"
BODY = b'{"model": "m", "messages": []}'
FOREIGN, LISTED = "https://evil.example", "https://app.example.com"
AGENT = ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/140.0 Safari/537")
PAGE = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8")
KEY = ("authorization", "Bearer sk-1")
JSON = ("content-type", "application/json")
Header = tuple[str, str]

# Fetch's destinations that are shown or run: https://fetch.spec.whatwg.org/
DESTINATIONS = """audio audioworklet document embed fencedframe font frame iframe image json
    manifest object paintworklet report script serviceworker sharedworker speculationrules style
    track video webidentity worker xslt""".split()


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def proxy(
    request: pytest.FixtureRequest, _provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    env = {"AGENTLEDGER_ALLOW_BROWSERS": f"{LISTED}, chrome-extension://abc"}
    folder = tmp_path_factory.mktemp(request.param)
    with Ledger(folder, _provider.url, server=request.param, env=env) as ledger:
        yield ledger


def send(
    proxy: Ledger, method: str, path: str, *headers: Header, body: bytes | None = None
) -> RawResponse:
    return exchange(proxy.url, request(method, path, headers, body), method=method)


def is_refused(response: RawResponse) -> bool:
    if response.status != 403:
        return False
    assert response.header(b"content-type") == [b"application/json"]
    return b"AgentLedger" in response.body or not response.body


# --- what is shown or run ---


@pytest.mark.parametrize("destination", DESTINATIONS)
def test_nothing_of_a_provider_is_shown_or_run(
    proxy: Ledger, provider: Provider, destination: str
) -> None:
    for method, path in (("GET", OTHER), ("HEAD", "/x"), ("POST", CALL), ("POST", "/x")):
        for mode in ("navigate", "no-cors", "cors", "same-origin"):
            metadata = [("sec-fetch-dest", destination), ("sec-fetch-mode", mode)]
            response = send(proxy, method, path, *metadata, JSON, KEY)
            assert is_refused(response), (method, path, mode)
    assert provider.requests() == []


@pytest.mark.parametrize(
    "headers",
    [
        [("sec-fetch-mode", "navigate")],
        [("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "empty")],
        [("service-worker", "script")],
        [("sec-purpose", "prefetch"), ("sec-fetch-dest", "empty"), ("sec-fetch-mode", "cors")],
        [PAGE, AGENT],
        [PAGE],
        [("accept", "TEXT/HTML")],
    ],
)
def test_other_signs_of_it_are_refused_too(
    proxy: Ledger, provider: Provider, headers: list[Header]
) -> None:
    for method in ("GET", "HEAD"):
        assert is_refused(send(proxy, method, OTHER, *headers))
    for content_type in ("text/plain", "application/x-www-form-urlencoded; charset=utf-8"):
        form = ("content-type", content_type)
        assert is_refused(send(proxy, "POST", CALL, *headers, form, body=BODY))
    assert provider.requests() == []


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [("accept", "*/*")],
        [("sec-fetch-mode", "cors")],  # Node's fetch
        [("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty"), PAGE],
        [("sec-fetch-mode", "same-origin"), ("sec-fetch-dest", "empty")],
        [("accept", "text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2")],  # Java's default
    ],
)
def test_what_scripts_and_programs_read_passes(
    proxy: Ledger, provider: Provider, headers: list[Header]
) -> None:
    assert send(proxy, "GET", OTHER, *headers).status == 200
    assert send(proxy, "POST", CALL, *headers, JSON, body=BODY).status == 200
    assert len(provider.requests()) == 2


def test_a_response_that_a_browser_keeps_is_disarmed(proxy: Ledger, provider: Provider) -> None:
    html = canned.whole(b"<script>1</script>", headers=[("content-type", "text/html")])
    provider.response(*html)
    metadata = [("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")]
    for headers in (metadata, [AGENT]):
        response = send(proxy, "GET", OTHER, *headers)
        assert response.header(b"content-security-policy") == [b"sandbox"]
    assert send(proxy, "GET", OTHER).header(b"content-security-policy") == []


# --- pages of other sites ---

UNASKED = [
    [("content-type", "text/plain;charset=UTF-8")],
    [("content-type", "application/x-www-form-urlencoded")],
    [("content-type", "multipart/form-data; boundary=b")],
    [],
    [("content-type", "text/plain"), ("authorization", "Basic dTpw")],
    [("content-type", "text/plain"), ("sec-fetch-mode", "cors"), ("sec-fetch-dest", "empty")],
]


@pytest.mark.parametrize("headers", UNASKED)
@pytest.mark.parametrize("origin", [FOREIGN, "null", "http://localhost.evil.example"])
def test_another_sites_page_sends_nothing_unasked(
    proxy: Ledger, provider: Provider, origin: str, headers: list[Header]
) -> None:
    for path in (CALL, "/v1/files"):
        response = send(proxy, "POST", path, ("origin", origin), *headers, body=BODY)
        assert is_refused(response)
        assert response.header(b"access-control-allow-origin") == []
    assert provider.requests() == []


@pytest.mark.parametrize("origin", [FOREIGN, LISTED, "http://localhost:3000"])
def test_no_page_sends_without_cors(proxy: Ledger, provider: Provider, origin: str) -> None:
    metadata = [("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "empty"), ("origin", origin)]
    for content_type in ("text/plain", "application/json"):
        headers = [*metadata, ("content-type", content_type)]
        assert is_refused(send(proxy, "POST", CALL, *headers, body=BODY))
    assert provider.requests() == []


def test_a_page_that_asked_first_is_up_to_the_provider(proxy: Ledger, provider: Provider) -> None:
    answered = [("Access-Control-Allow-Origin", FOREIGN), ("access-control-max-age", "5")]
    provider.response(*canned.whole(b"{}", headers=answered))
    asks = [("access-control-request-method", "POST"), ("origin", FOREIGN)]
    sent: list[tuple[str, list[Header]]] = [
        ("OPTIONS", asks),
        ("POST", [("origin", FOREIGN), JSON]),
        ("POST", [("origin", FOREIGN), KEY, ("content-type", "multipart/form-data")]),
        ("GET", [("origin", FOREIGN)]),
    ]
    for method, headers in sent:
        response = send(proxy, method, CALL, *headers)
        cors = [(n, v) for n, v in response.headers if n.startswith(b"access-control-")]
        expected = [(n.lower().encode(), v.encode()) for n, v in answered]
        assert sorted(cors) == sorted(expected)
        assert response.header(b"vary") == []
    assert [received.method for received in provider.requests()] == [method for method, _ in sent]


@pytest.mark.parametrize("origin", [FOREIGN, "null"])
def test_a_page_that_asked_first_learns_the_code_of_a_refusal_alone(
    proxy: Ledger, provider: Provider, origin: str
) -> None:
    for headers in ([JSON], [KEY, ("content-type", "text/plain")], [JSON, AGENT]):
        response = send(
            proxy, "POST", "/to/unknown/v1/messages", ("origin", origin), *headers, body=BODY
        )
        assert response.status == 404
        assert response.header(b"access-control-allow-origin") == [origin.encode()]
        assert response.header(b"access-control-allow-credentials") == []
        assert response.header(b"access-control-expose-headers") == []
        assert response.header(b"vary") == [b"origin"]
        assert b"unknown_upstream" in response.body
        assert b"anthropic" not in response.body  # the names of upstreams are not told
    for method, more in (("GET", []), ("POST", [("content-type", "text/plain")]), ("OPTIONS", [])):
        response = send(proxy, method, "/to/unknown/v1/messages", ("origin", origin), *more)
        assert response.header(b"access-control-allow-origin") == []
    assert provider.requests() == []


def test_a_program_with_an_origin_of_ours_is_told_all(proxy: Ledger, provider: Provider) -> None:
    response = send(proxy, "POST", "/to/unknown/v1/x", ("origin", proxy.url), JSON, body=BODY)
    assert b"anthropic" in response.body


# --- pages that may ---

ALLOWED = [
    *(LISTED, "chrome-extension://abc", "http://localhost:3000", "https://LOCALHOST"),
    *("http://127.0.0.1:5173", "http://[::1]:8080", "http://app.localhost", "http://127.1.2.3"),
]


@pytest.mark.parametrize("origin", ALLOWED)
def test_an_allowed_page_may_ask_send_and_read(
    proxy: Ledger, provider: Provider, origin: str
) -> None:
    asks = [
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,x-agentledger-session-id"),
        ("access-control-request-private-network", "true"),
    ]
    preflight = send(proxy, "OPTIONS", CALL, ("origin", origin), *asks)
    assert preflight.status == 204
    assert preflight.header(b"access-control-allow-origin") == [origin.encode()]
    assert preflight.header(b"access-control-allow-methods") == [b"POST"]
    assert preflight.header(b"access-control-allow-headers") == [asks[1][1].encode()]
    assert preflight.header(b"access-control-allow-private-network") == [b"true"]
    assert preflight.header(b"access-control-allow-credentials") == []
    assert provider.requests() == []
    for content_type in ("application/json", "text/plain"):
        response = send(
            proxy, "POST", CALL, ("origin", origin), ("content-type", content_type), body=BODY
        )
        assert response.status == 200
        assert response.header(b"access-control-allow-origin") == [origin.encode()]
        assert response.header(b"access-control-expose-headers") == [b"*"]
        assert response.header(b"vary") == [b"origin"]


def test_an_allowed_page_reads_refusals_too(proxy: Ledger, provider: Provider) -> None:
    origin = ("origin", LISTED)
    for path, more in (("/to/unknown/v1/x", []), (CALL, [("sec-fetch-mode", "no-cors")])):
        response = send(proxy, "POST", path, origin, JSON, *more, body=BODY)
        assert response.status in (403, 404)
        assert response.header(b"access-control-allow-origin") == [LISTED.encode()]


def test_the_providers_decision_is_left_to_it(proxy: Ledger, provider: Provider) -> None:
    answered = [("access-control-allow-origin", "*"), ("vary", "accept")]
    provider.response(*canned.whole(b"{}", headers=answered))
    response = send(proxy, "POST", CALL, ("origin", LISTED), JSON, body=BODY)
    assert response.header(b"access-control-allow-origin") == [b"*"]
    assert response.header(b"vary") == [b"accept"]
    assert b"x-agentledger-action-id" in response.header(b"access-control-expose-headers")[0]


# --- WebSockets ---


@pytest.mark.parametrize(
    ("origin", "agent", "passes"),
    [
        (FOREIGN, AGENT[1], False),
        ("null", AGENT[1], False),
        (LISTED, AGENT[1], True),
        ("http://localhost:3000", AGENT[1], True),
        (None, AGENT[1], True),
        (FOREIGN, "python", True),
    ],
)
def test_another_sites_page_opens_no_websocket(
    proxy: Ledger, provider: Provider, origin: str | None, agent: str, passes: bool
) -> None:
    more = {"origin": origin} if origin else {}
    url = proxy.url.replace("http", "ws") + "/v1/realtime"
    with (
        suppress(InvalidStatus),
        connect(url, user_agent_header=agent, additional_headers=more, proxy=None),
    ):
        pass
    assert len(provider.requests()) == passes


def test_counted_but_not_recorded(proxy: Ledger, provider: Provider) -> None:
    before = proxy.get("/readyz").json()["counters"]
    send(proxy, "GET", CALL, PAGE)
    after = proxy.get("/readyz").json()["counters"]
    assert after == before | {"refused_pages": before["refused_pages"] + 1}
