"""Finds calls, newest first: those that the index has not reached in the ledger itself, the others
through the index."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from django.db.models import Q, Sum

from capture.models import Call, Ledger, Session, SessionValue
from reports.search.candidates import CandidateRange
from reports.search.documents import Document, documents, with_all_said
from reports.search.folding import fold
from reports.search.index import index
from reports.search.query import Query
from reports.search.sink import NAME
from reports.sinks import cursor

BOUND_S = 1.0
# A filter that leaves no more calls than this is asked before the words are.
FEW = 5000
FEW_SESSIONS = 500
READ_AT_ONCE = 50
MOST_AT_ONCE = 400

# What is read of a hit: a search hit's short form.
SHORT_FORM = "action_id timestamp agent_name model_id status_code cost_usd".split()


@dataclass(frozen=True, slots=True)
class Hit:
    call: Call
    document: Document


@dataclass(frozen=True, slots=True)
class HitPage:
    hits: list[Hit]
    complete: bool  # False: the time was up, and older calls were not searched
    next: int | None  # `before` of the next page; None: there is none


@dataclass(frozen=True, slots=True)
class SearchCriteria:
    query: Query
    where: Q = Q()
    is_narrow: bool = False  # an index of the database serves `where`, which may leave few calls
    # The names in `where` by which sessions are found.
    names: Mapping[str, str] = field(default_factory=dict)
    fields: Collection[str] = ()  # the fields that must contain the words; empty: any


def find(criteria: SearchCriteria, *, limit: int, before: int | None = None) -> HitPage:
    """The newest `limit` calls below the seq `before` that match."""
    search = _Search(criteria)
    hits: list[Hit] = []
    for hit in search.hits(before):
        hits.append(hit)
        if len(hits) > limit:
            return HitPage(hits[:limit], True, hits[limit - 1].call.seq)
    complete = search.looked_to <= 1
    return HitPage(hits[:limit], complete, None if complete else search.looked_to)


def count(criteria: SearchCriteria, *, most: int) -> tuple[int, bool]:
    """How many match, at most `most`, and whether these are all."""
    search = _Search(criteria)
    n = sum(1 for _ in islice(search.hits(), most))
    return n, search.looked_to <= 1


class _Search:
    def __init__(self, criteria: SearchCriteria) -> None:
        self.criteria = criteria
        self.calls = Call.objects.not_deleted().filter(criteria.where).order_by("-seq")
        self.is_filtered = bool(criteria.where)
        self.deadline = time.monotonic() + BOUND_S
        self.looked_to = 0  # all calls from here on have been looked at

    def hits(self, before: int | None = None) -> Iterator[Hit]:
        top = (Ledger.objects.values_list("last_seq", flat=True).first() or 0) + 1
        self.looked_to = before = min(before or top, top)
        reached = cursor.position(NAME)
        if before > reached + 1:
            yield from self._in_ledger(reached, before)
            if self._is_late():
                return
            before = reached + 1
        if before <= 1:
            return
        few = self._few(before) if self.criteria.is_narrow else None
        if few is None and self.criteria.names:
            few = self._few_of_sessions(before, self.criteria.names)
        if few is not None:
            candidates: Iterable[CandidateRange] = [CandidateRange(1, few)]
        else:
            candidates = index().candidates(self.criteria.query, before, self.deadline)
        for lowest, seqs in candidates:
            yield from self._among(seqs)
            if self._is_late():
                return
            self.looked_to = lowest

    def _is_late(self) -> bool:
        return time.monotonic() > self.deadline

    def _in_ledger(self, reached: int, before: int) -> Iterator[Hit]:
        while before > reached + 1:
            lowest = max(reached + 1, before - READ_AT_ONCE)
            some = self.calls.filter(seq__gte=lowest, seq__lt=before)
            yield from self._matching(documents(list(with_all_said(some))))
            self.looked_to = before = lowest
            if self._is_late():
                return

    def _few(self, before: int) -> list[int] | None:
        seqs = self.calls.filter(seq__lt=before).values_list("seq", flat=True).order_by()
        found = list(seqs[: FEW + 1])
        return sorted(found, reverse=True) if len(found) <= FEW else None

    def _few_of_sessions(self, before: int, names: Mapping[str, str]) -> list[int] | None:
        """Of a rare user, or of none: by the sessions that have the name."""
        known = (_sessions_of(*name) for name in names.items())
        sessions = next((some for some in known if some is not None), None)
        without = Call.objects.filter(session=None).values("pk")
        if sessions is None or without[: FEW + 1].count() > FEW:
            return None
        calls = self.calls.filter(seq__lt=before).order_by().values_list("seq", flat=True)
        # Two statements: of either or the other, PostgreSQL would read all calls.
        found = [*calls.filter(session__in=sessions), *calls.filter(session=None)]
        return sorted(found, reverse=True)

    def _among(self, seqs: Sequence[int]) -> Iterator[Hit]:
        start, at_once = 0, READ_AT_ONCE
        while start < len(seqs):
            some = seqs[start : start + at_once]
            wanted = self._left_by_filters(some) if self.is_filtered else some
            found = index().documents(wanted) if wanted else {}
            yield from self._matching(found[seq] for seq in sorted(found, reverse=True))
            self.looked_to = some[-1]
            if self._is_late():
                return
            start += at_once
            at_once = min(2 * at_once, MOST_AT_ONCE)

    def _left_by_filters(self, seqs: Sequence[int]) -> list[int]:
        return list(self.calls.filter(seq__in=seqs).values_list("seq", flat=True))

    def _matching(self, read: Iterable[Document]) -> Iterator[Hit]:
        fields, query = self.criteria.fields, self.criteria.query
        if fields:
            read = (one.within(fields) for one in read)
        found = {one.seq: one for one in read if query.matches(fold(one.joined))}
        if found:
            # What the ledger has no more is no hit.
            calls = self.calls.filter(seq__in=list(found)).select_related("session")
            for call in calls.only(*SHORT_FORM, "seq", "session__session_id"):
                yield Hit(call, found[call.seq])


def _sessions_of(name: str, value: str) -> list[int] | None:
    """None: they are many, or have many calls."""
    same = SessionValue.objects.filter(name=name, value=value)
    found = list(same.values_list("session_id", flat=True)[: FEW_SESSIONS + 1])
    if len(found) > FEW_SESSIONS:
        return None
    n_calls = Session.objects.filter(pk__in=found).aggregate(n=Sum("call_count"))["n"] or 0
    return found if n_calls <= FEW else None
