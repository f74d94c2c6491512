"""A log that its owner has rewritten and signed again is told by an anchor alone."""

from __future__ import annotations

from pathlib import Path

from tests.reports.verification.test_verify_ledger import run, verify
from tests.support import evidence
from tests.support.ledger import Ledger


def test_rewritten_log_is_found_by_what_an_anchor_holds(fresh: Ledger, tmp_path: Path) -> None:
    held = tmp_path / "held"
    fresh.env["AGENTLEDGER_ANCHORS"] = str(held)
    with fresh as ledger:
        for number in range(3):
            ledger.post("s", content=f"number {number}")
        ledger.calls("s", count=3)
        evidence.anchored(ledger, evidence.sign(ledger).size)
        intact = verify(ledger)
        assert intact["ok"]
        assert [one["n_checkpoints"] > 0 for one in intact["anchors"]] == [True]
    run(fresh, "rewrite()")
    found = verify(fresh)
    assert {one["damage"] for one in found["findings"]} == {"rewritten"}
    assert all("held" in one["what"] for one in found["findings"])
    held.rename(tmp_path / "gone")
    unaware = verify(fresh)
    assert unaware["ok"]
    [anchor] = unaware["anchors"]
    assert "No such file" in anchor["failure"]
