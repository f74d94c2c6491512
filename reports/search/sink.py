"""The search index as a sink of the ledger."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db import transaction

from capture.models import Call, TakenOver, Tombstone
from capture.operations.deletion import has_unpurged
from reports.search.documents import Document, documents, with_all_said
from reports.search.index import index
from reports.sinks import cursor
from reports.sinks.sink import Step

NAME = "search"
CALLS_AT_ONCE = 100
# Characters. To write as many into FTS5 takes a few ms, and 25 where it writes a segment.
STEP = 30_000
LOOK_AT_ONCE = 20_000


class SearchIndex:
    name = NAME
    in_transaction = True

    def __init__(self) -> None:
        self.index = index()
        self._ready: list[tuple[int, list[Any]]] = []  # by seq: pieces of calls that were read
        self._looked_to = 0
        # When the newest call was deleted that the last look through all calls has met.
        self._clean_since: datetime | None = None
        self._looking_since: datetime | None = None

    def prepare(self) -> str | None:
        self._ready = []
        return self.index.prepare()

    def gather(self, after: int) -> Step | None:
        self.index.merge()
        self._ready = [entry for entry in self._ready if entry[0] > after] or self._read(after)
        step: list[Any] = []
        size = 0
        for seq, pieces in self._ready:
            if len(pieces) > 1:
                if step:
                    break
                # Of a long text one piece; the call counts as taken with the last.
                missing = self.index.missing(pieces)
                return Step(seq if len(missing) == 1 else after, missing[:1])
            size += len(pieces[0].folded)
            if step and size > STEP:
                break
            step += pieces
            after = seq
        return Step(after, step) if step else None

    def _read(self, after: int) -> list[tuple[int, list[Any]]]:
        calls = with_all_said(Call.objects.filter(seq__gt=after)).order_by("seq")[:CALLS_AT_ONCE]
        return [(one.seq, self.index.pieces(one)) for one in documents(list(calls))]

    def take(self, work: list[Any]) -> None:
        self.index.add(work)

    def rest(self) -> None:
        self._index_taken_over()
        self._forget_deleted()

    def _index_taken_over(self) -> None:
        """Anew, with the messages that passed to them: some each time."""
        passed = TakenOver.objects.filter(call_seq__lte=cursor.position(NAME)).order_by("id")
        # Read before the calls are: what passes to them meanwhile leaves rows of its own.
        found = list(passed[:CALLS_AT_ONCE])
        calls = Call.objects.filter(seq__in={one.call_seq for one in found})
        for document in documents(list(with_all_said(calls))):
            self._index_again(document)
        TakenOver.objects.filter(pk__in=[one.pk for one in found]).delete()

    def _index_again(self, document: Document) -> None:
        pieces = self.index.pieces(document)
        with transaction.atomic():
            self.index.forget([document.seq])
            first, *more = self.index.missing(pieces)
            self.index.add([first])
        for piece in more:
            with transaction.atomic():
                self.index.add([piece])

    def _forget_deleted(self) -> None:
        """What the ledger has no more, once something was deleted: some of all calls each time."""
        if self._looked_to == 0:
            newest = Tombstone.objects.order_by("-deleted_at").first()
            self._looking_since = newest.deleted_at if newest else None
            if has_unpurged():
                self._looking_since = None
            elif self._looking_since == self._clean_since:
                return
        first, last = self._looked_to + 1, self._looked_to + LOOK_AT_ONCE
        held = self.index.seqs(first, last)
        there = Call.objects.filter(seq__gte=first, seq__lte=last).values_list("seq", flat=True)
        forget(held.difference(there))
        self._looked_to = last if last < cursor.position(NAME) else 0
        if self._looked_to == 0:
            self._clean_since = self._looking_since


def forget(seqs: Collection[int]) -> None:
    """Take calls out of the index. What the ledger does not have is no hit, forgotten or not."""
    found = sorted(seqs)
    for start in range(0, len(found), CALLS_AT_ONCE):
        index().forget(found[start : start + CALLS_AT_ONCE])
