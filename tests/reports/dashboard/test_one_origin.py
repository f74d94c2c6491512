"""Providers and pages share one origin: a hostile provider, a hostile page and a real Chromium.
What a provider sends is read by scripts that asked for it, and never shown or run."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Error, Page

from tests.support import canned
from tests.support.ledger import Ledger
from tests.support.provider import Provider

KEY = "the-api-key"
RAN = "document.title = 'ran'; fetch('/api/stops', {method: 'POST', body: '{}'})"
HTML = f"<!doctype html><title>theirs</title><p>theirs<script>{RAN}</script>"
KEPT = [("cache-control", "public, max-age=600"), ("access-control-allow-origin", "*")]
EVIL = "https://evil.example"


@pytest.fixture(scope="module")
def ledger(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    folder: Path = tmp_path_factory.mktemp("ledger")
    env = {"AGENTLEDGER_API_KEY": KEY}
    with Ledger(folder, _provider.url, env=env) as ledger:
        yield ledger


@pytest.fixture
def hostile(provider: Provider) -> Provider:
    """It sends a page with a script, and scripts at paths that end in `.js`."""
    script = [("content-type", "text/javascript"), ("service-worker-allowed", "/"), *KEPT]
    page = [("content-type", "text/html"), ("set-cookie", "agentledger=x"), *KEPT]
    code = f"globalThis.theirs = true; {RAN}".encode()
    provider.response(*canned.whole(code, headers=script), path=".js")
    provider.response(*canned.whole(HTML.encode(), headers=page))
    return provider


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    context = chromium.new_context(permissions=["local-network-access"])
    yield context
    context.close()


class App(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<p>an app")

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def app() -> Iterator[str]:
    """An app on this machine, of the same site as our pages, but of another origin."""
    with ThreadingHTTPServer(("127.0.0.1", 0), App) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture
def reader(context: BrowserContext, ledger: Ledger) -> Page:
    """One of our pages, of a reader who has signed in."""
    page = context.new_page()
    page.goto(f"{ledger.url}/?api_key={KEY}")
    assert context.cookies()
    return page


def go_elsewhere(page: Page) -> None:
    """Shows a page of another site. From then on Chromium keeps no responses."""
    page.route(f"{EVIL}/**", lambda r: r.fulfill(body="<p>evil", content_type="text/html"))
    page.goto(EVIL)


def targets(provider: Provider) -> list[str]:
    return [received.target for received in provider.requests()]


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/evil", "//evil", "/dashboard/../v1/evil", "/Dashboard", "/dashboard", "/session"),
        *("/favicon.ico", "/api/limits/", "/%2fsession", "/to/default/evil"),
    ],
)
def test_no_page_of_a_provider_is_shown(
    reader: Page, ledger: Ledger, hostile: Provider, path: str
) -> None:
    with suppress(Error):  # Chromium shows no icon that is not there
        reader.goto(ledger.url + path)
    assert reader.title() != "ran"
    assert "theirs" not in reader.content()
    assert targets(hostile) == []


EMBEDS = {
    "iframe": "<iframe src='{}'></iframe>",
    "object": "<object data='{}' type='text/html'></object>",
    "embed": "<embed src='{}' type='text/html'>",
    "image": "<img src='{}'>",
    "style": "<link rel=stylesheet href='{}'>",
    "icon": "<link rel=icon href='{}'>",
    "preload": "<link rel=preload as=script href='{}'>",
    "prefetch": "<link rel=prefetch href='{}'>",
    "video": "<video src='{}' autoplay></video>",
    "form": "<form method=post action='{}' enctype=text/plain></form>",
    "ping": "<a ping='{}' href='#'>x</a>",
}
EMBED = """([html, name]) => {
    document.body.insertAdjacentHTML("beforeend", html);
    document.body.lastElementChild.submit?.();
    document.body.lastElementChild.click?.();
    return new Promise((resolve) => setTimeout(resolve, 300));
}"""
RUN = """async ([url]) => {
    const script = (type) => new Promise((resolve) => {
        const element = Object.assign(document.createElement("script"), { src: url, type });
        element.onload = element.onerror = resolve;
        document.head.append(element);
    });
    await script("");
    await script("module");
    await import(url).catch(() => {});
    for (const kind of [Worker, SharedWorker]) {
        try {
            const worker = new kind(url);
            await new Promise((resolve) => (worker.onerror = resolve, setTimeout(resolve, 300)));
        } catch {}
    }
    await navigator.serviceWorker?.register(url, { scope: "/" }).catch(() => {});
    const registered = await navigator.serviceWorker?.getRegistrations();
    return [globalThis.theirs ?? false, registered?.length ?? 0];
}"""


@pytest.mark.parametrize("name", EMBEDS)
@pytest.mark.parametrize("origin", ["ours", EVIL])
def test_nothing_of_a_provider_is_embedded(
    context: BrowserContext,
    reader: Page,
    ledger: Ledger,
    hostile: Provider,
    name: str,
    origin: str,
) -> None:
    if origin != "ours":
        go_elsewhere(reader)
    html = EMBEDS[name].format(f"{ledger.url}/v1/evil")
    with suppress(Error):  # the page has gone to where the form leads
        reader.evaluate(EMBED, [html, name])
    reader.wait_for_load_state()
    assert all(frame.title() != "ran" for frame in reader.frames)
    assert targets(hostile) == []


@pytest.mark.parametrize("origin", ["ours", EVIL])
def test_no_script_of_a_provider_runs(
    reader: Page, ledger: Ledger, hostile: Provider, origin: str
) -> None:
    if origin != "ours":
        go_elsewhere(reader)
    assert reader.evaluate(RUN, [f"{ledger.url}/v1/evil.js"]) == [False, 0]
    assert targets(hostile) == []


def test_fetch_passes_and_takes_no_cookie_along(
    context: BrowserContext, reader: Page, ledger: Ledger, hostile: Provider
) -> None:
    before = context.cookies()
    read = "url => fetch(url, { headers: { 'x-mine': '1' } }).then((response) => response.text())"
    assert reader.evaluate(read, "/v1/evil") == HTML
    [received] = hostile.requests()
    assert received.header("x-mine") == ["1"]
    assert received.header("cookie") == []
    assert KEY not in repr(received.headers)
    assert context.cookies() == before


@pytest.mark.parametrize("origin", ["ours", "neighbour"])
def test_what_the_browser_keeps_of_it_is_not_run_later(
    reader: Page, ledger: Ledger, hostile: Provider, app: str, origin: str
) -> None:
    """A response that `fetch` got may be in the browser's cache, which asks nobody."""
    url = f"{ledger.url}/v1/kept"
    if origin == "neighbour":
        reader.goto(app)
    assert reader.evaluate("url => fetch(url).then((r) => r.text())", url) == HTML
    reader.evaluate("url => { location = url }", url)
    reader.wait_for_url(url)
    assert reader.title() != "ran"
    assert reader.evaluate("origin") == "null" or "AgentLedger" in reader.content()
    assert len(targets(hostile)) == 1


