"""Measures reads and deletions in the ledger of AGENTLEDGER_DSN, which `benchmarks.filling` fills.

    python -m benchmarks.reads [--repeat 21] [--theirs PYTHON]

Over HTTP, from a client on the same machine, one request at a time, until the whole response is
there. First it waits until the search index has all calls, which takes 20 minutes after a filling
(`python -m benchmarks.search --dsn …` does it sooner). Each run deletes a session and a call of
those that the filling made.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

from benchmarks import reads_theirs
from benchmarks.analytics import QUERIES
from benchmarks.client import Client, running_proxy
from benchmarks.search import SEARCHES

LISTS = {
    "sessions": "/api/sessions",
    "… one agent's": "/api/sessions?agent_name=agent-7",
    "… a rare user's": "/api/sessions?user_id=user-7",
    "… of a model, with errors": "/api/sessions?model_id=model-3&status=error",
    "… in production": "/api/sessions?environment=production",
    "… that cost the most": "/api/sessions?order=-total_cost_usd",
    "… with the most errors": "/api/sessions?order=-error_count",
    "… of ≥ 2.6 USD": "/api/sessions?min_cost=2.6",
    "… by part of a name": "/api/sessions?q=ser-4999",
    "… by part of no name": "/api/sessions?q=nowhere",
    "… of a day long ago, page of 1000": "/api/sessions?until={day}&limit=1000",
    "… the last page, by offset": "/api/sessions?offset=19900",
}
ONE_SESSION = {
    "a session of 500 calls": "/session/long",
    "… without messages": "/session/long?fields=-messages,-tools,-system_prompt,-binaries",
    "… its first 50 calls": "/session/long?limit=50",
    "… unchanged (304)": "/session/long",
}
SEARCH_PATHS = {f"search: {name}": f"/api/search?{urlencode(q)}" for name, q in SEARCHES.items()}
ANALYTICS = {f"30 days: {query or 'all'}": f"/api/analytics?{query}" for query in QUERIES}

# Each page as a browser asks for it: what is loaded after the first paint is not counted.
PAGES = {
    "page: calls": "/",
    "page: calls of a session of 500 calls": "/?session=long",
    "page: calls of an agent": "/?agent=agent-7",
    "page: calls of a rare user": "/?user=user-7",
    "page: calls with errors": "/?status=error",
    "page: calls of a model, with errors": "/?model=model-3&status=error",
    "page: calls with budget warnings (none)": "/?budget=warn",
    "page: calls, the most expensive": "/?sort=-cost",
    "page: calls with a rare word": f"/?{urlencode({'q': 'call_1234'})}",
    "page: facets of calls, after the paint": "/dashboard/calls/facets",
    "page: sessions": "/dashboard/sessions/",
    "page: a session of 500 calls": "/dashboard/sessions/long/",
    "page: flow of it": "/dashboard/flow/?session=long",
    "page: trace of it": "/dashboard/trace/?session=long",
    "page: analytics": "/dashboard/analytics/",
}


def wait_for_index(client: Client) -> None:
    begin, next_message_s = time.monotonic(), 0.0
    while True:
        sinks = json.loads(client.request("/readyz")[1])["sinks"]
        if sinks and all(one["state"] == "following" and one["behind"] == 0 for one in sinks):
            return
        if time.monotonic() - begin > next_message_s:
            next_message_s += 60
            print(f"waiting for the search index: {sinks}", file=sys.stderr)
        time.sleep(1)


def timings(repeat: int, work: Callable[[], object]) -> str:
    """Runs `work` so many times; returns the median and the 95th percentile in ms, as text."""
    times = []
    for _ in range(repeat):
        begin = time.perf_counter()
        work()
        times.append((time.perf_counter() - begin) * 1e3)
    times = sorted(times[1:]) or times  # the first warms caches
    return f"{statistics.median(times):8.1f} {times[int(len(times) * 0.95)]:8.1f}"


def row(name: str, figures: str, n_bytes: int) -> None:
    print(f"{name:48} {figures} {n_bytes:12,}", flush=True)


def measure(client: Client, repeat: int) -> None:
    print(f"{'':48} {'p50, ms':>8} {'p95, ms':>8} {'bytes':>12}")
    oldest = json.loads(client.request("/api/sessions?order=started_at&limit=1")[1])[0]
    for name, path in {**LISTS, **ONE_SESSION, **SEARCH_PATHS, **ANALYTICS, **PAGES}.items():
        path = path.format(day=oldest["started_at"].replace("+", "%2B"))
        accept = "text/html" if name in PAGES else "application/json"
        response, body = client.request(path, accept=accept)
        assert response.status == 200, body
        etag = response.headers["etag"] if "304" in name else "none"
        again = partial(client.request, path, **{"if-none-match": etag, "accept": accept})
        row(name, timings(repeat, again), len(body))
    [session] = json.loads(client.request("/api/sessions?limit=1&offset=9")[1])
    calls = json.loads(client.request(f"/session/{session['session_id']}?fields=action_id")[1])
    explain = f"/explain/{calls[-1]['action_id']}"
    row(
        "one call",
        timings(repeat, lambda: client.request(explain)),
        len(client.request(explain)[1]),
    )
    for name, path in (
        ("deleting a call", f"/api/calls/{calls[0]['action_id']}"),
        ("deleting its session", f"/api/sessions/{session['session_id']}"),
    ):
        begin = time.perf_counter()
        response, body = client.request(path, "DELETE")
        row(name, f"{(time.perf_counter() - begin) * 1e3:8.1f} {'':8}", response.status)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=21)
    parser.add_argument(
        "--theirs", metavar="PYTHON", help="beside agentic-ledger: benchmarks.reads_theirs"
    )
    parser.add_argument("--their-ledger", type=Path, help="filled if there is none")
    parser.add_argument("--their-calls", type=int, default=1_000_000, help="to fill it with")
    options = parser.parse_args()
    with running_proxy() as client:
        wait_for_index(client)
        measure(client, options.repeat)
        if options.theirs:
            with TemporaryDirectory() as folder:
                ledger = options.their_ledger or Path(folder) / "theirs.db"
                if not ledger.exists():
                    reads_theirs.fill(options.theirs, ledger, options.their_calls // 50, 50)
                reads_theirs.compare(client, options.theirs, ledger, options.repeat)


if __name__ == "__main__":
    main()
