"""`manage.py verify_ledger` finds nothing in a ledger as it was recorded, whatever came, and names
what was altered, removed, added, moved or cut off since."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.capture.ledger.test_log import chat
from tests.capture.ledger.test_stored_responses import response
from tests.conftest import STACKS, running_on
from tests.reports.test_odd_values import record
from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.odd_exchanges import odd_exchanges
from tests.support.provider import Provider

N_ODD = 40


def verify(ledger: Ledger, *arguments: str) -> dict[str, Any]:
    done = ledger.command("verify_ledger", "--json", *arguments)
    assert done.stderr == "", done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (0 if found["ok"] else 1)
    return found


def run(ledger: Ledger, what: str) -> Any:
    """Runs a function of `tampering` where the ledger is, and returns what it printed."""
    script = f"from tests.reports.verification import tampering\ntampering.{what}"
    done = ledger.command("shell", "-v", "0", "-c", script)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module", params=STACKS)
def recorded(request: pytest.FixtureRequest, _provider: Provider) -> Iterator[Ledger]:
    """A ledger with calls of all kinds, a correction, deletions, and a checkpoint."""
    _provider.reset()
    with running_on(request.param, request) as ledger:
        record(ledger, _provider, list(odd_exchanges(seed=1, count=N_ODD)))
        correct(ledger, _provider)
        gone = [chat(ledger, f"number {n}", session_id="gone") for n in range(3)]
        ledger.calls("gone", count=3)
        assert httpx.delete(f"{ledger.url}/api/calls/{gone[0]}").status_code == 204
        assert httpx.delete(f"{ledger.url}/api/sessions/gone").status_code == 204
        wait_until(lambda: verify(ledger)["n_deleted"] == 3)
        run(ledger, "sign()")
        chat(ledger, "after the checkpoint", session_id="last", user_id="u")
        ledger.calls("last")
        yield ledger
    _provider.reset()


def correct(ledger: Ledger, provider: Provider) -> None:
    """Makes a call whose usage comes later."""
    provider.response(*canned.as_json(response("resp_1", "in_progress")), times=1)
    names = {"x-agentledger-session-id": "fetched"}
    body = {"model": "gpt-4o", "input": "hi", "background": True}
    asked = httpx.post(f"{ledger.url}/v1/responses", json=body, headers=names)
    ledger.explain(asked.headers["x-agentledger-action-id"])
    provider.response(*canned.as_json(response("resp_1", "completed")), times=1)
    httpx.get(f"{ledger.url}/v1/responses/resp_1", headers=names)
    ledger.calls("fetched", count=2)


def test_ledger_as_recorded_is_intact(recorded: Ledger) -> None:
    found = verify(recorded)
    assert (found["ok"], found["findings"], found["n_unlogged"]) == (True, [], 0)
    assert found["n_calls"] == recorded.n_recorded()
    told = recorded.command("verify_ledger")
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout.startswith(f"The ledger is intact: {found['n_calls']} calls, ")


def test_any_changed_bit_is_found_and_named(recorded: Ledger) -> None:
    found = run(recorded, "flip_bits()")
    assert found["failures"] == []
    assert len(found["tried"]) > 20


def test_what_was_done_is_told_apart(recorded: Ledger) -> None:
    found = run(recorded, "play()")
    damage = {name: {one["damage"] for one in some} for name, some in found.items()}
    assert damage.pop("nothing") == set()
    # The ledger's first hourly checkpoint may have come last.
    assert damage.pop("size") - {"cut off"} == {"added"}
    assert damage == {
        "cost": {"altered"},
        "removed": {"missing"},
        "removed with a tombstone": {"altered"},
        "removed entry": {"missing"},
        "added": {"added"},
        "places swapped": {"reordered"},
        "numbers swapped": {"reordered"},
        # Its last entries are those on deletions, of which traces are left.
        "tail cut off": {"cut off", "missing"},
        "tile removed": {"cut off", "missing"},
        "message removed": {"altered"},
        "texts removed": {"missing"},
        "rewritten": set(),  # nothing in the database tells: test_anchors
    }
    assert found["cost"][0]["fields"] == ["cost_usd"]


def test_what_was_logged_after_a_checkpoint_is_verified_alone(recorded: Ledger) -> None:
    size = recorded.get("/api/checkpoints").json()["checkpoints"][0]["size"]
    assert verify(recorded, "--since", str(size))["ok"]
    unknown = recorded.command("verify_ledger", "--since", "1")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "there is no checkpoint of 1 entries" in unknown.stderr
