"""Finds calls, newest first: those that the index has not reached in the ledger itself, the others
through the index."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from django.db.models import Q, QuerySet

from capture.models import Call, Ledger
from reports.search.documents import Document, documents, with_all_said
from reports.search.folding import fold
from reports.search.index import Range, index
from reports.search.query import Query
from reports.search.sink import NAME
from reports.sinks import cursor

BOUND_S = 1.0
# A filter that leaves no more calls than this is asked before the words are.
FEW = 5000
UNPACK_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Hit:
    call: Call
    document: Document


@dataclass(frozen=True, slots=True)
class Page:
    hits: list[Hit]
    complete: bool  # False: the time was up; what is older was not looked at
    next: int | None  # `before` of the next page; None: there is none


def find(
    query: Query, where: Q, *, narrow: bool = False, limit: int, before: int | None = None
) -> Page:
    """The newest `limit` calls below the seq `before` that match. `narrow`: `where` is answered by
    an index and may leave few calls."""
    deadline = time.monotonic() + BOUND_S
    calls = Call.objects.filter(where)
    top = (Ledger.objects.values_list("last_seq", flat=True).first() or 0) + 1
    search = _Search(query, calls, deadline)
    hits: list[Hit] = []
    for hit in search.hits(min(before or top, top), narrow=narrow):
        hits.append(hit)
        if len(hits) > limit:
            return Page(hits[:limit], True, hits[limit - 1].call.seq)
    complete = search.looked_to <= 1
    return Page(hits[:limit], complete, None if complete else search.looked_to)


class _Search:
    def __init__(self, query: Query, calls: QuerySet[Call], deadline: float) -> None:
        self.query = query
        self.calls = calls.select_related("session").order_by("-seq")
        self.deadline = deadline
        self.looked_to = 0  # all calls from here on have been looked at

    def hits(self, before: int, *, narrow: bool) -> Iterator[Hit]:
        self.looked_to = before
        reached = cursor.position(NAME)
        if before > reached + 1:
            yield from self._in_ledger(reached, before)
            if self._is_late():
                return
            before = reached + 1
        if before <= 1:
            return
        few = self._few(before) if narrow else None
        if few is not None:
            candidates: Iterable[Range] = [Range(1, few)]
        else:
            candidates = index().candidates(self.query, before, self.deadline)
        for lowest, seqs in candidates:
            yield from self._among(seqs)
            if self._is_late():
                return
            self.looked_to = lowest

    def _is_late(self) -> bool:
        return time.monotonic() > self.deadline

    def _in_ledger(self, reached: int, before: int) -> Iterator[Hit]:
        for start in range(before, reached + 1, -UNPACK_AT_ONCE):
            lowest = max(reached + 1, start - UNPACK_AT_ONCE)
            some = list(
                with_all_said(self.calls.filter(seq__gte=lowest, seq__lt=start)).order_by("-seq")
            )
            yield from self._matching(some, {d.seq: d for d in documents(some)})
            self.looked_to = lowest
            if self._is_late():
                return

    def _few(self, before: int) -> list[int] | None:
        seqs = self.calls.filter(seq__lt=before).values_list("seq", flat=True).order_by()
        found = list(seqs[: FEW + 1])
        return sorted(found, reverse=True) if len(found) <= FEW else None

    def _among(self, seqs: Sequence[int]) -> Iterator[Hit]:
        for start in range(0, len(seqs), UNPACK_AT_ONCE):
            some = seqs[start : start + UNPACK_AT_ONCE]
            calls = list(self.calls.filter(seq__in=some))
            texts = index().documents([call.seq for call in calls]) if calls else {}
            yield from self._matching(calls, texts)
            self.looked_to = some[-1]
            if self._is_late():
                return

    def _matching(self, calls: list[Call], texts: dict[int, Document]) -> Iterator[Hit]:
        for call in calls:
            document = texts.get(call.seq)
            if document is not None and self.query.matches(fold(document.joined)):
                yield Hit(call, document)
