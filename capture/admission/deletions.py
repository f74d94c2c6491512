"""Keeps `capture.deletion_count` up to date with deletions by other processes."""

from __future__ import annotations

from capture.admission.ledger_cache import LedgerCache
from capture.deletion_count import deletion_count
from capture.models import Ledger


class Deletions(LedgerCache[int]):
    def query(self) -> int:
        return Ledger.objects.values_list("n_deletions", flat=True).first() or 0

    def apply(self, value: int) -> None:
        deletion_count.known = value
