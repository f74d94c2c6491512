"""The sinks' process: killed, doubled, stopped; it follows on and takes each call once."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import textwrap
from contextlib import closing
from pathlib import Path

import psutil

from tests.capture.recorder.test_recorder import is_idle
from tests.reports.search.test_search import indexed, say, search
from tests.support.ledger import Ledger, wait_until


def query_number(ledger: Ledger, statement: str) -> int:
    """A number out of its SQLite file."""
    with closing(sqlite3.connect(ledger.folder / "agentledger.db", timeout=20)) as db:
        ((number,),) = db.execute(statement).fetchall()
    return int(number or 0)


SEQ = "SELECT seq FROM reports_sinkcursor WHERE name = 'search'"
MAX_SEQ = "SELECT max(seq) FROM reports_sinkcursor"
HELLOS = "SELECT count(*) FROM reports_search WHERE reports_search MATCH '\"hello\"'"


def n_indexed(ledger: Ledger) -> int:
    """How often a call is in the index; each is there once, or fails here."""
    n_known = query_number(ledger, "SELECT count(*) FROM reports_searchtext WHERE id < (1 << 40)")
    assert n_known in (0, query_number(ledger, SEQ))
    assert query_number(ledger, HELLOS) == n_known
    return n_known


def post(ledger: Ledger, times: int) -> None:
    for n in range(times):
        ledger.post("s", content=f"hello {n}")


def test_a_sink_that_is_killed_again_and_again_takes_each_call_once(fresh: Ledger) -> None:
    with fresh:
        for _ in range(3):
            post(fresh, 40)
            wait_until(lambda: fresh.n_recorded() % 40 == 0)
            process = fresh.sinks()
            process.kill()
            process.wait()
        wait_until(lambda: fresh.n_recorded() == 120)
        assert len(search(fresh, "hello", limit=200)) == 120  # whatever the index has
        wait_until(lambda: query_number(fresh, MAX_SEQ) == 120)
        assert n_indexed(fresh) == 120


def test_readiness_reports_that_the_sinks_have_ended(fresh: Ledger) -> None:
    with fresh:
        say(fresh, "hello")
        indexed(fresh)
        assert fresh.get("/readyz").json()["status"] == "ready"
        fresh.sinks().kill()
        readiness = wait_until(
            lambda: (now := fresh.get("/readyz").json())["status"] == "degraded" and now,
            deadline_s=5,
        )
        assert "the sinks have ended" in readiness["reasons"][0]
        wait_until(lambda: fresh.get("/readyz").json()["status"] == "ready")


def test_the_sinks_end_with_the_proxy_stopped_or_killed(fresh: Ledger) -> None:
    fresh.start()
    sinks = fresh.sinks()
    fresh.stop()
    assert not sinks.is_running()
    fresh.start()
    sinks = fresh.sinks()
    fresh.kill()
    psutil.wait_procs([sinks], 20)
    assert not sinks.is_running()


def test_an_idle_sink_costs_no_cpu(fresh: Ledger) -> None:
    with fresh:
        say(fresh, "hello")
        indexed(fresh)
        assert wait_until(lambda: is_idle(fresh.sinks().pid))


def test_of_two_processes_one_follows_and_the_other_takes_over(
    fresh: Ledger, tmp_path: Path
) -> None:
    """The first is stopped, its lease runs out; woken, it finds that the turn is not its own."""
    other_spool = tmp_path / "other"
    other_spool.mkdir()
    with fresh:
        post(fresh, 20)
        wait_until(lambda: query_number(fresh, MAX_SEQ) == 20)
        second = subprocess.Popen(
            [sys.executable, "-m", "django", "runsinks", "--until-stdin-closes"],
            cwd=fresh.folder,
            env={
                **fresh.environment(),
                "DJANGO_SETTINGS_MODULE": "agentledger_site.settings",
                "AGENTLEDGER_SPOOL_DIR": str(other_spool),
            },
            stdin=subprocess.PIPE,
        )
        try:
            wait_until(lambda: (other_spool / "sinks.json").exists())
            first = fresh.sinks()
            first.suspend()
            post(fresh, 60)
            wait_until(lambda: query_number(fresh, SEQ) == 80)
            first.resume()
            post(fresh, 60)
            wait_until(lambda: query_number(fresh, SEQ) == 140)
            assert n_indexed(fresh) == 140
        finally:
            assert second.stdin is not None
            second.stdin.close()
            assert second.wait(20) == 0


FAILING = """
import sys, threading
import django
django.setup()
from reports.sinks.follow import Follower
from reports.sinks.sink import Step
from capture.models import Call

class Collector:
    name = "collector"
    in_transaction = False
    tries = 0

    def prepare(self):
        return None

    def gather(self, after):
        found = Call.objects.filter(seq__gt=after).order_by("seq")
        seqs = list(found.values_list("seq", flat=True)[:7])
        return Step(seqs[-1], seqs) if seqs else None

    def take(self, work):
        self.tries += 1
        if self.tries in (2, 3):
            raise ConnectionError("the collector is unavailable")
        print(*work, sep="\\n", flush=True)
        if work[-1] == 20:
            stop.set()

    def rest(self):
        pass

stop = threading.Event()
Follower(Collector(), stop).run()
"""


def test_a_sink_that_fails_is_tried_again_and_misses_nothing(fresh: Ledger) -> None:
    with fresh:
        post(fresh, 20)
        wait_until(lambda: fresh.n_recorded() == 20)
        environment = {**fresh.environment(), "DJANGO_SETTINGS_MODULE": "agentledger_site.settings"}
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(FAILING)],
            cwd=fresh.folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
        )
    assert done.stdout.split() == [str(seq) for seq in range(1, 21)], done.stderr
    assert done.stderr.count("waits and will retry: the collector is unavailable") == 1
    assert "collector continues" in done.stderr


def test_the_sinks_can_be_run_by_hand(fresh: Ledger) -> None:
    with fresh:
        post(fresh, 5)
        wait_until(lambda: fresh.n_recorded() == 5)
    process = subprocess.Popen(
        [sys.executable, "-m", "django", "runsinks"],
        cwd=fresh.folder,
        env={**fresh.environment(), "DJANGO_SETTINGS_MODULE": "agentledger_site.settings"},
    )
    wait_until(lambda: query_number(fresh, MAX_SEQ) == 5)
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
