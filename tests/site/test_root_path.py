"""A real nginx serves everything at a sub-path, which it passes on or takes off."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import unescape
from typing import Any

import httpx
import pytest
from websockets.sync.client import connect

from agentledger_site.parsers import Rejected, sub_path
from tests.support.ledger import CALL, Ledger, ServerName, wait_until
from tests.support.provider import Provider
from tests.support.reverse_proxy import HTTP_1_1, NGINX, running

PAGES = {"accept": "text/html, */*;q=0.1"}
KEY = "the-key"
ROOT = "/tools/ledger"
FORWARDED = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
HEADERS = f"{HTTP_1_1} proxy_set_header Host $http_host; {FORWARDED}"
LOCATION = f"location {ROOT}/ {{{{"
PASSED_ON = NGINX.replace("location / {{", LOCATION)
TAKEN_OFF = PASSED_ON.replace("127.0.0.1:{ledger};", "127.0.0.1:{ledger}/;")
CONFIGURED = {"AGENTLEDGER_ROOT_PATH": "tools/ledger/"}
NAMED = {"AGENTLEDGER_TRUSTED_PROXIES": "127.0.0.1"}
PREFIX = f"proxy_set_header X-Forwarded-Prefix {ROOT}/;"


@dataclass(frozen=True, slots=True)
class Way:
    server: ServerName
    nginx: str
    env: dict[str, str]


WAYS = {
    "passed on to daphne": Way("daphne", PASSED_ON.replace("{more}", HEADERS), CONFIGURED),
    "taken off before uvicorn": Way("uvicorn", TAKEN_OFF.replace("{more}", HEADERS), CONFIGURED),
    "named by the proxy": Way("daphne", TAKEN_OFF.replace("{more}", HEADERS + PREFIX), NAMED),
}


@dataclass(frozen=True, slots=True)
class Site:
    ledger: Ledger
    url: str  # of nginx, with the sub-path
    client: httpx.Client  # signed in as browsers do


@pytest.fixture(scope="module", params=WAYS)
def site(
    request: pytest.FixtureRequest, _provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    way = WAYS[request.param]
    folder = tmp_path_factory.mktemp("ledger")
    env = {"AGENTLEDGER_API_KEY": KEY, **way.env}
    with (
        Ledger(folder, _provider.url, server=way.server, env=env) as ledger,
        running("nginx", way.nginx, ledger, tmp_path_factory.mktemp("nginx")) as origin,
        httpx.Client(base_url=origin, headers=PAGES, timeout=30) as client,
    ):
        sign_in = client.post(
            f"{ROOT}/dashboard/sign-in",
            data={"api_key": KEY, "next": f"{ROOT}/dashboard/sessions/"},
        )
        assert (sign_in.status_code, sign_in.headers["location"]) == (
            303,
            f"{ROOT}/dashboard/sessions/",
        )
        assert "agentledger" in client.cookies
        assert {cookie.path for cookie in client.cookies.jar} == {f"{ROOT}/"}
        yield Site(ledger, origin + ROOT, client)


def send(site: Site, session: str) -> httpx.Response:
    headers = {"x-agentledger-session-id": session}
    return httpx.post(f"{site.url}/v1/chat/completions?a=%20b", json=CALL, headers=headers)


def wait_for(site: Site, segment: str) -> list[dict[str, Any]]:
    headers = {"x-agentledger-api-key": KEY, "accept": "application/json"}

    def found() -> Any:
        response = httpx.get(f"{site.url}/session/{segment}", headers=headers)
        return response.status_code == 200 and response.json()

    calls: list[dict[str, Any]] = wait_until(found)
    return calls


def test_agents_use_the_sub_path_as_their_base_url(site: Site, provider: Provider) -> None:
    assert send(site, "agent").status_code == 200
    assert provider.requests()[-1].line == "POST /v1/chat/completions?a=%20b HTTP/1.1"
    [call] = wait_for(site, "agent")
    assert call["path"] == "/v1/chat/completions"
    unknown = httpx.post(f"{site.url}/to/elsewhere/v1/messages", json=CALL)
    assert "no upstream 'elsewhere'" in unknown.text
    direct = httpx.post(f"{site.ledger.url}/v1/chat/completions", json=CALL)
    assert direct.status_code == 200


def test_every_address_on_every_page_is_below_the_root(site: Site) -> None:
    send(site, "run/../1")
    send(site, "a//b/")
    send(site, ".")
    send(site, "..")
    wait_for(site, "~..")
    seen: set[str] = set()
    waiting = [f"{ROOT}/", f"{ROOT}/api/", f"{ROOT}/admin/", f"{ROOT}/api/schema/view"]
    while waiting and len(seen) < 150:
        address = waiting.pop(0)
        response = site.client.get(address, follow_redirects=True)
        assert response.status_code == 200, address
        assert str(response.url).startswith(site.url), address
        for found in addresses_of(response):
            assert found.startswith(f"{ROOT}/"), (address, found)
            kind = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}|\?.*", "", found)
            if kind not in seen and not kind.endswith(("sign-out", "logout/")):
                seen.add(kind)
                waiting.append(found)
    for part in (
        *("dashboard/flow/", "dashboard/sessions/~../", "dashboard/sessions/a%2F~%2Fb%2F~/"),
        "admin/capture/call/",
    ):
        assert f"{ROOT}/{part}" in seen, part
    assert any(kind.endswith("page.css") for kind in seen)


def addresses_of(response: httpx.Response) -> list[str]:
    """The paths of this host that a page or a JSON names; not those of changes, nor the API's own
    examples."""
    kind = response.headers["content-type"]
    if "text/html" in kind:
        names = r"href|src|action|data-(?:flow|trace|to|next|schema-url)"
        found = re.findall(rf'\b(?:{names})="(/[^"#]*)', response.text)
        return [unescape(one) for one in found]
    return []


def test_redirects_and_json_name_the_sub_path(site: Site) -> None:
    redirect = site.client.get(f"{ROOT}/admin")
    assert (
        redirect.headers["location"].removeprefix(site.url.removesuffix(ROOT)) == f"{ROOT}/admin/"
    )
    index = site.client.get(f"{ROOT}/", headers={"accept": "application/json"}).json()
    assert index["openai_base_url"] == f"{site.url}/v1"
    assert index["sessions"] == f"{site.url}/api/sessions"
    resources = site.client.get(f"{ROOT}/api/", headers={"accept": "application/json"}).json()
    assert resources["stops"] == f"{site.url}/api/stops"
    send(site, "links")
    [call] = wait_for(site, "links")
    accept = {"accept": "application/json"}
    links = site.client.get(f"{ROOT}/explain/{call['action_id']}", headers=accept).json()["links"]
    assert links["session"] == f"{ROOT}/session/links"
    assert site.client.get(links["session"], headers=accept).status_code == 200
    with httpx.Client(base_url=site.url) as stranger:
        page = stranger.get("/dashboard/flow/", headers={"accept": "text/html"})
        assert f'value="{ROOT}/dashboard/flow/"' in page.text
        with_key = stranger.get(f"/?api_key={KEY}", headers={"accept": "text/html"})
        assert with_key.headers["location"] == f"{ROOT}/"


def test_the_live_feed_is_below_the_root(site: Site) -> None:
    address = site.url.replace("http", "ws") + "/ws"
    with connect(address, additional_headers={"x-agentledger-api-key": KEY}) as socket:
        send(site, "live")
        while "live" not in (text := str(socket.recv(timeout=30))):
            pass
        assert json.loads(text)["type"] in ("news", "running")


def test_only_a_trusted_proxy_names_the_sub_path(
    provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> None:
    headers = {"accept": "text/html", "x-forwarded-prefix": "/evil", "daphne-root-path": "/evil"}
    env = {"AGENTLEDGER_API_KEY": KEY, "AGENTLEDGER_TRUSTED_PROXIES": "192.0.2.1"}
    with Ledger(tmp_path_factory.mktemp("ledger"), provider.url, env=env) as ledger:
        page = httpx.get(f"{ledger.url}/dashboard/sign-in", headers=headers)
        assert page.status_code == 200
        assert "evil" not in page.text


@pytest.mark.parametrize(
    ("value", "path"),
    [("/", ""), ("ledger", "/ledger"), ("/a/b.c/", "/a/b.c"), ("/~me/al-1", "/~me/al-1")],
)
def test_a_root_path_may_be_written_with_or_without_slashes(value: str, path: str) -> None:
    assert sub_path(value) == path


@pytest.mark.parametrize(
    "value",
    ["/a//b", "/../a", "/a/./b", "/a b", "/a%20b", "/a?b", "/é", "/v1/x", "/API", "x" * 300],
)
def test_a_root_path_that_could_be_read_otherwise_is_refused(value: str) -> None:
    with pytest.raises(Rejected):
        sub_path(value)
