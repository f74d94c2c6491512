"""Bodies of any size, both ways, slow and interrupted: nothing is lost, and memory stays flat."""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from collections.abc import Iterator
from uuid import uuid4

import httpx
import psutil
import pytest

from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider
from tests.support.raw import connect, request

MB = 1024 * 1024
PATH = "/v1/chat/completions"
FLAT = 60 * MB  # what a process may grow while far more passes through it


@pytest.fixture(scope="module", params=["daphne", "uvicorn"])
def proxy(
    request: pytest.FixtureRequest, _provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    folder = tmp_path_factory.mktemp(request.param)
    with Ledger(folder, _provider.url, server=request.param) as ledger:
        yield ledger


HEAD, TAIL = b'{"model": "m", "messages": [{"role": "user", "content": "', b'"}]}'
FRAME = len(HEAD) + len(TAIL)


def call_body(size: int) -> bytes:
    """Returns the body of a call, of exactly this size."""
    return HEAD + b"x" * (size - FRAME) + TAIL


def split(body: bytes) -> Iterator[bytes]:
    for start in range(0, len(body), 65536):
        yield body[start : start + 65536]


def post(proxy: Ledger, body: bytes, **headers: str) -> httpx.Response:
    return httpx.post(proxy.url + PATH, content=body, headers=headers, timeout=60)


class Memory:
    """The memory of a process, compared with what it was at first."""

    def __init__(self, ledger: Ledger) -> None:
        assert ledger.process is not None
        self._process = psutil.Process(ledger.process.pid)
        self._before: int = self._process.memory_info().rss

    def growth(self) -> int:
        now: int = self._process.memory_info().rss
        return now - self._before


# --- requests ---


@pytest.mark.parametrize("size", [100, MB - 1, MB, MB + 1, 5 * MB, 20 * MB])
@pytest.mark.parametrize("chunked", [False, True])
def test_a_call_of_any_size_is_forwarded_and_recorded(
    proxy: Ledger, provider: Provider, size: int, chunked: bool
) -> None:
    body = call_body(size)
    session = str(uuid4())
    response = httpx.post(
        proxy.url + PATH,
        content=split(body) if chunked else body,
        headers={"x-agentledger-session-id": session},
        timeout=60,
    )
    assert response.status_code == 200
    [received] = provider.requests()
    digest = hashlib.sha256(body).hexdigest()
    assert (received.size, received.sha256) == (size, digest)
    call = proxy.call(session)
    assert (call["request_bytes"], call["request_sha256"]) == (size, digest)
    assert len(call["messages"][0]["content"]) == size - FRAME
    wait_until(lambda: not list(proxy.spool.glob("*.body")))


def test_a_compressed_call_is_parsed(proxy: Ledger, provider: Provider) -> None:
    response = post(proxy, gzip.compress(call_body(3 * MB)), **{"content-encoding": "gzip"})
    call = proxy.explain(response.headers["x-agentledger-action-id"])
    assert call["model_id"] == "m"
    assert len(call["messages"][0]["content"]) > 2 * MB


def test_an_interrupted_upload_leaves_nothing(proxy: Ledger, provider: Provider) -> None:
    session = str(uuid4())
    with connect(proxy.url) as connection:
        headers = [("x-agentledger-session-id", session)]
        whole = request("POST", PATH, headers, call_body(8 * MB))
        connection.sendall(whole[: 4 * MB])
    with connect(proxy.url) as connection:
        whole = request("POST", PATH, headers, chunks=[b"x" * MB] * 4)
        connection.sendall(whole[: 3 * MB])
    wait_until(lambda: not list(proxy.spool.glob("*.body")))
    assert provider.counts()["received"] == 0
    post(proxy, call_body(100), **dict(headers))
    assert proxy.call(session)["request_bytes"] == 100


def test_an_upload_that_is_not_recorded_is_streamed(proxy: Ledger, provider: Provider) -> None:
    memory = Memory(proxy)
    size = 150 * MB
    piece = bytes(MB)
    response = httpx.post(
        f"{proxy.url}/v1/files", content=(piece for _ in range(size // MB)), timeout=60
    )
    assert response.status_code == 200
    assert provider.requests()[-1].size == size
    assert memory.growth() < FLAT


# --- responses ---


def test_a_long_response_is_recorded_as_it_was_sent(proxy: Ledger, provider: Provider) -> None:
    text = "y" * (20 * MB)
    body = json.dumps(canned.chat(text)).encode()
    provider.response(*canned.whole(body))
    response = post(proxy, call_body(100))
    assert response.content == body
    call = proxy.explain(response.headers["x-agentledger-action-id"])
    assert (call["response_bytes"], call["content"]) == (len(body), text)


@pytest.mark.parametrize("path", [PATH, "/v1/files/1/content"])
def test_an_agent_that_reads_slowly_costs_no_memory(
    proxy: Ledger, provider: Provider, path: str
) -> None:
    piece = canned.chunk(b"data: " + b"z" * 65_000 + b"\n\n")
    head = canned.head(200, [*canned.SSE_TYPE, ("transfer-encoding", "chunked")])
    flood = canned.flood(piece, 100 * MB // len(piece))
    provider.response(canned.send(head), flood, canned.send(canned.LAST_CHUNK))
    memory = Memory(proxy)
    most = n_read = 0
    with connect(proxy.url) as connection:
        connection.sendall(request("POST", path, [("connection", "close")], call_body(100)))
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            most = max(most, memory.growth())
            time.sleep(0.05)
        while piece := connection.recv(MB):
            n_read += len(piece)
            most = max(most, memory.growth())
    assert n_read > 99 * MB
    assert most < FLAT
