"""What is small to send and large to parse: the recorder keeps it raw, says so, and stays small."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.support import bombs, canned
from tests.support.ledger import Ledger
from tests.support.provider import Provider

MB = 2**20
MAX_DECODED_MB = 8
PROMISED = 400 * MB + 4 * MAX_DECODED_MB * MB
SMALL = b'{"model":"gpt-4o","messages":[{"role":"user","content":"hi"}]}'
USAGE = b'"model":"gpt-4o","usage":{"prompt_tokens":900,"completion_tokens":5}'
REPLY = canned.as_json(canned.chat("hello"))
JSON, SSE = "application/json", "text/event-stream"
AS_JSON = ("content-type", JSON)


@dataclass
class Input:
    """A request, and the response that it gets; `side` is the one that is above a limit."""

    side: str
    limit: str
    request: bytes = SMALL
    request_headers: dict[str, str] = field(default_factory=dict)
    response: bytes | None = None
    response_headers: list[tuple[str, str]] = field(default_factory=lambda: [AS_JSON])
    path: str = "/v1/chat/completions"


def messages(n: int) -> bytes:
    """Returns a request of at least so many messages."""
    return b"".join(bombs.request_of_messages(n * (len(bombs.MESSAGE) + 1), model=b"gpt-4o"))


def response_of(items: bytes, n: int) -> bytes:
    return b'{"choices":[' + b",".join([items] * n) + b"]," + USAGE + b"}"


GZIP, ZSTD = ("content-encoding", "gzip"), ("content-encoding", "zstd")
INPUTS = {
    "messages": Input("request", "more than 20,000 messages", messages(40_000)),
    "small arrays": Input(
        "request",
        "more than 1,000,000 JSON values",
        b'{"model":"gpt-4o","messages":[' + b"[]," * 1_100_000 + b"[]]}",
    ),
    "parameters": Input(
        "request",
        "more than 4,194,304 bytes of parameters",
        b'{"model":"gpt-4o","messages":[],"x":"' + b"y" * (5 * MB) + b'"}',
    ),
    "a scanner's messages": Input(
        "request", "more than", b'{"a":NaN,' + messages(150_000).lstrip(b"{")
    ),
    "brotli in a request": Input(
        "request",
        "more than 200 times its size",
        bombs.brotlied([messages(200_000)]),
        {"content-encoding": "br"},
    ),
    "a large body": Input(
        "request",
        f"more than {MAX_DECODED_MB} MB when it is decoded (AGENTLEDGER_MAX_DECODED_MB=",
        b'{"model":"gpt-4o","messages":[{"role":"user","content":"' + b"a" * (9 * MB) + b'"}]}',
    ),
    "gzip in a response": Input(
        "response",
        "more than 200 times its size",
        response=bombs.gzip([bytes(16 * MB)]),
        response_headers=[("content-type", JSON), GZIP],
    ),
    "zstd events": Input(
        "response",
        "more than 200 times its size",
        response=bombs.zstd([bombs.DELTA * 200_000]),
        response_headers=[("content-type", SSE), ZSTD],
    ),
    "events": Input(
        "response",
        "more than 250,000 events",
        response=b"data: {}\n\n" * 300_000 + b"data: {" + USAGE + b"}\n\ndata: [DONE]\n\n",
        response_headers=[("content-type", SSE)],
    ),
    "choices": Input(
        "response",
        "more than 1,000 choices",
        response=response_of(b'{"message":{"content":"x"}}', 20_000),
    ),
    "tool calls": Input(
        "response",
        "more than 5,000 tool calls",
        response=response_of(b'{"message":{"tool_calls":[' + b"{}," * 9_000 + b"{}]}}", 1),
    ),
    "numbers": Input(
        "response",
        "more than 1,000,000 JSON values",
        response=b'{"data":[' + b"0," * 1_500_000 + b"0]," + USAGE + b"}",
        path="/v1/embeddings",
        request=b'{"model":"gpt-4o","input":"x"}',
    ),
}


@pytest.fixture(scope="module")
def limited(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    env = {"AGENTLEDGER_MAX_DECODED_MB": str(MAX_DECODED_MB)}
    with Ledger(tmp_path_factory.mktemp("limits"), _provider.url, env=env) as ledger:
        yield ledger


def send(ledger: Ledger, provider: Provider, one: Input, session: str) -> dict[str, Any]:
    """Returns the recorded call."""
    whole = canned.whole(one.response, headers=one.response_headers) if one.response else REPLY
    provider.response(*whole)
    httpx.post(
        ledger.url + one.path,
        content=one.request,
        headers={
            "content-type": JSON,
            "x-agentledger-session-id": session,
            "accept-encoding": "identity",
            **one.request_headers,
        },
        timeout=60,
    )
    return ledger.call(session)


@pytest.mark.parametrize("name", INPUTS)
def test_a_body_above_a_limit_is_recorded_raw_with_a_note(
    limited: Ledger, provider: Provider, name: str
) -> None:
    one = INPUTS[name]
    call = send(limited, provider, one, name)
    note = call["notes"][0]
    assert note.startswith(f"the {one.side} is recorded raw: ")
    assert one.limit in note or "of CPU time" in note  # which is reached first, on a busy machine
    assert call["outcome"] == "completed"
    assert call["latency_ms"] > 0
    if one.side == "request":
        assert call["request_bytes"] == len(one.request)
        assert call["messages"] is None
        assert (call["content"], call["tokens_in"]) == ("hello", 12)
        assert call["cost_usd"] is not None or call["model_id"] is None
    else:
        assert one.response is not None
        assert call["response_bytes"] == len(one.response)
        assert call["content"] is None
        assert call["tool_calls"] == []
        assert call["model_id"] == "gpt-4o"


@pytest.mark.parametrize("name", ["events", "choices", "tool calls", "numbers"])
def test_usage_and_cost_of_a_response_above_a_limit_are_known(
    limited: Ledger, provider: Provider, name: str
) -> None:
    call = send(limited, provider, INPUTS[name], f"usage of {name}")
    assert (call["tokens_in"], call["tokens_out"]) == (900, 5)
    assert call["usage_source"] == "provider"
    assert call["cost_usd"] is not None


def peak_bytes(process: psutil.Process) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def test_memory_of_the_recorder_stays_below_what_is_promised(
    limited: Ledger, provider: Provider
) -> None:
    recorder = limited.recorder()
    for name, one in INPUTS.items():
        send(limited, provider, one, f"memory of {name}")
    assert limited.recorder().pid == recorder.pid
    assert peak_bytes(recorder) < PROMISED


def test_an_honest_long_call_is_parsed(limited: Ledger, provider: Provider) -> None:
    """Compressed to a thirtieth, 5,000 messages of history, an answer of 20,000 events."""
    events = b"".join(
        b'data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1764000000,'
        b'"model":"gpt-4o","choices":[{"index":0,"delta":{"content":"word%d "}}]}\n\n' % n
        for n in range(20_000)
    )
    turn = b'{"role":"user","content":"%d"}'
    history = b",".join(turn % n for n in range(5_000))
    request = b'{"model":"gpt-4o","messages":[' + history + b"]}"
    response = bombs.gzip([events, b"data: {" + USAGE + b"}\n\ndata: [DONE]\n\n"])
    one = Input("", "", request, response=response, response_headers=[("content-type", SSE), GZIP])
    call = send(limited, provider, one, "honest")
    assert call["notes"] is None
    assert len(call["messages"]) == 5_000
    assert call["content"].count("word") == 20_000
    assert call["tokens_out"] == 5


@pytest.mark.soak
@pytest.mark.parametrize("encoding", bombs.ENCODERS)
def test_bombs_of_full_size_cost_the_recorder_little(
    fresh: Ledger, provider: Provider, encoding: str
) -> None:
    encode = bombs.ENCODERS[encoding]
    headers = [("content-type", SSE), ("content-encoding", encoding)]
    with fresh:
        recorder = fresh.recorder()
        for number in range(4):
            response = encode(bombs.stream_of_deltas(1_000 * MB))
            one = Input("", "", messages(700_000), response=response, response_headers=headers)
            send(fresh, provider, one, f"bomb {number}")
        assert fresh.recorder().pid == recorder.pid
        assert sum(recorder.cpu_times()[:2]) < 15
        assert peak_bytes(recorder) < 400 * MB + 4 * 64 * MB
