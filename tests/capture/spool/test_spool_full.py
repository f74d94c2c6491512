"""A full spool, a full disk: calls are refused or let pass, as told, and none is lost."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.ledger import CALL, Ledger, ServerName, wait_until
from tests.support.load import SESSION, Load, assert_all_recorded, locked
from tests.support.provider import Provider


def test_a_full_spool_refuses_calls_and_loses_none(fresh: Ledger) -> None:
    fresh.env["AGENTLEDGER_SPOOL_MAX_MB"] = "1"
    with fresh:
        fresh.post()
        fresh.calls("s")
        with locked(fresh.folder / "agentledger.db"), Load(fresh) as load:
            wait_until(lambda: load.refused)
            assert set(load.refused) == {503}
            readiness = fresh.get("/readyz")
            assert readiness.status_code == 503
            assert "full" in readiness.json()["reasons"][0]
        assert_all_recorded(fresh, load)
        wait_until(lambda: fresh.get("/readyz").status_code == 200)
        assert fresh.post().status_code == 200


def test_a_full_spool_lets_calls_pass_if_configured(fresh: Ledger) -> None:
    fresh.env |= {"AGENTLEDGER_SPOOL_MAX_MB": "1", "AGENTLEDGER_ON_FULL": "pass"}
    with fresh:
        fresh.post()
        fresh.calls("s")

        def n_unrecorded() -> int:
            counters = fresh.get("/readyz").json()["counters"]
            unrecorded: int = counters["unrecorded"]
            return unrecorded

        load = LoadWithoutClaims(fresh)
        with locked(fresh.folder / "agentledger.db"), load:
            wait_until(lambda: n_unrecorded() > 10)
        assert load.refused == []
        unclaimed = load.n_answered - n_unrecorded()
        wait_until(lambda: fresh.n_recorded() == 1 + unclaimed)


def test_a_deleted_spool_refuses_calls_until_the_restart(fresh: Ledger) -> None:
    with fresh:
        fresh.post()
        fresh.calls("s")
        shutil.rmtree(fresh.spool)
        refused = wait_until(lambda: found if (found := fresh.post()).status_code != 200 else None)
        assert refused.status_code == 503
        assert "spool" in refused.json()["error"]["message"]
        readiness = fresh.get("/readyz")
        assert readiness.status_code == 503
        assert "was deleted, restart" in readiness.json()["reasons"][0]
    with fresh:
        fresh.post("again")
        fresh.calls("again")


@pytest.mark.parametrize("server", ["daphne", "uvicorn"])
@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "chunked"])
def test_a_body_without_room_passes_if_configured(
    fresh: Ledger, provider: Provider, server: ServerName, chunked: bool
) -> None:
    """Known only when some of it has been taken."""
    fresh.server = server
    fresh.env |= {"AGENTLEDGER_SPOOL_MAX_MB": "1", "AGENTLEDGER_ON_FULL": "pass"}
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "word " * 600_000}]})
    pieces = [body.encode()[start : start + 50_000] for start in range(0, len(body), 50_000)]
    with fresh:
        url = f"{fresh.url}/v1/chat/completions"
        response = httpx.post(url, content=iter(pieces) if chunked else body, timeout=30)
        assert response.status_code == 200
        assert "x-agentledger-action-id" not in response.headers
        assert fresh.get("/readyz").json()["counters"]["unrecorded"] == 1
        [received] = provider.requests()
        assert received.body == body.encode()
        assert not list(fresh.spool.glob("*.body"))
        assert fresh.post().headers["x-agentledger-action-id"]  # there is room for small ones


@dataclass
class LoadWithoutClaims(Load):
    """An agent whose calls may go unrecorded, and then bear no action id."""

    n_agents: int = 1
    n_answered: int = 0

    def _call(self, client: httpx.Client, text: str, stream: bool) -> None:
        response = client.post(
            f"{self.ledger.url}/v1/chat/completions",
            json=CALL,
            headers={"x-agentledger-session-id": SESSION},
        )
        assert response.status_code == 200
        self.n_answered += 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=80m", "tmpfs", str(folder)]
    if os.getuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a small disk can only be mounted by root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_loses_no_response(fresh: Ledger, small_disk: Path) -> None:
    fresh.env["AGENTLEDGER_SPOOL_DIR"] = str(small_disk / "spool")
    with fresh:
        with Load(fresh) as load:
            load.more(20)
            filler = small_disk / "filler"
            with filler.open("wb") as file:
                file.write(bytes(40 * 1024 * 1024))
            wait_until(lambda: load.refused)
            filler.unlink()
            load.more(20)
        assert set(load.refused) == {503}
        assert_all_recorded(fresh, load)
