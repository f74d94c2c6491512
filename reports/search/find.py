"""Finds calls, newest first. Calls that the index has not reached are searched in the ledger
itself, the others through the index."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from django.db.models import Q, Sum

from capture.models import Call, Ledger, Session, SessionValue
from reports.search.candidates import CandidateRange
from reports.search.documents import Document, build_documents, select_searched
from reports.search.folding import fold
from reports.search.index import index
from reports.search.query import Query
from reports.search.sink import NAME
from reports.sinks import cursor

TIME_LIMIT_S = 1.0
# A filter that leaves at most this many calls is applied before the words.
FEW = 5000
FEW_SESSIONS = 500
FIRST_BATCH = 50
MAX_BATCH = 400

# The columns of a call that are read for a hit.
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


def find_hits(criteria: SearchCriteria, *, limit: int, before: int | None = None) -> HitPage:
    """Returns the newest `limit` calls below the seq `before` that match."""
    search = _Search(criteria)
    hits: list[Hit] = []
    for hit in search.hits(before):
        hits.append(hit)
        if len(hits) > limit:
            return HitPage(hits[:limit], True, hits[limit - 1].call.seq)
    complete = search.searched_to <= 1
    return HitPage(hits[:limit], complete, None if complete else search.searched_to)


def count_hits(criteria: SearchCriteria, *, limit: int) -> tuple[int, bool]:
    """Returns how many calls match, up to `limit`, and whether these are all."""
    search = _Search(criteria)
    n = sum(1 for _ in islice(search.hits(), limit))
    return n, search.searched_to <= 1


class _Search:
    def __init__(self, criteria: SearchCriteria) -> None:
        self.criteria = criteria
        self.calls = Call.objects.not_deleted().filter(criteria.where).order_by("-seq")
        self.is_filtered = bool(criteria.where)
        self.deadline = time.monotonic() + TIME_LIMIT_S
        self.searched_to = 0  # all calls from this seq on have been searched

    def hits(self, before: int | None = None) -> Iterator[Hit]:
        top = (Ledger.objects.values_list("last_seq", flat=True).first() or 0) + 1
        self.searched_to = before = min(before or top, top)
        reached = cursor.position(NAME)
        if before > reached + 1:
            yield from self._in_ledger(reached, before)
            if self._is_over():
                return
            before = reached + 1
        if before <= 1:
            return
        few = self._few(before) if self.criteria.is_narrow else None
        if few is None and self.criteria.names:
            few = self._few_by_sessions(before, self.criteria.names)
        if few is not None:
            candidates: Iterable[CandidateRange] = [CandidateRange(1, few)]
        else:
            candidates = index().candidates(self.criteria.query, before, self.deadline)
        for lowest, seqs in candidates:
            yield from self._among(seqs)
            if self._is_over():
                return
            self.searched_to = lowest

    def _is_over(self) -> bool:
        return time.monotonic() > self.deadline

    def _in_ledger(self, reached: int, before: int) -> Iterator[Hit]:
        while before > reached + 1:
            lowest = max(reached + 1, before - FIRST_BATCH)
            calls = self.calls.filter(seq__gte=lowest, seq__lt=before)
            yield from self._matching(build_documents(list(select_searched(calls))))
            self.searched_to = before = lowest
            if self._is_over():
                return

    def _few(self, before: int) -> list[int] | None:
        """Returns the seqs of the calls that the filters leave; None: more than `FEW`."""
        seqs = self.calls.filter(seq__lt=before).values_list("seq", flat=True).order_by()
        found = list(seqs[: FEW + 1])
        return sorted(found, reverse=True) if len(found) <= FEW else None

    def _few_by_sessions(self, before: int, names: Mapping[str, str]) -> list[int] | None:
        """Returns the seqs of the calls of a rare name, by the sessions that have it; None: too
        many."""
        by_name = (_sessions_of(*name) for name in names.items())
        sessions = next((ids for ids in by_name if ids is not None), None)
        without = Call.objects.filter(session=None).values("pk")
        if sessions is None or without[: FEW + 1].count() > FEW:
            return None
        calls = self.calls.filter(seq__lt=before).order_by().values_list("seq", flat=True)
        # Two statements: for an OR, PostgreSQL would read all calls.
        found = [*calls.filter(session__in=sessions), *calls.filter(session=None)]
        return sorted(found, reverse=True)

    def _among(self, seqs: Sequence[int]) -> Iterator[Hit]:
        start, size = 0, FIRST_BATCH
        while start < len(seqs):
            batch = seqs[start : start + size]
            left = self._apply_filters(batch) if self.is_filtered else batch
            found = index().documents(left) if left else {}
            yield from self._matching(found[seq] for seq in sorted(found, reverse=True))
            self.searched_to = batch[-1]
            if self._is_over():
                return
            start += size
            size = min(2 * size, MAX_BATCH)

    def _apply_filters(self, seqs: Sequence[int]) -> list[int]:
        return list(self.calls.filter(seq__in=seqs).values_list("seq", flat=True))

    def _matching(self, documents: Iterable[Document]) -> Iterator[Hit]:
        fields, query = self.criteria.fields, self.criteria.query
        if fields:
            documents = (one.restrict(fields) for one in documents)
        found = {one.seq: one for one in documents if query.matches(fold(one.joined))}
        if found:
            # A call that was deleted from the ledger is no hit.
            calls = self.calls.filter(seq__in=list(found)).select_related("session")
            for call in calls.only(*SHORT_FORM, "seq", "session__session_id"):
                yield Hit(call, found[call.seq])


def _sessions_of(name: str, value: str) -> list[int] | None:
    """Returns the ids of the sessions with this value; None: they are many, or have many calls."""
    same = SessionValue.objects.filter(name=name, value=value)
    found = list(same.values_list("session_id", flat=True)[: FEW_SESSIONS + 1])
    if len(found) > FEW_SESSIONS:
        return None
    n_calls = Session.objects.filter(pk__in=found).aggregate(n=Sum("call_count"))["n"] or 0
    return found if n_calls <= FEW else None
