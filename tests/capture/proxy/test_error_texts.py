"""What an agent is told when something fails: the kind of failure. Paths, addresses and an
upstream's bytes are for the operator: in the log, and in the call's record."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from tests.support import canned
from tests.support.ledger import CALL, Ledger, wait_until
from tests.support.provider import Provider

LARGE = {**CALL, "padding": "x" * 2_000_000}
SECRET = "raw-bytes-of-the-upstream"


def message_of(response: httpx.Response) -> str:
    message: str = response.json()["error"]["message"]
    return message


def check(ledger: Ledger, text: str, *hidden: str) -> None:
    """Nothing of this machine or of an upstream is in the text; what is `hidden` is in the log."""
    for part in (*hidden, "/", "[Errno", "b'", "Traceback", "\\x"):
        assert part not in text
    wait_until(lambda: all(part in ledger.log.read_text() for part in hidden))


@pytest.fixture
def garbled(fresh: Ledger) -> Ledger:
    upstreams = {"down": "http://127.0.0.1:1", "nowhere": "http://a.invalid"}
    fresh.env["AGENTLEDGER_UPSTREAMS"] = json.dumps(upstreams)
    return fresh


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/other"])
def test_an_upstream_that_fails(garbled: Ledger, provider: Provider, path: str) -> None:
    provider.response(canned.send(f"{SECRET}\r\n\x00\xff{SECRET}\r\n\r\n".encode("latin-1")))
    told = {
        path: "did not respond: its response is not valid HTTP",
        f"/to/down{path}": "127.0.0.1:1 cannot be reached: the connection was not accepted",
        f"/to/nowhere{path}": "a.invalid cannot be reached: its name is not known",
    }
    hidden = {path: SECRET, f"/to/down{path}": "Connect call", f"/to/nowhere{path}": "[Errno"}
    with garbled as ledger:
        for url, expected in told.items():
            response = httpx.post(ledger.url + url, json=CALL, timeout=30)
            assert response.status_code == 502
            assert message_of(response).endswith(expected)
            check(ledger, message_of(response), hidden[url])
            if path != "/v1/other":
                call = ledger.explain(response.headers["x-agentledger-action-id"])
                assert hidden[url] in call["error_detail"]


def test_an_upstream_that_fails_a_handshake(garbled: Ledger) -> None:
    with garbled as ledger:
        url = ledger.url.replace("http", "ws") + "/to/down/v1/realtime"
        with pytest.raises(InvalidStatus) as caught, connect(url, proxy=None):
            pass
        body = (caught.value.response.body or b"").decode()
        assert "127.0.0.1:1 cannot be reached: the connection was not accepted" in body
        check(ledger, body, "Connect call")


def test_a_spool_that_is_full(fresh: Ledger) -> None:
    fresh.env["AGENTLEDGER_SPOOL_MAX_MB"] = "1"
    with fresh as ledger:
        response = httpx.post(f"{ledger.url}/v1/chat/completions", json=LARGE, timeout=30)
        assert response.status_code == 503
        assert "the spool is full, or its disk is" in message_of(response)
        check(ledger, message_of(response), str(ledger.spool))


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    bind = ["mount", "--bind", str(path), str(path)]
    if os.getuid() != 0 or subprocess.run(bind, capture_output=True).returncode != 0:
        pytest.skip("a read-only folder can only be mounted by root")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(path)], check=True)
        yield
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_a_spool_that_takes_no_writes(fresh: Ledger) -> None:
    with fresh as ledger, read_only(ledger.spool):
        response = httpx.post(f"{ledger.url}/v1/chat/completions", json=LARGE, timeout=30)
        assert response.status_code == 503
        assert "the spool cannot be written" in message_of(response)
        check(ledger, message_of(response), str(ledger.spool))
