"""Fills the ledger of AGENTLEDGER_DSN as months of use would.

    python -m benchmarks.filling [--sessions 20000] [--calls 50]

One call is parsed and stored as the recorder does it; all others are its rows with other ids,
times, names, costs and texts. Each session is a conversation whose history grows with each call;
one more, `long`, has 500 calls with histories of up to 200 messages. The rollups are of as many
calls, of the last 30 days: `benchmarks.analytics`.
"""

# ruff: noqa: E402 (Django must be set up before the models are imported)

from __future__ import annotations

import argparse
import hashlib
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import django
import msgspec
import orjson

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "agentledger_site.settings")
django.setup()

from django.db import connection, transaction

from benchmarks.analytics import fill as fill_rollups
from benchmarks.support.texts import texts
from benchmarks.support.traffic import (
    AGENTS,
    APPS,
    DAYS,
    ENVIRONMENTS,
    LONG_CALLS,
    LONG_HISTORY,
    MESSAGE_CHARACTERS,
    MODELS,
    N_USERS,
    SESSIONS_AT_ONCE,
)
from capture.exchange import End, Exchange, Outcome, RequestHead, ResponseHead, new_action_id
from capture.ledger import bulk_sql
from capture.ledger.bulk_sql import Row
from capture.ledger.compression import Packed, pack_text
from capture.ledger.entry import Entry
from capture.ledger.log.append import Log, LoggedCall
from capture.ledger.message_refs import pack_refs
from capture.ledger.sessions import add_to_totals, session_row
from capture.ledger.store import LedgerMemory, record
from capture.models import (
    Call,
    CallBody,
    Ledger,
    Message,
    Session,
    SessionValue,
    ToolCall,
)
from capture.parsing.parse import parse_call
from capture.pricing.cost import Cost
from capture.recorder.maintenance import migrate


class Filling:
    def __init__(self) -> None:
        self.random = Random(1)
        self.texts = texts()
        self.call, self.body, self.tool_call = _template()
        self.ledger = Ledger.objects.get(pk=1)
        self.begin = datetime.now(UTC) - timedelta(days=DAYS)
        self.rows: dict[Any, list[Row]] = {}
        self.logged: list[LoggedCall] = []
        self.sent: dict[int, bytes] = {}  # the parts of the session

    def session(
        self, name: str, n_calls: int, history: int, columns: Callable[[int], Row] = lambda _: {}
    ) -> None:
        """Adds a session. `columns` gives a call's own values of columns, by its number in it."""
        random = self.random
        self.ledger.last_session_id += 1
        at = self.begin + timedelta(seconds=random.random() * DAYS * 86400)
        session = Session(
            id=self.ledger.last_session_id, session_id=name, started_at=at, last_call_at=at
        )
        names = {
            "user_id": f"user-{random.randrange(N_USERS)}",
            "app_id": random.choice(APPS),
            "environment": random.choice(ENVIRONMENTS),
        }
        agents, model = random.sample(AGENTS, 2), random.choice(MODELS)
        messages: list[int] = []
        self.sent.clear()
        for number in range(n_calls):
            at += timedelta(seconds=random.expovariate(1 / 20))
            agent = agents[number % 7 == 0]
            facts = {**names, "agent_name": agent, "model_id": model, **columns(number)}
            call = self._call(session, at, messages, history, facts)
            for found in add_to_totals(session, call, n_calls=1):
                self._add(
                    SessionValue, {"session_id": session.id, "name": found[0], "value": found[1]}
                )
        self._add(Session, session_row(session, is_new=True))

    def _call(
        self, session: Session, at: datetime, messages: list[int], history: int, facts: Row
    ) -> Row:
        random = self.random
        action_id = new_action_id()
        self.ledger.last_seq += 1
        for role in ("assistant", "user")[0 if messages else 1 :]:
            messages.append(self._message(session, action_id, role))
        del messages[:-history]
        parts = [*messages, *self._tool_definitions(session, action_id)]
        request, frame = self._request(parts)
        failed = random.random() < 0.02
        call = {
            **self.call,
            "action_id": action_id,
            "seq": self.ledger.last_seq,
            "session_id": session.id,
            "scope": session.id,
            "timestamp": at,
            "outcome": "upstream_error" if failed else "completed",
            "status_code": 500 if failed else 200,
            "cost_usd": Decimal(random.randrange(1, 10**6)).scaleb(-7),
            "latency_ms": random.lognormvariate(7, 1),
            "request_bytes": len(request),
            "request_sha256": hashlib.sha256(request).hexdigest(),
            **facts,
        }
        self._add(Call, call)
        texts = {
            "content": self._text(),
            "part_refs": pack_refs(parts),
            "frame": frame.data,
            "frame_encoding": int(frame.encoding),
            "prompt_ref": None,
        }
        body = {**self.body, **texts, "call_id": action_id}
        self._add(CallBody, body)
        tool_calls: list[Row] = []
        if random.random() < 0.2:
            tool_calls.append({**self.tool_call, "call_id": action_id, "scope": session.id})
            self._add(ToolCall, tool_calls[0])
        self.logged.append(LoggedCall(call, body, tool_calls, session.session_id))
        return call

    def _request(self, parts: list[int]) -> tuple[bytes, Packed]:
        """Returns a body of these parts, of which the last one is the tools, and its frame."""
        *messages, tools = map(self.sent.__getitem__, parts)
        begin, end = b'{"messages":[', b'],"tools":'
        body = begin + b",".join(messages) + end + tools + b"}"
        gaps = [begin, 1, b",", len(messages) - 1, end, 1, b"}", 1]
        if len(messages) == 1:
            del gaps[2:4]
        return body, pack_text(msgspec.msgpack.encode(gaps))

    def _message(self, session: Session, action_id: Any, role: str) -> int:
        return self._part(session, action_id, "message", {"role": role, "content": self._text()})

    def _tool_definitions(self, session: Session, action_id: Any) -> list[int]:
        """The reference to the tools' definitions, which are the same in a whole session."""
        if session.call_count == 0:
            self._tools = self._part(session, action_id, "tools", [{"name": self._text()}])
        return [self._tools]

    def _part(self, session: Session, action_id: Any, kind: str, value: Any) -> int:
        self.ledger.last_message_id += 1
        sent = self.sent[self.ledger.last_message_id] = orjson.dumps(value)
        data, encoding = pack_text(sent)
        row = {
            "id": self.ledger.last_message_id,
            "scope": session.id,
            "digest": self.random.randbytes(16),
            "kind": kind,
            "action_id": action_id,
            "data": data,
            "encoding": int(encoding),
        }
        self._add(Message, row)
        return self.ledger.last_message_id

    def _text(self) -> str:
        """Returns some text; in one call of a thousand with a word that no other has."""
        begin = self.random.randrange(len(self.texts) - MESSAGE_CHARACTERS)
        text = self.texts[begin : begin + MESSAGE_CHARACTERS]
        needle = self.ledger.last_seq % 1000 == 123
        return f"{text} needle{self.ledger.last_seq:06}" if needle else text

    def _add(self, model: Any, row: Row) -> None:
        self.rows.setdefault(model, []).append(row)

    def write(self) -> None:
        with transaction.atomic():
            log = Log(self.ledger)
            log.add_calls(self.logged)
            log.write()
            self.logged.clear()
            for model in (Session, SessionValue, Call, CallBody, Message, ToolCall):
                bulk_sql.insert(model, self.rows.get(model, []))
            self.ledger.save()
        self.rows.clear()