def refused_pages(ledger: Ledger) -> int:
    facts = ledger.get("/readyz", headers={"x-agentledger-api-key": KEY}).json()
    n: int = facts["counters"]["refused_pages"]
    return n


SEND: dict[str, str] = {
    "no-cors": "{ method: 'POST', mode: 'no-cors', body }",
    "text": "{ method: 'POST', body }",
    "a form": "{ method: 'POST', body: new URLSearchParams({ a: '1' }) }",
}


@pytest.mark.parametrize("kind", SEND)
def test_another_sites_page_sends_no_call(
    reader: Page, ledger: Ledger, provider: Provider, kind: str
) -> None:
    go_elsewhere(reader)
    code = f"([url, body]) => fetch(url, {SEND[kind]}).then(() => 'sent', () => 'failed')"
    before = refused_pages(ledger)
    reader.evaluate(code, [f"{ledger.url}/v1/chat/completions", "{}"])
    assert refused_pages(ledger) == before + 1
    beacon = "url => navigator.sendBeacon(url, '{}')"
    reader.evaluate(beacon, f"{ledger.url}/v1/chat/completions")
    socket = """url => new Promise((resolve) => {
        const socket = new WebSocket(url);
        socket.onopen = () => resolve("open");
        socket.onerror = () => resolve("failed");
    })"""
    assert reader.evaluate(socket, ledger.url.replace("http", "ws") + "/v1/realtime") == "failed"
    assert refused_pages(ledger) == before + 3
    assert targets(provider) == []


def test_an_app_on_this_machine_uses_the_proxy(
    reader: Page, ledger: Ledger, provider: Provider, app: str
) -> None:
    reader.goto(app)
    code = """async ([url, body]) => {
        const headers = {
            authorization: "Bearer sk-1", "content-type": "application/json",
            "x-agentledger-session-id": "app", "x-stainless-lang": "js",
        };
        const response = await fetch(url, { method: "POST", body, headers });
        return [response.status, response.headers.get("x-agentledger-action-id"),
            (await response.json()).choices.length];
    }"""
    call: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
    said = reader.evaluate(code, [f"{ledger.url}/v1/chat/completions", json.dumps(call)])
    assert (said[0], said[2]) == (200, 1) and said[1]
    [received] = provider.requests()
    assert received.header("cookie") == []


@pytest.fixture(scope="module")
def by_name(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    env = {"AGENTLEDGER_API_KEY": KEY, "AGENTLEDGER_HOST": "::"}
    with Ledger(tmp_path_factory.mktemp("by_name"), _provider.url, env=env) as ledger:
        ledger.url = ledger.url.replace("[::]", "localhost")
        yield ledger


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]"])
@pytest.mark.parametrize("path", ["/", "/admin/capture/call/", "/api/schema/view", "/api/sessions"])
def test_our_own_scripts_run_under_any_name(
    context: BrowserContext, by_name: Ledger, host: str, path: str
) -> None:
    said: list[str] = []
    context.on("console", lambda message: said.append(message.text))
    page = context.new_page()
    port = by_name.url.rpartition(":")[2]
    page.goto(f"http://{host}:{port}{path}?api_key={KEY}")
    page.wait_for_load_state("networkidle")
    assert [text for text in said if "script-src" in text or "Error" in text] == []
