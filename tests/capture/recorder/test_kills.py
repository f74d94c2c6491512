"""Whichever process dies, whenever: each call that was answered is in the ledger, once."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import create_database
from tests.support.ledger import Ledger
from tests.support.load import Load, assert_all_recorded
from tests.support.provider import Provider


@pytest.fixture(params=["daphne-sqlite", "uvicorn-postgresql"])
def durable(request: pytest.FixtureRequest, provider: Provider, tmp_path: Path) -> Iterator[Ledger]:
    server, database = request.param.split("-")
    env = {}
    if database == "postgresql":
        env["AGENTLEDGER_DSN"] = create_database(request.getfixturevalue("postgresql"))
    with Ledger(tmp_path, provider.url, server=server, env=env) as ledger:
        yield ledger


def kill_again_and_again(
    ledger: Ledger, *, proxy: bool, recorder: bool, rounds: int, pause_s: float = 0
) -> None:
    with Load(ledger, pause_s=pause_s) as load:
        for _ in range(rounds):
            load.more(25)
            if recorder:
                ledger.recorder().kill()
            if proxy:
                ledger.kill()
                ledger.start()
        load.more(25)
    assert_all_recorded(ledger, load)
    assert ledger.command("verify_ledger").stdout.startswith("The ledger is intact")


def test_a_killed_proxy_loses_no_response(durable: Ledger) -> None:
    kill_again_and_again(durable, proxy=True, recorder=False, rounds=3)


def test_a_killed_recorder_loses_no_response(durable: Ledger) -> None:
    kill_again_and_again(durable, proxy=False, recorder=True, rounds=4)


def test_killing_both_loses_no_response(durable: Ledger) -> None:
    kill_again_and_again(durable, proxy=True, recorder=True, rounds=3)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("proxy", "recorder"), [(True, False), (False, True), (True, True)])
def test_killing_for_long_loses_no_response(durable: Ledger, proxy: bool, recorder: bool) -> None:
    # A recorder that is killed all the time is started less and less often: without a pause there
    # would be a session of half a million calls to be read in the end.
    kill_again_and_again(durable, proxy=proxy, recorder=recorder, rounds=50, pause_s=0.1)


def test_nothing_is_left_in_the_spool_once_recorded(fresh: Ledger) -> None:
    with fresh:
        with Load(fresh) as load:
            load.more(50)
        assert_all_recorded(fresh, load)
    left = [path.name for path in fresh.spool.iterdir() if path.suffix in (".spool", ".body")]
    assert left == []
