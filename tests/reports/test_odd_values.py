"""Whatever agents and providers send, every page, list and export of it can be read; and whatever
stands in a parameter, no page fails."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import quote, urlencode

import httpx
import pytest

from reports.dashboard.call import CallParameters
from reports.dashboard.calls import PageParameters
from reports.dashboard.flow import FlowParameters, NodeParameters
from reports.dashboard.session import SessionParameters
from reports.dashboard.trace import TraceParameters
from reports.queries.analytics import AnalyticsParameters
from reports.queries.parameters import Parameters
from reports.queries.session_list import SessionsParameters
from reports.search.parameters import SearchParameters
from tests.conftest import STACKS, running_on
from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.odd_exchanges import OddExchange, odd_exchanges
from tests.support.provider import Provider

SESSION = "odd"
AGENTS = ("a", "b", "c")
BROWSER = {"accept": "text/html,*/*;q=0.8"}  # of `/`, programs get the API's root


def record(ledger: Ledger, provider: Provider, exchanges: list[OddExchange]) -> list[str]:
    """Records the exchanges as calls of one session, and returns their ids."""
    for number, exchange in enumerate(exchanges):
        headers = [("content-type", exchange.content_type)]
        steps = canned.whole(exchange.response, headers=headers)
        provider.response(*steps, path=f"odd={number}&", times=1)

    def send(number: int) -> str:
        exchange = exchanges[number]
        headers = {
            "content-type": "application/json",
            "x-agentledger-session-id": SESSION,
            "x-agentledger-agent-name": AGENTS[number % len(AGENTS)],
        }
        url = f"{ledger.url}{exchange.path}?odd={number}&"
        response = httpx.post(url, content=exchange.request, headers=headers, timeout=60)
        assert response.content == exchange.response
        return response.headers["x-agentledger-action-id"]

    with ThreadPoolExecutor(4) as pool:
        ids = list(pool.map(send, range(len(exchanges))))
    wait_until(lambda: ledger.n_recorded() == len(exchanges))
    return ids


def addresses(session: str, ids: list[str]) -> Iterator[str]:
    """Yields every page, list and export in which the session's calls can be seen."""
    name = quote(session, safe="")
    of_session = urlencode({"session": session})
    yield from (
        *(f"/session/{name}", f"/session/{name}?format=api", f"/dashboard/sessions/{name}/"),
        *("/api/sessions", f"/api/sessions/{name}", "/dashboard/sessions/"),
        *("/api/analytics", "/dashboard/analytics/", "/api/search?q=x", "/dashboard/search/?q=x"),
        *("/dashboard/search.json?q=x", "/dashboard/search.csv?q=x"),
        *(f"/dashboard/flow/?{of_session}", f"/dashboard/flow.json?{of_session}"),
        *(f"/dashboard/trace/?{of_session}", f"/dashboard/trace.json?{of_session}"),
        *("/", "/dashboard/calls.json", "/dashboard/calls.csv", "/dashboard/calls/facets"),
        *("/admin/capture/call/", "/admin/capture/session/"),
    )
    for number, one in enumerate(ids):
        yield from (
            *(f"/explain/{one}", f"/explain/{one}?format=api", f"/dashboard/calls/{one}/peek"),
            f"/dashboard/calls/{one}/",
            f"/dashboard/calls/{one}/?cmp={ids[number - 1]}",
            f"/dashboard/calls/{one}/?view=full&all=true",
            f"/dashboard/calls/{one}/?view=raw",
            f"/admin/capture/call/{one}/change/",
        )
    yield from (f"/dashboard/sessions/{name}/?after={one}" for one in ids[::20])


def failing(ledger: Ledger, asked: list[str]) -> list[str]:
    """Returns what could not be read, with its status."""
    found = []
    with httpx.Client(base_url=ledger.url, timeout=60, follow_redirects=True) as client:
        for address in asked:
            response = client.get(address, headers=BROWSER if address == "/" else {})
            if response.status_code != 200:
                found.append(f"{address}: {response.status_code}")
            elif "application/json" in response.headers["content-type"]:
                json.loads(response.content, parse_int=str)
    return found


@pytest.mark.parametrize(
    ("stack", "count"), [(STACKS[0], 70), pytest.param(STACKS[1], 70, marks=pytest.mark.e2e)]
)
def test_every_page_shows_every_call(
    stack: str, count: int, request: pytest.FixtureRequest, provider: Provider
) -> None:
    with running_on(stack, request) as ledger:
        ids = record(ledger, provider, list(odd_exchanges(count, count)))
        assert failing(ledger, list(addresses(SESSION, ids))) == []
        assert "Traceback" not in ledger.log.read_text()


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(20))
def test_every_page_shows_a_thousand_calls(
    seed: int, request: pytest.FixtureRequest, provider: Provider
) -> None:
    with running_on(STACKS[seed % 2], request) as ledger:
        ids = record(ledger, provider, list(odd_exchanges(1000 + seed, 1000)))
        assert failing(ledger, list(addresses(SESSION, ids))) == []


PAGES: dict[str, type[Parameters]] = {
    "/": PageParameters,
    "/dashboard/calls.json": PageParameters,
    "/dashboard/calls.csv": PageParameters,
    "/dashboard/calls/facets": PageParameters,
    "/dashboard/calls/{call}/": CallParameters,
    "/dashboard/sessions/": SessionsParameters,
    "/dashboard/sessions/s/": SessionParameters,
    "/dashboard/flow/": FlowParameters,
    "/dashboard/flow/calls/": NodeParameters,
    "/dashboard/trace/": TraceParameters,
    "/dashboard/search/": SearchParameters,
    "/dashboard/search/count": SearchParameters,
    "/dashboard/search.json": SearchParameters,
    "/dashboard/search.csv": SearchParameters,
    "/dashboard/analytics/": AnalyticsParameters,
}
ODD_TEXTS = (
    *("", "0", "-1", str(2**63), "9" * 400, "1e999", "NaN", "\0", "\ud800", "%ff", "\u202e' OR 1"),
    *("0001-01-01", "9999-12-31T23:59:59-23:59", "2026-02-30", "x" * 3000, "NaN,1", "[1", "a:b:c"),
)


@pytest.mark.e2e
def test_a_parameter_may_hold_anything(ledger: Ledger) -> None:
    ledger.post("s")
    action_id = ledger.call("s")["action_id"]
    asked, failed = 0, []
    with httpx.Client(base_url=ledger.url, timeout=60) as client:
        for page, parameters in PAGES.items():
            address = page.format(call=action_id)
            required = {"session": "s"} if "session" in parameters.names() else {}
            for name in parameters.names():
                expected = (200, 400, 404) if name == "session" else (200, 400)
                for odd in ODD_TEXTS:
                    text = odd.encode(errors="surrogatepass")
                    query = urlencode({**required, name: text}) + f"&{name}=%FF" * (odd == "%ff")
                    response = client.get(f"{address}?{query}", headers=BROWSER)
                    asked += 1
                    if response.status_code not in expected:
                        failed.append(f"{address}?{query}: {response.status_code}")
    assert asked > 1000
    assert failed == []
