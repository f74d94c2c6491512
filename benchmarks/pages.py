"""Measures the pages in a real Chromium, over a ledger with large sessions.

    python -m benchmarks.pages

Fills a ledger of its own: sessions of 20,000 and of 2,000 calls, one of 400 calls by 12 agents, and
one of 400 agents that hand off to one another.
"""

from __future__ import annotations

import gzip
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

from benchmarks.client import Client, running_proxy

CHROMIUM = Path("/usr/bin/chromium")
LARGE, MIDDLE, AGENTS = 20_000, 2_000, 400
SIZE: ViewportSize = {"width": 1400, "height": 900}
N_VISITS = 7
N_FRAMES = 200
PX_A_FRAME = 300
SCROLL = """async ([selector, frames, px]) => {
  const box = document.querySelector(selector);
  const took = [];
  let last = await new Promise(requestAnimationFrame);
  for (let frame = 0; frame < frames; frame++) {
    box.scrollTop += px;
    const now = await new Promise(requestAnimationFrame);
    took.push(now - last);
    last = now;
  }
  return took;
}"""
PAGES = {
    "Calls": "/",
    f"Trace, {MIDDLE:,} calls": "/dashboard/trace/?session=middle",
    f"Trace, {LARGE:,} calls": "/dashboard/trace/?session=large",
    "Flow, 400 calls of 12 agents": "/dashboard/flow/?session=team",
    f"Flow, {AGENTS} agents": "/dashboard/flow/?session=agents",
}


def fill() -> None:
    # It reads AGENTLEDGER_DSN when it is imported.
    from benchmarks.filling import Filling
    from capture.recorder.maintenance import migrate

    migrate()
    filling = Filling()
    random = Random(3)
    filling.session("large", LARGE, 2, _team(random, 40))
    filling.session("middle", MIDDLE, 2, _team(random, 12))
    filling.session("team", 400, 2, _team(random, 12))
    filling.session("agents", AGENTS, 2, _chain_of_handoffs(random))
    filling.write()


def _team(random: Random, n_agents: int) -> Callable[[int], dict[str, Any]]:
    """Every seventh call is made by the lead, the others by its agents, up to four in a row."""

    def columns(number: int) -> dict[str, Any]:
        agent = f"agent-{'abcdefghijklmnopqrstuvwxyz'[number // 4 % min(n_agents, 26)]}"
        is_lead = number % 7 == 0
        return {
            "agent_name": "lead" if is_lead else agent,
            "handoff_from": None if is_lead else "lead",
            "ttft_ms": 100 + 300 * random.random(),
        }

    return columns


def _chain_of_handoffs(random: Random) -> Callable[[int], dict[str, Any]]:
    def name(number: int) -> str:
        return f"agent-{number:03}-{'abc'[number % 3]}"

    def columns(number: int) -> dict[str, Any]:
        giver = name(random.randrange(number)) if number else None
        return {"agent_name": name(number), "handoff_from": giver}

    return columns


def measure(browser: Browser, client: Client, path: str) -> str:
    """The medians of first visits, and of second ones for which the browser has cached scripts."""
    url = f"http://127.0.0.1:{client.port}{path}"
    visits = [_visit(browser, url, is_drawn=path != "/") for _ in range(N_VISITS)]
    first, second = (statistics.median(times) for times in zip(*visits, strict=True))
    what = "first paint" if path == "/" else "drawn"
    parts = [f"{what} after {first:.0f} ms, again after {second:.0f} ms"]
    page = browser.new_context(viewport=SIZE).new_page()
    _open(page, url, is_drawn=path != "/")
    layout = page.evaluate("performance.getEntriesByName('layout')[0]?.duration ?? null")
    if layout is not None:
        parts.append(f"layout {layout:.0f} ms")
    n_nodes = page.evaluate("document.querySelectorAll('*').length")
    parts.append(f"{n_nodes:,} nodes")
    if "trace" in path:
        took = page.evaluate(SCROLL, ["[role=treegrid]", N_FRAMES, PX_A_FRAME])
        p95 = statistics.quantiles(took, n=20)[-1]
        parts.append(f"scroll p50 {statistics.median(took):.0f} ms, p95 {p95:.0f} ms a frame")
    parts.append(f"JavaScript {_javascript(page, client) / 1024:.1f} KB gzip")
    page.context.close()
    return ", ".join(parts)


def _visit(browser: Browser, url: str, *, is_drawn: bool) -> tuple[float, float]:
    context = browser.new_context(viewport=SIZE)
    first = _open(context.new_page(), url, is_drawn=is_drawn)
    second = _open(context.new_page(), url, is_drawn=is_drawn)
    context.close()
    return first, second


def _open(page: Page, url: str, *, is_drawn: bool) -> float:
    """Milliseconds from the request of the page to its first paint, or until its graph is drawn."""
    page.goto(url)
    page.wait_for_load_state("load")
    entries = "getEntriesByName('painted')" if is_drawn else "getEntriesByType('paint')"
    page.wait_for_function(f"() => performance.{entries}.length")
    at: float = page.evaluate(f"performance.{entries}[0].startTime")
    return at


def _javascript(page: Page, client: Client) -> int:
    urls = page.evaluate(
        "performance.getEntriesByType('resource').map((one) => new URL(one.name).pathname)"
    )
    scripts = {url for url in urls if url.endswith(".js")}
    return sum(len(gzip.compress(client.request(url)[1])) for url in scripts)


def main() -> None:
    with TemporaryDirectory() as folder:
        os.environ["AGENTLEDGER_DSN"] = f"sqlite:///{folder}/ledger.db"
        begin = time.monotonic()
        fill()
        print(f"filled in {time.monotonic() - begin:.0f} s")
        with running_proxy() as client, sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
            )
            for _ in range(2):  # the first requests warm the server up
                client.request("/dashboard/trace/?session=middle")
            for name, path in PAGES.items():
                print(f"{name}: {measure(browser, client, path)}", flush=True)
            browser.close()


if __name__ == "__main__":
    main()
