"""The Evidence page, and what the pages of calls and sessions say of the log."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import expect

from tests.reports.dashboard.conftest import Open, violations
from tests.support import evidence
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider


@pytest.fixture(scope="module")
def anchored(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A ledger with a session of three calls, a deletion, a checkpoint and an anchor."""
    _provider.reset()
    folder = tmp_path_factory.mktemp("evidence")
    env = {"AGENTLEDGER_ANCHORS": str(folder / "held.txt")}
    with Ledger(folder, _provider.url, env=env) as ledger:
        for number in range(3):
            ledger.post("kept", content=f"number {number}")
        ledger.post("gone")
        ledger.calls("gone")
        assert httpx.delete(f"{ledger.url}/api/sessions/gone").status_code == 204
        wait_until(lambda: _n_deleted(folder) == 1)
        evidence.anchored(ledger, evidence.sign(ledger).size)
        assert ledger.command("verify_ledger").returncode == 0
        yield ledger


def _n_deleted(folder: Path) -> int:
    with closing(sqlite3.connect(folder / "agentledger.db", timeout=20)) as database:
        [[n]] = database.execute("SELECT count(*) FROM capture_tombstone").fetchall()
    return int(n)


def test_checkpoints_anchors_and_deletions_are_listed(anchored: Ledger, open_page: Open) -> None:
    page = open_page(f"{anchored.url}/dashboard/evidence/")
    expect(page.get_by_role("link", name="Evidence")).to_have_attribute("aria-current", "page")
    expect(page.get_by_text("✓ Intact: 3 calls")).to_be_visible()
    expect(page.get_by_role("region", name="Anchors").last).to_contain_text("held.txt")
    deletions = page.get_by_role("region", name="Deletions").last
    expect(deletions.locator("tbody tr")).to_have_count(1)
    expect(deletions).to_contain_text("local")
    key = httpx.get(f"{anchored.url}/api/log/key").text.strip()
    expect(page.locator("#verifier-key")).to_have_text(key)
    assert violations(page) == []


def test_a_call_is_verified_without_a_script(anchored: Ledger, open_page: Open) -> None:
    [call, *_] = anchored.calls("kept", count=3)
    page = open_page(
        f"{anchored.url}/dashboard/calls/{call['action_id']}/", java_script_enabled=False
    )
    page.get_by_role("link", name="Verify", exact=True).click()
    expect(page.locator("#evidence")).to_contain_text("✓ 1 of 1 call verified, checkpoint of")


def test_a_session_says_how_many_of_its_calls_are_verified(
    anchored: Ledger, open_page: Open
) -> None:
    page = open_page(f"{anchored.url}/dashboard/sessions/kept/")
    expect(page.locator("#evidence")).to_contain_text("✓ 3 of 3 calls verified, checkpoint of")
    assert violations(page) == []


def test_a_difference_turns_readiness_and_all_pages_red(anchored: Ledger, open_page: Open) -> None:
    [call, *_] = anchored.calls("kept", count=3)
    key = call["action_id"].replace("-", "")
    evidence.execute(anchored, f"UPDATE capture_call SET latency_ms = 1 WHERE action_id = '{key}'")
    page = open_page(f"{anchored.url}/dashboard/calls/{call['action_id']}/?verify=true")
    expect(page.locator("#evidence")).to_contain_text("✕ 0 of 1 call verified")
    assert anchored.command("verify_ledger").returncode == 1

    def reasons() -> list[str]:
        found: list[str] = anchored.get("/readyz").json()["reasons"]
        return [one for one in found if "not intact" in one]

    assert call["action_id"] in wait_until(reasons)[0]
    page.goto(f"{anchored.url}/")
    page.get_by_role("link", name="Not intact").click()
    expect(page.get_by_role("alert")).to_contain_text("The ledger is not intact. 1 difference")
    assert violations(page) == []
