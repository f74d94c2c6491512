"""A parsed call depends on the bytes of its exchange alone, and nothing changes it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from capture.exchange import End, Exchange, Outcome, RequestHead, ResponseHead, new_action_id
from capture.parsing.parse import parse_call
from capture.parsing.parsed_call import ParsedCall
from tests.support.ledger import PROJECT

JSON_TYPE = [("content-type", "application/json")]
IMAGE = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"pixel" * 200).decode()
QUESTION = {
    "model": "mine",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": [{"type": "image_url", "image_url": {"url": IMAGE}}]},
        {"role": "tool", "tool_call_id": "t", "content": "12 degrees"},
    ],
}
REPLY = {
    "id": "c",
    "model": "mine",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Cold."}}],
    "usage": {"prompt_tokens": 900, "completion_tokens": 300, "total_tokens": 1200},
}
STORED = {
    "id": "resp_1",
    "object": "response",
    "model": "mine",
    "status": "completed",
    "output": [],
    "usage": {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15},
}


def exchange(
    body: bytes, response: bytes, *, wire_format: str = "openai_chat", method: str = "POST"
) -> Exchange:
    head = RequestHead(
        started_ns=1_800_000_000_000_000_000,
        method=method,
        path="/v1/chat/completions",
        target="/v1/chat/completions",
        wire_format=wire_format,
        upstream="http://127.0.0.1",
        upstream_name="default",
        provider=None,
        headers=[*JSON_TYPE],
        ledger={"session_id": "s", "agent_name": "a"},
        body_size=len(body),
        has_body_file=False,
        reserved_usd=Decimal("0.04"),
    )
    pieces = [response[:20], response[20:]]
    times_ns = [2, 3]
    start = ResponseHead(200, [*JSON_TYPE], 1)
    end = End(Outcome.COMPLETED, 4)
    return Exchange(new_action_id(), head, body, start, pieces, times_ns, end)


def whole_call() -> Exchange:
    return exchange(json.dumps(QUESTION).encode(), json.dumps(REPLY).encode())


def cut_off_call() -> Exchange:
    found = exchange(json.dumps(QUESTION).encode(), json.dumps(REPLY).encode()[:40])
    return replace(found, end=End(Outcome.CLIENT_LEFT, 4), is_damaged=True)


def fetch() -> Exchange:
    body = json.dumps(STORED).encode()
    return exchange(b"", body, wire_format="openai_responses", method="GET")


CALLS = (whole_call, cut_off_call, fetch)


def parse_copy(original: Exchange, *, keep_binaries: bool) -> ParsedCall:
    return parse_call(deepcopy(original), keep_binaries=keep_binaries)


@pytest.mark.parametrize("keep_binaries", [False, True])
@pytest.mark.parametrize("make", CALLS)
def test_the_same_bytes_give_an_equal_call(
    make: Callable[[], Exchange], keep_binaries: bool
) -> None:
    original = make()
    first = parse_copy(original, keep_binaries=keep_binaries)
    assert parse_copy(original, keep_binaries=keep_binaries) == first


def test_a_parsed_call_cannot_be_changed() -> None:
    call = parse_copy(whole_call(), keep_binaries=False)
    with pytest.raises(AttributeError):
        call.usage = None  # type: ignore[misc]  # what mypy refuses must fail at run time too


PROGRAM = """
import django
django.setup()
from django.core.management import call_command
call_command("migrate", verbosity=0)

from copy import deepcopy
from capture.ledger.entry import Entry
from capture.ledger.store import LedgerMemory, record
from capture.models import Call, CallBody
from capture.parsing.parse import parse_call
from capture.pricing.cost import Cost
from tests.capture.parsing.test_parse import CALLS, fetch

originals = [make() for make in (*CALLS, fetch)]
calls = [parse_call(deepcopy(original)) for original in originals]
n_recorded = record([Entry(call, Cost.unknown("no price")) for call in calls], {}, LedgerMemory())
assert n_recorded == len(calls)
for original, call in zip(originals, calls, strict=True):
    assert parse_call(deepcopy(original)) == call, original
# What the ledger has besides: a fetch is counted once, and a charge is noted.
sources = Call.objects.filter(wire_format="openai_responses").order_by("seq")
assert list(sources.values_list("usage_source", flat=True)) == ["provider", "none"]
assert any("budgets were charged" in note for note in CallBody.objects.first().notes)
"""


def test_recording_does_not_change_a_parsed_call(tmp_path: Path) -> None:
    settings = {
        "AGENTLEDGER_DSN": f"sqlite:///{tmp_path}/ledger.db",
        "DJANGO_SETTINGS_MODULE": "agentledger_site.settings",
    }
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=PROJECT,
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
