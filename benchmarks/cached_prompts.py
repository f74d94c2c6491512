"""Bytes on disk of a session of an agent that caches its prompts, as Claude Code does.

    python -m benchmarks.cached_prompts [--turns 100]

Each call has the whole history, with `cache_control` on the system prompt and on the newest message
only: at the next call that message comes without it. The ledger is a new SQLite file.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from capture.ledger.entry import Entry

MARK = {"cache_control": {"type": "ephemeral"}}
SYSTEM_WORDS, TOOL_WORDS, N_TOOLS, FIRST_WORDS = 3_000, 200, 20, 1_500
RESULT_WORDS = (20, 2_000)
COLUMNS = (
    *("turns", "bytes sent", "bytes on disk", "messages stored", "bytes of messages"),
    *("bytes of frames", "calls with orphans", "CPU a call, ms"),
)


def words(random: Random, count: int) -> str:
    """Returns text that compresses about as well as prose, no two alike."""
    return " ".join(f"w{random.randrange(4000):x}" for _ in range(count))


def entry(body: bytes, response: bytes) -> Entry:
    from capture.exchange import End, Exchange, Outcome, RequestHead, ResponseHead, new_action_id
    from capture.ledger.entry import Entry
    from capture.parsing.parse import parse_call
    from capture.pricing.call_cost import cost_of_call
    from capture.pricing.prices import Prices

    head = RequestHead(
        started_ns=time.time_ns(),
        method="POST",
        path="/v1/messages",
        target="/v1/messages",
        wire_format="anthropic_messages",
        upstream="http://127.0.0.1",
        upstream_name="default",
        provider="anthropic",
        headers=[("content-type", "application/json")],
        ledger={"session_id": "session"},
        body_size=len(body),
        has_body_file=False,
    )
    call = parse_call(
        Exchange(
            new_action_id(),
            request=head,
            body=body,
            response=ResponseHead(200, [("content-type", "application/json")], 1),
            pieces=[response],
            piece_times_ns=[2],
            end=End(Outcome.COMPLETED, 3),
        )
    )
    return Entry(call, cost_of_call(Prices(), call))


def record_session(turns: int) -> tuple[int, float]:
    """Records the session call by call. Returns the bytes that the agent sent, and the CPU
    milliseconds that a call took."""
    from capture.ledger import store

    random, memory = Random(1), store.LedgerMemory()
    schema = {"type": "object"}
    fixed: dict[str, Any] = {
        "model": "claude-opus-4-5",
        "max_tokens": 32_000,
        "system": [{"type": "text", "text": words(random, SYSTEM_WORDS), **MARK}],
        "tools": [
            {"name": f"t{n}", "description": words(random, TOOL_WORDS), "input_schema": schema}
            for n in range(N_TOOLS)
        ],
        "metadata": {"user_id": '{"device_id":"d","session_id":"session"}'},
    }
    first = {"type": "text", "text": words(random, FIRST_WORDS)}
    history: list[dict[str, Any]] = [{"role": "user", "content": [first]}]
    sent = 0
    begin = time.process_time()
    for turn in range(turns):
        *earlier, last = history
        *blocks, block = last["content"]
        newest = {**last, "content": [*blocks, {**block, **MARK}]}
        id_ = f"toolu_01{random.getrandbits(96):024x}"
        use = {"type": "tool_use", "id": id_, "name": "t1", "input": {"path": words(random, 3)}}
        response = {"id": f"msg_{turn}", "type": "message", "role": "assistant", "content": [use]}
        body = json.dumps({**fixed, "messages": [*earlier, newest]}, separators=(",", ":")).encode()
        sent += len(body)
        store.record([entry(body, json.dumps(response).encode())], {"segment": turn}, memory)
        found = words(random, random.randint(*RESULT_WORDS))
        result = {"type": "tool_result", "tool_use_id": id_, "content": found}
        history += [
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [result]},
        ]
    return sent, (time.process_time() - begin) / turns * 1e3


def report(file: Path, turns: int) -> str:
    sent, cpu_ms = record_session(turns)
    with closing(sqlite3.connect(file)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        database.execute("VACUUM")
        messages, stored = database.execute(
            "SELECT count(*), sum(length(data)) FROM capture_message WHERE kind = 'message'"
        ).fetchone()
        [frames] = database.execute("SELECT sum(length(frame)) FROM capture_callbody").fetchone()
        [orphans] = database.execute(
            "SELECT count(*) FROM capture_callbody WHERE tool_results IS NOT NULL"
        ).fetchone()
    figures = (sent, file.stat().st_size, messages, stored, frames, orphans)
    cells = " | ".join(f"{figure:,}" for figure in figures)
    return f"| {turns} | {cells} | {cpu_ms:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--turns", type=int, default=100)
    turns = parser.parse_args().turns
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.db"
        os.environ.update(
            AGENTLEDGER_DSN=f"sqlite:///{file}", DJANGO_SETTINGS_MODULE="agentledger_site.settings"
        )
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        print(
            "| turns | bytes sent | bytes on disk | messages | bytes of messages | bytes of frames"
        )
        print(report(file, turns))


if __name__ == "__main__":
    main()
