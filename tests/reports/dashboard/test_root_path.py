"""Chromium uses the pages at nginx's sub-path: nothing that they do leaves it."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.reports.dashboard.conftest import Open
from tests.site.test_root_path import HEADERS, KEY, PASSED_ON, ROOT
from tests.support.ledger import CALL, Ledger
from tests.support.provider import Provider
from tests.support.reverse_proxy import running


@pytest.mark.e2e
def test_the_pages_stay_below_the_root(open_page: Open, provider: Provider, tmp_path: Path) -> None:
    env = {"AGENTLEDGER_API_KEY": KEY, "AGENTLEDGER_ROOT_PATH": ROOT}
    nginx = PASSED_ON.replace("{more}", HEADERS)
    folder = tmp_path / "ledger"
    folder.mkdir()
    with (
        Ledger(folder, provider.url, env=env) as ledger,
        running("nginx", nginx, ledger, tmp_path) as origin,
    ):
        page = open_page("about:blank")
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("websocket", lambda socket: asked.append(socket.url.replace("ws://", "http://")))
        page.goto(f"{origin}{ROOT}/?api_key={KEY}")
        expect(page.get_by_text("● live").first).to_be_visible()
        for session in ("..", "a/../b"):
            headers = {"x-agentledger-session-id": session}
            httpx.post(f"{origin}{ROOT}/v1/chat/completions", json=CALL, headers=headers)
            row = page.locator("tr[data-call]", has_text=session).first
            expect(row).to_be_visible(timeout=30_000)  # by the live feed
        page.get_by_role("button", name="Theme").click()
        page.locator("tr[data-call] .col-session a").first.click()
        expect(page.locator("h1")).to_contain_text("a/../b")
        page.get_by_role("link", name="Trace", exact=True).last.click()
        expect(page.locator("[data-trace]")).to_be_visible()
        page.get_by_role("link", name="Admin").click()
        expect(page.locator("#site-name")).to_be_visible()
        outside = [url for url in asked if not url.startswith(f"{origin}{ROOT}/")]
        assert outside == []
        cookies = {cookie["name"]: cookie["path"] for cookie in page.context.cookies()}
        assert cookies["agentledger"] == cookies["theme"] == f"{ROOT}/"
        assert set(cookies.values()) == {f"{ROOT}/"}
