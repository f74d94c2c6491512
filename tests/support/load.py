"""Agents that call without pause, and remember what they were answered."""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.support.ledger import Ledger, wait_until

SESSION = "load"


@dataclass
class ParsedResponse:
    action_id: str
    text: str


@dataclass
class Load:
    """`n_agents` threads; the proxy may die under them, or move to another address."""

    ledger: Ledger
    n_agents: int = 4
    pause_s: float = 0  # of each agent, between two calls
    answered: list[ParsedResponse] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)  # statuses other than 200
    broken: list[httpx.TransportError] = field(default_factory=list)  # no response, or half of one
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _errors: list[BaseException] = field(default_factory=list)

    def __enter__(self) -> Load:
        for number in range(self.n_agents):
            thread = threading.Thread(target=self._agent, args=(number,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert not self._errors, self._errors

    def more(self, count: int) -> None:
        """Wait until `count` more calls have been answered."""
        goal = len(self.answered) + count
        wait_until(lambda: len(self.answered) >= goal or self._errors)

    def _agent(self, number: int) -> None:
        try:
            turn = 0
            with httpx.Client(timeout=30) as client:
                while not self._stop.is_set():
                    turn += 1
                    try:
                        self._call(client, f"agent {number} turn {turn}", turn % 3 == 0)
                        self._stop.wait(self.pause_s)
                    except httpx.TransportError as error:  # the proxy died: no response, no claim
                        self.broken.append(error)
                        self._stop.wait(0.02)
        except BaseException as error:  # raised again where the load is joined
            self._errors.append(error)

    def _call(self, client: httpx.Client, text: str, stream: bool) -> None:
        body = {"model": "m", "messages": [{"role": "user", "content": text}], "stream": stream}
        url = f"{self.ledger.url}/v1/chat/completions"
        response = client.post(url, json=body, headers={"x-agentledger-session-id": SESSION})
        if response.status_code != 200:
            self.refused.append(response.status_code)
            self._stop.wait(0.02)
            return
        heard = _streamed_text(response.text) if stream else _text(response.json())
        expected = f"echo: {text}"
        assert heard == (expected.replace(" ", "") if stream else expected)
        self.answered.append(ParsedResponse(response.headers["x-agentledger-action-id"], heard))


def _text(response: dict[str, Any]) -> str:
    text: str = response["choices"][0]["message"]["content"]
    return text


def _streamed_text(stream: str) -> str:
    lines = [line[6:] for line in stream.splitlines() if line.startswith("data: {")]
    chunks = [json.loads(line) for line in lines]
    return "".join(c["choices"][0]["delta"].get("content", "") for c in chunks if c["choices"])


def assert_all_recorded(ledger: Ledger, load: Load) -> None:
    """Every response that an agent received is in the ledger, once, as it was received; and nothing
    else but calls whose response was broken off."""
    claims = {answered.action_id: answered.text for answered in load.answered}
    assert len(claims) == len(load.answered) > 0

    def recorded() -> dict[str, dict[str, Any]] | None:
        response = ledger.get(f"/session/{SESSION}")
        calls = response.json() if response.status_code == 200 else []
        by_id = {call["action_id"]: call for call in calls}
        assert len(by_id) == len(calls)
        return by_id if claims.keys() <= by_id.keys() else None

    calls = wait_until(recorded)
    for action_id, text in claims.items():
        call = calls[action_id]
        assert (call["content"], call["outcome"]) == (text, "completed"), call
    [session] = [s for s in ledger.sessions() if s["session_id"] == SESSION]
    assert session["call_count"] == len(calls)
    assert len(calls) <= len(claims) + len(load.broken) + len(load.refused)
    numbers = sorted(call["seq"] for call in calls.values())
    assert numbers == list(range(numbers[0], numbers[0] + len(calls)))


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """A SQLite file that another program holds."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        yield
        connection.execute("ROLLBACK")
