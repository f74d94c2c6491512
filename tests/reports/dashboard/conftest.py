"""Pages as a reader sees them: in a real Chromium, over a real proxy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
QUIET = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
Open = Callable[..., Page]


@pytest.fixture(scope="module")  # while it is open, asyncio.run works in no test of the process
def chromium() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        pytest.skip(f"pages are not tested: {CHROMIUM} is missing (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        yield browser
        browser.close()


@pytest.fixture
def open_page(chromium: Browser) -> Iterator[Open]:
    """`open_page(url, **options)`: a page in a browser of its own, options as of
    `Browser.new_context`. At the end none may have said anything in its console but what is
    `expected` there: a script that failed, a file that is missing, what the
    Content-Security-Policy forbids."""
    said: list[str] = []
    fine: list[str] = []
    contexts = []

    def note(message: ConsoleMessage) -> None:
        if not any(text in message.text for text in fine):
            said.append(f"{message.type}: {message.text} ({message.location.get('url')})")

    def open_page(url: str, *, expected: Sequence[str] = (), **options: Any) -> Page:
        fine.extend(expected)
        settings = {"locale": "en-GB", "timezone_id": "Asia/Tokyo", **options}
        context = chromium.new_context(**settings)
        contexts.append(context)
        context.on("console", note)
        context.on("weberror", lambda error: said.append(f"error: {error.error}"))
        page = context.new_page()
        page.goto(url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert not said, said


def violations(page: Page) -> list[str]:
    """What axe-core finds wrong with the page."""
    found = Axe().run(page).response["violations"]
    return [f"{one['id']}: {node['html'][:200]}" for one in found for node in one["nodes"]]
