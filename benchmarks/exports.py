"""What exports cost: MB per second of CPU time, and the memory of the process.

    python -m benchmarks.exports [--calls 100000]

It records one session of that many calls, each with a history of a few messages, in a database of
its own, and exports it on the shell in each format; then it verifies the JSON.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PROJECT = Path(__file__).parents[1]
HISTORY = 8
MESSAGE = "What is the weather like in the places that we spoke of yesterday? " * 8
AT_ONCE = 500


def fill(n_calls: int) -> None:
    import django

    django.setup()
    import orjson
    from django.core.management import call_command

    from capture.exchange import End, Exchange, Outcome, RequestHead, ResponseHead, new_action_id
    from capture.ledger.entry import Entry
    from capture.ledger.store import LedgerMemory, record
    from capture.parsing.parse import parse_call
    from capture.pricing.cost import Cost

    call_command("migrate", verbosity=0)
    memory = LedgerMemory()
    history: list[dict[str, str]] = []
    entries: list[Entry] = []
    usage = {"prompt_tokens": 900, "completion_tokens": 30, "total_tokens": 930}
    for number in range(n_calls):
        history.append({"role": "user", "content": f"{number} {MESSAGE}"})
        message = {"role": "assistant", "content": f"answer {number} {MESSAGE}"}
        body = orjson.dumps({"model": "m", "temperature": 0.2, "messages": history[-HISTORY:]})
        history = [*history[-HISTORY:], message]
        response = {"model": "m", "choices": [{"index": 0, "message": message}], "usage": usage}
        head = RequestHead(
            started_ns=time.time_ns(),
            method="POST",
            path="/v1/chat/completions",
            target="/v1/chat/completions",
            wire_format="openai_chat",
            upstream="https://api.openai.com",
            upstream_name="default",
            provider="openai",
            headers=[("content-type", "application/json")],
            ledger={"session_id": "long", "agent_name": "researcher"},
            body_size=len(body),
            has_body_file=False,
        )
        answer = ResponseHead(200, [("content-type", "application/json")], 10**9)
        end = End(Outcome.COMPLETED, 10**9)
        exchange = Exchange(
            new_action_id(), head, body, answer, [orjson.dumps(response)], [10**9], end
        )
        entries.append(Entry(parse_call(exchange), Cost.unknown("it was not priced")))
        if len(entries) == AT_ONCE or number == n_calls - 1:
            record(entries, {}, memory)
            entries.clear()


def run(output: Path, *arguments: str) -> None:
    """Runs `manage.py` with these arguments, in a process that does nothing else, and prints what
    it cost."""
    with output.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, str(PROJECT / "manage.py"), *arguments], stdout=file
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    cpu_s = usage.ru_utime + usage.ru_stime
    megabytes = output.stat().st_size / 1e6
    print(
        f"{' '.join(arguments[:4]):<50} status {process.returncode} {megabytes:>8.1f} MB"
        f" {cpu_s:>7.1f} s CPU {megabytes / cpu_s:>7.1f} MB/s {usage.ru_maxrss / 1024:>6.0f} MB"
    )


def measure(folder: Path) -> None:
    for name in ("jsonl", "json", "bundle"):
        run(folder / name, "export_session", "long", "--format", name)
    run(folder / "many", "export", "-o", str(folder / "calls"), "--compress", "zstd")
    for name in ("json", "bundle"):
        size = (folder / name).stat().st_size / 1e6
        run(folder / "verified", "verify_export", str(folder / name))
        print(f"  of {size:,.1f} MB")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--calls", type=int, default=100_000)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        os.environ["AGENTLEDGER_DSN"] = f"sqlite:///{name}/ledger.db"
        os.environ["AGENTLEDGER_SPOOL_DIR"] = f"{name}/spool"
        os.environ["DJANGO_SETTINGS_MODULE"] = "agentledger_site.settings"
        fill(arguments.calls)
        measure(Path(name))
