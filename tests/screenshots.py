"""Pictures of every page, to be looked at.

    python -m tests.screenshots OUT

Each page of a small demo in light, dark and on a phone; of an empty ledger; and of a huge session.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

import httpx
from playwright.sync_api import Browser, sync_playwright

from tests.reports.dashboard.conftest import CHROMIUM, QUIET
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider

DESK, PHONE = {"width": 1400, "height": 900}, {"width": 380, "height": 760}
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": DESK, "color_scheme": "light"},
    "dark": {"viewport": DESK, "color_scheme": "dark"},
    "phone": {"viewport": PHONE, "color_scheme": "light", "has_touch": True},
}
HUGE = 600
# Live pages have said by then that they are.
SETTLED_MS = 1500


def pages_of(ledger: Ledger, session: str | None) -> Iterator[tuple[str, str]]:
    yield "calls", "/"
    yield "sessions", "/dashboard/sessions/"
    yield "flow", "/dashboard/flow/"
    yield "trace", "/dashboard/trace/"
    yield "search", "/dashboard/search/?q=lisbon+rain"
    yield "analytics", "/dashboard/analytics/"
    if session is not None:
        yield "session", f"/dashboard/sessions/{session}/"
        calls = ledger.calls(session, count=ledger.n_recorded())
        yield "call", f"/dashboard/calls/{calls[len(calls) // 2]['action_id']}/"


def take(browser: Browser, ledger: Ledger, out: Path, kind: str, session: str | None) -> None:
    for look, options in LOOKS.items():
        context = browser.new_context(**options)
        page = context.new_page()
        for name, path in pages_of(ledger, session):
            page.goto(ledger.url + path)
            page.wait_for_timeout(SETTLED_MS)
            page.screenshot(path=out / f"{kind}-{name}-{look}.png")
            print(out / f"{kind}-{name}-{look}.png", flush=True)
        context.close()


def wait_for_demo(ledger: Ledger) -> None:
    wait_until(lambda: b"demo: done" in ledger.log.read_bytes())
    wait_until(lambda: ledger.n_recorded() == 7)


def fill(ledger: Ledger) -> None:
    """A session of many agents, with histories, errors and hand-offs."""
    random = Random(1)
    agents = [f"agent-{number}" for number in range(12)]

    def send(number: int) -> None:
        agent = agents[number % len(agents)]
        history = [
            {"role": "user", "content": f"message {n} of {agent}: rain in Lisbon"}
            for n in range(number // len(agents) + 1)
        ]
        httpx.post(
            f"{ledger.url}/v1/chat/completions",
            json={"model": "" if random.random() < 0.02 else "gpt-4o", "messages": history},
            headers={
                "x-agentledger-session-id": "huge",
                "x-agentledger-agent-name": agent,
                "x-agentledger-handoff-to": random.choice(agents),
            },
            timeout=60,
        )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(send, range(HUGE)))
    wait_until(lambda: ledger.n_recorded() == HUGE)


def main(out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    with sync_playwright() as playwright, Provider() as provider, TemporaryDirectory() as folder:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(QUIET))
        for kind, session in (("small", "demo-run"), ("empty", None), ("huge", "huge")):
            place = Path(folder) / kind
            place.mkdir()
            arguments = ("--demo",) if kind == "small" else ()
            with Ledger(place, provider.url, arguments=arguments) as ledger:
                if kind == "small":
                    wait_for_demo(ledger)
                elif kind == "huge":
                    fill(ledger)
                take(browser, ledger, out, kind, session)
        browser.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
