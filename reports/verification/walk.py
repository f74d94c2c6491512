"""Walks the log from its beginning to the size that it has at the start, a page at a time, so that
it can go on later and the recorder is not held up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from capture.evidence.tree import TILE_WIDTH
from capture.ledger.log.read import log_size, read_tile
from reports.verification.bodies import StoredParts
from reports.verification.ends import count_unlogged, verify_ends
from reports.verification.findings import Damage, Finding, Findings
from reports.verification.page import verify_page
from reports.verification.signed import verify_anchors, verify_checkpoints


@dataclass(slots=True)
class Walk:
    """A verification under way, with what it needs to go on."""

    size: int  # of the log, when it began
    position: int = 0  # all entries before are verified
    last_audit_id: int | None = 0
    n_calls: int = 0
    n_deleted: int = 0
    n_replaced: int = 0
    n_entries: int = 0
    n_not_kept: int = 0
    n_unlogged: int = 0
    is_finished: bool = False
    findings: Findings = field(default_factory=Findings)
    anchors: list[Any] = field(default_factory=list)

    @classmethod
    def begin(cls, since: int = 0) -> Walk:
        """`since` is a size of the log, of which a checkpoint is trusted."""
        start = since // TILE_WIDTH * TILE_WIDTH
        return cls(log_size(), start, last_audit_id=0 if start == 0 else None)

    @classmethod
    def load(cls, state: dict[str, Any]) -> Walk:
        found = state["findings"]
        told = [
            Finding(Damage(one["damage"]), one["what"], one["index"], one["action_id"])
            for one in found["told"]
        ]
        return cls(**{**state, "findings": Findings(told, found["n"])})

    def state(self) -> dict[str, Any]:
        """Returns it as JSON."""
        told = [one.json() for one in self.findings.told]
        return {**asdict(self), "findings": {"told": told, "n": self.findings.n}}

    @property
    def is_intact(self) -> bool:
        return self.findings.n == 0

    def step(self, parts: StoredParts) -> None:
        """Verifies a page, or what comes after the last one."""
        if self.position >= self.size:
            self._finish()
            return
        start = self.position
        end = min(start + TILE_WIDTH, self.size)
        page = verify_page(start, end, last_audit_id=self.last_audit_id, parts=parts)
        for name in ("n_calls", "n_deleted", "n_replaced", "n_entries", "n_not_kept"):
            setattr(self, name, getattr(self, name) + getattr(page, name))
        self.last_audit_id = page.last_audit_id
        self.findings.add(*page.findings, *verify_checkpoints(start, end, read_tile))
        self.position = end

    def _finish(self) -> None:
        self.findings.add(*verify_ends())
        found, self.anchors = verify_anchors(log_size(), read_tile)
        self.findings.add(*found)
        self.n_unlogged = count_unlogged()
        self.is_finished = True


def verify_ledger(since: int = 0, progress: Callable[[int], None] = lambda _: None) -> Walk:
    walk, parts = Walk.begin(since), StoredParts()
    while not walk.is_finished:
        walk.step(parts)
        progress(walk.position)
    return walk
