"""Two recorders on one database keep one log, whichever of them dies, and whenever."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.conftest import create_database
from tests.reports.verification.test_verify_ledger import verify
from tests.support.ledger import Ledger, wait_until
from tests.support.load import Load
from tests.support.provider import Provider

ROUNDS = 3


def test_two_recorders_keep_one_log_under_load_and_kills(
    postgresql: str, provider: Provider, tmp_path: Path
) -> None:
    env = {"AGENTLEDGER_DSN": create_database(postgresql)}
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        folder.mkdir()
    with (
        Ledger(folders[0], provider.url, env=env) as one,
        Ledger(folders[1], provider.url, env=env) as two,
    ):
        with Load(one, n_agents=2) as first, Load(two, n_agents=2) as second:
            for number in range(ROUNDS):
                first.more(15)
                second.more(15)
                (one, two)[number % 2].recorder().kill()
            first.more(15)
            second.more(15)
            assert verify(one)["ok"]  # while both record
        answered = {call.action_id for load in (first, second) for call in load.answered}

        def recorded() -> list[dict[str, Any]] | None:
            response = one.get("/session/load")
            calls: list[dict[str, Any]] = response.json() if response.status_code == 200 else []
            return calls if answered <= {call["action_id"] for call in calls} else None

        calls = wait_until(recorded)
        found = verify(two)
        assert (found["ok"], found["n_calls"] >= len(answered)) == (True, True)
        numbers = sorted(call["seq"] for call in calls)
        assert numbers == list(range(1, len(numbers) + 1))
