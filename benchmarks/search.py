"""Fills a ledger with calls, indexes them, and measures searches.

`python -m benchmarks.search --calls 200000 --dsn sqlite:////tmp/search/ledger.db`; a database that
holds calls already is only searched.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from datetime import UTC, datetime, timedelta
from uuid import UUID

from benchmarks.support.texts import texts

MODELS = ["gpt-4o", "claude-sonnet-4", "gemini-2.5-pro"]
TURNS = 20  # calls of a session
BATCH = 2000
WORDS = {
    "rare": "needle000123",
    "absent": "qzxjvwq",
    "frequent": "the",
    "frequent, a word of contents": "error",
    "now and then": "tolerance",
    "several words": "failed connect database",
    "frequent and rare": "the needle000123",
    "phrase": '"connection refused"',
    "phrase of frequent letters": '"the other side"',
    "Chinese, 4": "密码错误",
    "Chinese, 3": "数据库",
    "Chinese, 2": "密码",
    "Russian": "пароль",
    "Greek": "ΚΩΔΙΚΌΣ",
    "two letters": "qz",
    "session id": "run-00123",
}
# Parameters of searches, by what they show.
SEARCHES = {
    **{f"{name} ({q})": {"q": q} for name, q in WORDS.items()},
    "frequent, one agent": {"q": "the", "agent_name": "agent-7"},
    "frequent, no such agent": {"q": "the", "agent_name": "nobody"},
    "frequent, one session": {"q": "the", "session_id": "run-00123"},
    "frequent, errors": {"q": "error", "status": "error"},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--calls", type=int, default=200_000)
    parser.add_argument("--dsn", required=True)
    options = parser.parse_args()
    os.environ["AGENTLEDGER_DSN"] = options.dsn
    os.environ["DJANGO_SETTINGS_MODULE"] = "agentledger_site.settings"
    # Django's client makes no connection whose user could be asked for.
    os.environ["AGENTLEDGER_TRUSTED_NETWORKS"] = "127.0.0.1"
    import django

    django.setup(set_prefix=False)
    from capture.models import Ledger
    from capture.recorder.maintenance import migrate

    migrate()
    if Ledger.objects.get().last_seq == 0:
        started = time.perf_counter()
        n = fill(options.calls)
        took = time.perf_counter() - started
        print(f"{options.calls} calls, {n / 1e6:.0f} MB of text: {took:.0f} s")
    index()
    measure()


# --- filling --------------------------------------------------------------------------------------


def fill(n_calls: int) -> int:
    """Returns the number of characters of all texts."""
    import orjson
    from django.db import transaction

    from capture.ledger import bulk_sql
    from capture.ledger.compression import pack_text
    from capture.ledger.message_refs import pack_refs
    from capture.models import Call, CallBody, Ledger, Message, Session, ToolCall

    pick = random.Random(1)
    source = texts()
    size = 0

    def text(median: float) -> str:
        nonlocal size
        length = min(40_000, int(median * pick.lognormvariate(0, 0.9)))
        start = pick.randrange(len(source) - length)
        size += length
        return source[start : start + length]

    first = datetime(2026, 1, 1, tzinfo=UTC)
    message_id = 0
    tables: dict[type, list[bulk_sql.Row]] = {}
    defaults = {
        model: {field.attname: None for field in model._meta.concrete_fields}
        for model in (Session, Call, CallBody, Message, ToolCall)
    }
    del defaults[ToolCall]["id"]

    def add(model: type, **values: object) -> None:
        # Keyed by model class.
        tables.setdefault(model, []).append({**defaults[model], **values})  # type: ignore[index]

    def message(scope: int, kind: str, data: bytes, action_id: UUID) -> int:
        nonlocal message_id
        message_id += 1
        digest = message_id.to_bytes(16)
        content = pack_text(data)
        add(Message, id=message_id, scope=scope, digest=digest, kind=kind, action_id=action_id,
            data=content.data, encoding=int(content.encoding))  # fmt: skip
        return message_id

    refs: list[int] = []
    last = ""
    for seq in range(1, n_calls + 1):
        at = first + timedelta(seconds=seq)
        stamp = int(at.timestamp() * 1000) << 80
        action_id = UUID(int=stamp | 7 << 76 | pick.getrandbits(74) | 2 << 62)
        scope, turn = divmod(seq - 1, TURNS)
        scope += 1
        if turn == 0:
            refs = []
            add(Session, id=scope, session_id=f"run-{scope:05}", started_at=at,
                last_call_at=at, call_count=TURNS, error_count=0, refused_count=0, agents=[],
                users=[], apps=[], environments=[], models=[])  # fmt: skip
            prompt = message(scope, "prompt", text(1500).encode(), action_id)
        if refs:
            response = {"role": "assistant", "content": last}
            refs.append(message(scope, "message", orjson.dumps(response), action_id))
        question = text(300) + (f" needle{seq:06}" if seq % 1000 == 123 else "")
        refs.append(
            message(
                scope,
                "message",
                orjson.dumps({"role": "user", "content": question}),
                action_id,
            )
        )
        last = text(450)
        failed = seq % 97 == 0
        add(Call, action_id=action_id, seq=seq, session_id=scope, scope=scope, timestamp=at,
            agent_name=f"agent-{scope % 23}", user_id=f"user-{scope % 997}", environment="test",
            method="POST", path="/v1/chat/completions", wire_format="openai_chat",
            provider="openai", model_id=pick.choice(MODELS),
            streaming=False, outcome="upstream_error" if failed else "completed",
            status_code=500 if failed else 200,
            error_detail=text(100) if failed else None,
            usage_source="none", cost_usd=None, attempt=1, response_bytes=0,
            response_sha256="")  # fmt: skip
        add(CallBody, call_id=action_id, content=last, heads={"request": [], "response": []},
            prompt_ref=prompt, part_refs=pack_refs(refs), frame_is_whole=False, frame_encoding=0,
            response=b"", response_encoding=0)  # fmt: skip
        if turn % 5 == 4:
            arguments = orjson.dumps({"query": text(60)}).decode()
            add(ToolCall, call_id=action_id, scope=scope, position=0, tool_call_id=f"call_{seq}",
                name="search_documents", arguments=arguments)  # fmt: skip
        if seq % BATCH == 0 or seq == n_calls:
            with transaction.atomic():
                for model, made in tables.items():
                    bulk_sql.insert(model, made)
                Ledger.objects.update(
                    last_seq=seq, last_message_id=message_id, last_session_id=scope
                )
            tables.clear()
    return size


# --- indexing -------------------------------------------------------------------------------------


def index() -> None:
    from django.db import transaction

    from capture.models import Ledger
    from reports.search.sink import NAME, SearchIndex
    from reports.sinks import cursor

    last = Ledger.objects.get().last_seq
    sink = SearchIndex()
    cursor.acquire(NAME, "benchmark")
    print("index without:", sink.prepare())
    after = began = cursor.position(NAME)
    gathering: list[float] = []
    taking: list[float] = []
    started = time.perf_counter()
    while after < last:
        t0 = time.perf_counter()
        step = sink.gather(after)
        assert step is not None
        t1 = time.perf_counter()
        with transaction.atomic():
            sink.take(step.work)
            cursor.acquire(NAME, "benchmark")
            cursor.advance(NAME, "benchmark", step.seq)
        taking.append(time.perf_counter() - t1)
        gathering.append(t1 - t0)
        after = step.seq
    cursor.release(NAME, "benchmark")
    if taking:
        took = time.perf_counter() - started
        print(f"indexed {last - began} calls in {took:.0f} s, {(last - began) / took:.0f} a second")
        for name, seconds in (("gathering", gathering), ("transactions", taking)):
            print(f"  {name}: {_summary(seconds)}")


def _summary(seconds: list[float]) -> str:
    ordered = sorted(s * 1000 for s in seconds)
    p99 = ordered[int(len(ordered) * 0.99)]
    p50 = statistics.median(ordered)
    return f"least {ordered[0]:.1f} ms, p50 {p50:.1f}, p99 {p99:.1f}, most {ordered[-1]:.1f}"


# --- searching ------------------------------------------------------------------------------------


def measure() -> None:
    from django.test import Client

    client = Client(HTTP_HOST="localhost")

    for name, parameters in SEARCHES.items():
        took = []
        for _ in range(7):
            started = time.perf_counter()
            response = client.get("/api/search", parameters)
            took.append(time.perf_counter() - started)
        complete = response.headers["X-Complete"]
        print(f"  {name}: {len(response.json())} hits, complete {complete}, {_summary(took)}")


if __name__ == "__main__":
    main()
