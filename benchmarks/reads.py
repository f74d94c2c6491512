"""How fast the ledger of AGENTLEDGER_DSN is read, and deleted from; `benchmarks.filling` fills it.

    python -m benchmarks.reads [--repeat 21] [--theirs PYTHON]

Over HTTP, from a client on the same machine, one request at a time: the whole answer is there.
First it waits until the search index has all calls, which takes 20 minutes after a filling (`python
-m benchmarks.search --dsn …` makes it sooner). Each run deletes a session and a call of those that
the filling made.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlencode

from benchmarks.analytics import QUERIES
from benchmarks.search import SEARCHES

PROJECT = Path(__file__).resolve().parent.parent
START_S = 60

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
OF_SESSION = {
    "a session of 500 calls": "/session/long",
    "… without messages": "/session/long?fields=-messages,-tools,-system_prompt,-binaries",
    "… its first 50 calls": "/session/long?limit=50",
    "… unchanged (304)": "/session/long",
}
SEARCHED = {f"search: {name}": f"/api/search?{urlencode(q)}" for name, q in SEARCHES.items()}
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
    "page: calls, the dearest": "/?sort=-cost",
    "page: calls that say a rare word": f"/?{urlencode({'q': 'call_1234'})}",
    "page: facets of calls, after the paint": "/dashboard/calls/facets",
    "page: sessions": "/dashboard/sessions/",
    "page: a session of 500 calls": "/dashboard/sessions/long/",
    "page: flow of it": "/dashboard/flow/?session=long",
    "page: trace of it": "/dashboard/trace/?session=long",
    "page: analytics": "/dashboard/analytics/",
}


class Client:
    def __init__(self, port: int, timeout_s: float = 60) -> None:
        self.port = port
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)

    def ask(
        self, path: str, method: str = "GET", **headers: str
    ) -> tuple[http.client.HTTPResponse, bytes]:
        self._connection.request(method, path, headers=headers)
        response = self._connection.getresponse()
        return response, response.read()


@contextmanager
def proxy() -> Iterator[Client]:
    environment = {**os.environ, "AGENTLEDGER_PORT": "0", "PYTHONPATH": str(PROJECT)}
    with TemporaryDirectory() as folder:
        environment["AGENTLEDGER_SPOOL_DIR"] = f"{folder}/spool"
        process = subprocess.Popen(
            [sys.executable, str(PROJECT / "manage.py"), "runproxy"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            yield Client(_port(process))
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=START_S)


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r"Dashboard +http://[^/\s]+:(\d+)", line):
            return int(found[1])
    raise SystemExit("the proxy did not start")


def wait_for_index(client: Client) -> None:
    begin, told = time.monotonic(), 0.0
    while True:
        sinks = json.loads(client.ask("/readyz")[1])["sinks"]
        if sinks and all(one["state"] == "following" and one["behind"] == 0 for one in sinks):
            return
        if time.monotonic() - begin > told:
            told += 60
            print(f"waiting for the search index: {sinks}", file=sys.stderr)
        time.sleep(1)


def measured(repeat: int, work: Callable[[], object]) -> str:
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
    oldest = json.loads(client.ask("/api/sessions?order=started_at&limit=1")[1])[0]
    for name, path in {**LISTS, **OF_SESSION, **SEARCHED, **ANALYTICS, **PAGES}.items():
        path = path.format(day=oldest["started_at"].replace("+", "%2B"))
        accept = "text/html" if name in PAGES else "application/json"
        response, body = client.ask(path, accept=accept)
        assert response.status == 200, body
        etag = response.headers["etag"] if "304" in name else "none"
        path_, tag = path, {"if-none-match": etag, "accept": accept}
        row(name, measured(repeat, lambda p=path_, t=tag: client.ask(p, **t)), len(body))  # type: ignore[misc]
    [session] = json.loads(client.ask("/api/sessions?limit=1&offset=9")[1])
    calls = json.loads(client.ask(f"/session/{session['session_id']}?fields=action_id")[1])
    explain = f"/explain/{calls[-1]['action_id']}"
    row("one call", measured(repeat, lambda: client.ask(explain)), len(client.ask(explain)[1]))
    for name, path in (
        ("deleting a call", f"/api/calls/{calls[0]['action_id']}"),
        ("deleting its session", f"/api/sessions/{session['session_id']}"),
    ):
        begin = time.perf_counter()
        response, body = client.ask(path, "DELETE")
        row(name, f"{(time.perf_counter() - begin) * 1e3:8.1f} {'':8}", response.status)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeat", type=int, default=21)
    parser.add_argument(
        "--theirs", metavar="PYTHON", help="beside agentic-ledger: benchmarks.reads_theirs"
    )
    parser.add_argument("--their-ledger", type=Path, help="filled if there is none")
    parser.add_argument("--their-calls", type=int, default=1_000_000, help="to fill it with")
    parsed_request = parser.parse_args()
    with proxy() as client:
        wait_for_index(client)
        measure(client, parsed_request.repeat)
        if parsed_request.theirs:
            from benchmarks import reads_theirs  # it imports this module

            with TemporaryDirectory() as folder:
                ledger = parsed_request.their_ledger or Path(folder) / "theirs.db"
                if not ledger.exists():
                    reads_theirs.fill(
                        parsed_request.theirs, ledger, parsed_request.their_calls // 50, 50
                    )
                reads_theirs.compare(client, parsed_request.theirs, ledger, parsed_request.repeat)
