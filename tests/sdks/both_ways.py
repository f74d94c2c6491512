"""Compares the same calls of an SDK, straight to the provider and through AgentLedger."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

from capture.wire.types import JSON
from tests.capture.wire.corpus.exchanges import Exchange, compact
from tests.support import canned
from tests.support.ledger import Ledger
from tests.support.provider import Provider, Received

FOLDER = Path(__file__).parent

Response = list[canned.Step]
Facts = dict[str, Any]

# What providers send beside the body, and SDKs read.
USUAL = [
    ("x-request-id", "req_1"),
    ("request-id", "req_1"),
    ("x-ratelimit-remaining-requests", "99"),
    ("set-cookie", "a=1; path=/"),
    ("set-cookie", "b=2; path=/"),
]
REASONS = {status.value: status.phrase for status in HTTPStatus}

HOP = {"connection", "keep-alive"}


@dataclass(frozen=True, repr=False)
class Case:
    """One call of an SDK. `call` names a function of the module of calls. The provider responds to
    its tries in turn, and `recorded` are the facts that each leaves in the ledger. `raises` is the
    class of the exception that it ends with."""

    call: str
    responses: Sequence[Response]
    recorded: Sequence[Facts] = ()
    raises: str | None = None


# --- responses ---


def reply(
    body: bytes, status: int = 200, content_type: str = "application/json", **headers: str
) -> Response:
    fields = [("content-type", content_type), *USUAL]
    fields += [(name.replace("_", "-"), value) for name, value in headers.items()]
    fields.append(("content-length", str(len(body))))
    return [canned.send(canned.head(status, fields, REASONS.get(status, "Overloaded")) + body)]


def as_json(value: JSON, status: int = 200) -> Response:
    return reply(compact(value), status)


def streamed(body: bytes, content_type: str, *, cut: bool = False) -> Response:
    """`body` as chunks of one line each. With `cut` the last chunk is missing."""
    fields = [("content-type", content_type), *USUAL, ("transfer-encoding", "chunked")]
    pieces = [canned.send(canned.chunk(line)) for line in body.splitlines(keepends=True)]
    end = canned.CLOSE if cut else canned.send(canned.LAST_CHUNK)
    return [canned.send(canned.head(200, fields, REASONS[200])), *pieces, end]


def as_server(exchange: Exchange) -> Response:
    if exchange.is_stream():
        return streamed(exchange.body, exchange.content_type)
    return reply(exchange.body, exchange.status, exchange.content_type)


def cut_after_content(exchange: Exchange) -> Response:
    """The stream up to the end of the event that brings its first content."""
    end = exchange.expected_with_first_content().first_content_end
    return streamed(exchange.body[:end], exchange.content_type, cut=True)


def by_name(exchanges: Sequence[Exchange]) -> dict[str, Exchange]:
    return {exchange.name: exchange for exchange in exchanges}


# --- what must be recorded ---


def expected_facts(exchange: Exchange, **more: Any) -> Facts:
    """The facts that the corpus expects of a response, under the names of the API."""
    expected = exchange.expected
    facts = {
        "wire_format": exchange.wire_format,
        "status_code": exchange.status,
        "content": expected.content,
        "stop_reason": expected.stop_reason,
        "tool_calls": [
            {"id": call.id, "name": call.name, "arguments": _load_arguments(call.arguments)}
            for call in expected.tool_calls
        ],
    }
    if expected.usage is not None:
        names = ("tokens_in", "tokens_out", "tokens_cache_read", "tokens_reasoning")
        # A number that was not sent is estimated.
        numbers = {name: getattr(expected.usage, name) for name in names}
        facts |= {name: number for name, number in numbers.items() if number is not None}
    if expected.error is None:
        facts["outcome"] = "completed"
    else:
        facts |= {"outcome": "upstream_error", "error_detail": expected.error}
    return {**facts, **more}


def _load_arguments(arguments: str | None) -> Any:
    try:
        return json.loads(arguments or "")
    except ValueError:
        return arguments


def complete_case(exchange: Exchange, call: str, **more: Any) -> Case:
    """A case of one try that gets this response."""
    raises = more.pop("raises", None)
    return Case(call, [as_server(exchange)], [expected_facts(exchange, **more)], raises)


def cut_case(exchange: Exchange, call: str, content: str, *, raises: str) -> Case:
    """A case whose stream ends after its first content."""
    facts = {"wire_format": exchange.wire_format, "outcome": "upstream_cut", "content": content}
    return Case(call, [cut_after_content(exchange)], [facts], raises)


# --- running ---


@dataclass(frozen=True, repr=False)
class Observed:
    """What the SDK returned or raised, and what the provider received."""

    values: list[Any]
    raised: Any
    received: list[Facts]


@dataclass(repr=False)
class BothWays:
    ledger: Ledger
    straight: dict[str, Observed] = field(default_factory=dict)
    through: dict[str, Observed] = field(default_factory=dict)

    def check(self, name: str, case: Case) -> None:
        straight, through = self.straight[name], self.through[name]
        raised = next(iter(straight.raised), None) if straight.raised else None
        assert raised == case.raises, straight.raised
        assert len(straight.received) == len(case.responses)
        assert through.values == straight.values
        assert through.raised == straight.raised
        assert through.received == straight.received
        if case.recorded:
            calls = self.ledger.calls(name, count=len(case.recorded))
            for call, facts in zip(calls, case.recorded, strict=True):
                assert {name: call[name] for name in facts} == facts


def run(module: str, cases: dict[str, Case], ledger: Ledger, provider: Provider) -> BothWays:
    provider.reset()
    for _ in ("straight", "through"):
        for name, case in cases.items():
            for response in case.responses:
                provider.response(*response, path=f"/case-{name}/", times=1)
    ran = subprocess.run(
        [
            *(sys.executable, "-W", "ignore", str(FOLDER / "run.py"), str(FOLDER / module)),
            json.dumps({name: case.call for name, case in cases.items()}),
            *(provider.url, ledger.url),
        ],
        cwd=ledger.folder,
        env=_environment(ledger.folder),
        stdout=subprocess.PIPE,
        check=True,
        timeout=120,
    )
    seen = json.loads(ran.stdout)
    received = provider.requests()
    ways = BothWays(ledger)
    for name in cases:
        mine = [_comparable(request) for request in received if f"/case-{name}/" in request.target]
        half = len(mine) // 2
        ways.straight[name] = Observed(**seen[0][name], received=mine[:half])
        ways.through[name] = Observed(**seen[1][name], received=mine[half:])
    return ways


def _environment(folder: Path) -> dict[str, str]:
    """An environment without what would direct an SDK elsewhere, or make it fetch or read more."""
    names = ("PATH", "HOME", "LANG", "TMPDIR", "PYTHONDONTWRITEBYTECODE")
    environment = {name: os.environ[name] for name in names if name in os.environ}
    return {
        **environment,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "PYTHONUTF8": "1",
        "SSL_CERT_DIR": str(folder),  # otherwise each client reads all certificates, for 25 ms
    }


def _comparable(request: Received) -> Facts:
    body = request.body
    headers = [
        (name.lower(), value)
        for name, value in request.headers
        if name.lower() not in HOP and not name.lower().startswith("x-agentledger-")
    ]
    if found := re.search(r"boundary=\"?([^\";]+)", ",".join(request.header("content-type"))):
        # HTTP libraries choose it at random.
        body = body.replace(found[1].encode(), b"boundary")
        headers = [(name, value.replace(found[1], "boundary")) for name, value in headers]
    return {"line": request.line, "headers": headers, "chunked": request.chunked, "body": body}