def _template() -> tuple[Row, Row, Row]:
    """Records a call with a tool call; returns its rows of calls, bodies and tool calls."""
    function = {"name": "search", "arguments": '{"query": "what is new"}'}
    message = {
        "role": "assistant",
        "content": "Let me look.",
        "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
    }
    usage = {"prompt_tokens": 9000, "completion_tokens": 300, "total_tokens": 9300}
    response = {"model": "m", "choices": [{"index": 0, "message": message}], "usage": usage}
    request = {
        "model": "m",
        "temperature": 0.2,
        "messages": [{"role": "user", "content": "hello"}],
    }
    body = orjson.dumps(request)
    head = RequestHead(
        started_ns=time.time_ns(),
        method="POST",
        path="/v1/chat/completions",
        target="/v1/chat/completions",
        wire_format="openai_chat",
        upstream="https://api.openai.com",
        upstream_name="default",
        provider="openai",
        headers=[("content-type", "application/json"), ("user-agent", "OpenAI/Python 2.12.0")],
        ledger={"session_id": "template"},
        body_size=len(body),
        has_body_file=False,
    )
    exchange = Exchange(
        new_action_id(),
        head,
        body,
        ResponseHead(200, [("content-type", "application/json")], 10**9),
        [orjson.dumps(response)],
        [10**9],
        End(Outcome.COMPLETED, 10**9),
    )
    record([Entry(parse_call(exchange), Cost.unknown("it was not priced"))], {}, LedgerMemory())
    call = Call.objects.filter(pk=exchange.action_id)
    of_body = CallBody.objects.filter(pk=exchange.action_id)
    tool_call = dict(ToolCall.objects.filter(call=exchange.action_id).values().get())
    del tool_call["id"]
    return dict(call.values().get()), dict(of_body.values().get()), tool_call


def fill(n_sessions: int, n_calls: int) -> None:
    migrate()
    filling = Filling()
    filling.session("long", LONG_CALLS, LONG_HISTORY)
    for number in range(n_sessions):
        filling.session(f"run-{number:05}", n_calls, LONG_HISTORY)
        if number % SESSIONS_AT_ONCE == 0:
            filling.write()
    filling.write()
    fill_rollups(n_sessions * n_calls)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--sessions", type=int, default=20_000)
    parser.add_argument("--calls", type=int, default=50, help="of each session")
    arguments = parser.parse_args()
    fill(arguments.sessions, arguments.calls)
