"""GET /api/export and manage.py export: many calls as JSON Lines, resumed by cursor."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest
import zstandard

from tests.support.ledger import CALL, Ledger
from tests.support.provider import Provider


def calls_of(ledger: Ledger, agent: str, count: int) -> list[dict[str, Any]]:
    headers = {
        "x-agentledger-session-id": f"many-{agent}",
        "x-agentledger-agent-name": agent,
    }
    for _ in range(count):
        httpx.post(f"{ledger.url}/v1/chat/completions", json=CALL, headers=headers)
    calls = ledger.calls(f"many-{agent}", count=count)
    return sorted(calls, key=lambda call: call["seq"])


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_all_calls_that_match_are_exported_and_resumed(stack: Ledger, provider: Provider) -> None:
    agent = uuid4().hex
    calls = calls_of(stack, agent, 3)
    response = stack.get("/api/export", params={"agent_name": agent}).raise_for_status()
    assert response.headers["content-type"] == "application/x-ndjson"
    assert lines(response.text) == calls
    rest = {"agent_name": agent, "cursor": calls[0]["seq"]}
    assert lines(stack.get("/api/export", params=rest).text) == calls[1:]
    span = {"agent_name": agent, "since": calls[1]["timestamp"], "until": calls[2]["timestamp"]}
    assert lines(stack.get("/api/export", params=span).text) == calls[1:2]
    assert stack.get("/api/export", params={"agent_name": "nobody"}).text == ""
    assert list(stack.get("/api/export?since=x&agent=y").json()) == ["agent"]


@pytest.mark.parametrize("compression", [None, "gzip", "zstd"], ids=str)
def test_a_folder_gets_what_it_lacks(
    stack: Ledger, provider: Provider, compression: str | None
) -> None:
    agent = uuid4().hex
    calls = calls_of(stack, agent, 2)
    folder = stack.folder / agent
    options = ["--agent-name", agent, "-o", str(folder)]
    options += ["--compress", compression] if compression else []
    for exported in (2, 0, 1):
        if exported == 1:
            calls = calls_of_more(stack, agent, calls)
        done = stack.command("export", *options)
        assert done.stdout == f"Exported {exported} calls to {folder}\n", done.stderr
    files = sorted(folder.glob("calls-*"))
    unpack: dict[str | None, Callable[[bytes], bytes]] = {
        None: bytes, "gzip": gzip.decompress, "zstd": unpack_zstd
    }  # fmt: skip
    assert [lines(unpack[compression](file.read_bytes()).decode()) for file in files] == [
        calls[:2],
        calls[2:],
    ]
    assert {file.name for file in folder.iterdir()} == {"export.json", *(f.name for f in files)}
    other = stack.command("export", "-o", str(folder))
    assert (other.returncode, other.stdout) == (1, "")
    assert other.stderr == f"CommandError: {folder} has an export with other filters\n"


def calls_of_more(ledger: Ledger, agent: str, calls: list[dict[str, Any]]) -> list[dict[str, Any]]:
    headers = {"x-agentledger-session-id": f"more-{agent}", "x-agentledger-agent-name": agent}
    httpx.post(f"{ledger.url}/v1/chat/completions", json=CALL, headers=headers)
    return [*calls, *ledger.calls(f"more-{agent}")]


def unpack_zstd(data: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompressobj().decompress(data)


def test_a_folder_with_something_else_is_left_alone(ledger: Ledger, provider: Provider) -> None:
    folder = ledger.folder / "photos"
    folder.mkdir()
    (folder / "cat.jpg").write_bytes(b"x")
    found = ledger.command("export", "-o", str(folder))
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == f"CommandError: {folder} is not empty, and no export\n"
    assert [file.name for file in folder.iterdir()] == ["cat.jpg"]
    bad = ledger.command("export", "--since", "yesterday", "-o", str(ledger.folder / "new"))
    assert (bad.returncode, bad.stdout) == (1, "")
    assert bad.stderr.startswith("CommandError: --since: ")
