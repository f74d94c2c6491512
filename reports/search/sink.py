"""The search index as a sink of the ledger."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Coalesce, Length

from capture.models import Call, TakenOver, Tombstone
from capture.operations.deletion import has_unpurged
from reports.search.documents import Document, build_documents, select_searched
from reports.search.index import index
from reports.sinks import cursor
from reports.sinks.sink import Step

NAME = "search"
CALLS_AT_ONCE = 100
# Calls are read together as long as they are short.
BYTES_AT_ONCE = 16 * 1024 * 1024
# Writing this many characters into FTS5 takes a few ms, and 25 ms where it writes a segment.
STEP_CHARACTERS = 30_000
CHECKED_AT_ONCE = 20_000


class SearchIndex:
    name = NAME
    in_transaction = True

    def __init__(self) -> None:
        self.index = index()
        self._ready: list[
            tuple[int, list[Any]]
        ] = []  # seqs of calls that were read, and their rows
        self._checked_to = 0
        # The time of the newest deletion that the last check of all calls has seen.
        self._clean_since: datetime | None = None
        self._checking_since: datetime | None = None

    def prepare(self) -> str | None:
        self._ready = []
        return self.index.prepare()

    def gather(self, after: int) -> Step | None:
        self.index.merge()
        self._ready = [entry for entry in self._ready if entry[0] > after] or self._read(after)
        step: list[Any] = []
        size = 0
        for seq, rows in self._ready:
            if len(rows) > 1:
                if step:
                    break
                # One row of a long text: the call counts as taken with the last.
                missing = self.index.missing(rows)
                return Step(seq if len(missing) == 1 else after, missing[:1])
            size += len(rows[0].folded)
            if step and size > STEP_CHARACTERS:
                break
            step += rows
            after = seq
        return Step(after, step) if step else None

    def _read(self, after: int) -> list[tuple[int, list[Any]]]:
        calls = Call.objects.filter(seq__gt=after, seq__lte=_last_short(after))
        documents = build_documents(list(select_searched(calls).order_by("seq")))
        ready = []
        size = 0
        for one in documents:
            ready.append((one.seq, self.index.rows(one)))
            size += len(one.joined)
            if size > BYTES_AT_ONCE:
                break
        return ready

    def take(self, work: list[Any]) -> None:
        self.index.add(work)

    def rest(self) -> bool:
        has_more = self._index_taken_over()
        return self._forget_deleted() or has_more

    def _index_taken_over(self) -> bool:
        """Indexes calls again that took over the messages of deleted calls, a few at a time.
        Returns whether there were any: there may be more."""
        passed = TakenOver.objects.filter(call_seq__lte=cursor.position(NAME)).order_by("id")
        # Read before the calls: messages that pass to them meanwhile leave rows of their own.
        found = list(passed[:CALLS_AT_ONCE])
        calls = Call.objects.filter(seq__in={one.call_seq for one in found})
        for document in build_documents(list(select_searched(calls))):
            self._index_again(document)
        TakenOver.objects.filter(pk__in=[one.pk for one in found]).delete()
        return bool(found)

    def _index_again(self, document: Document) -> None:
        rows = self.index.rows(document)
        with transaction.atomic():
            self.index.forget([document.seq])
            first, *more = self.index.missing(rows)
            self.index.add([first])
        for row in more:
            with transaction.atomic():
                self.index.add([row])

    def _forget_deleted(self) -> bool:
        """Removes calls that are no longer in the ledger. After a deletion it checks all calls, a
        few at a time. Returns whether there are more to check."""
        if self._checked_to == 0:
            newest = Tombstone.objects.order_by("-deleted_at").first()
            self._checking_since = newest.deleted_at if newest else None
            if has_unpurged():
                self._checking_since = None
            elif self._checking_since == self._clean_since:
                return False
        first, last = self._checked_to + 1, self._checked_to + CHECKED_AT_ONCE
        held = self.index.seqs(first, last)
        existing = Call.objects.filter(seq__gte=first, seq__lte=last).values_list("seq", flat=True)
        forget(held.difference(existing))
        self._checked_to = last if last < cursor.position(NAME) else 0
        if self._checked_to:
            return True
        self._clean_since = self._checking_since
        return False


def _last_short(after: int) -> int:
    """Returns the seq up to which calls can be in memory at once."""
    calls = Call.objects.filter(seq__gt=after).order_by("seq")
    size = Coalesce("request_bytes", 0) + F("response_bytes")
    sizes = calls.values_list("seq", size, Length("body__content"))
    last = after
    total = 0
    for seq, n_bytes, n_characters in sizes[:CALLS_AT_ONCE]:
        total += n_bytes + 4 * (n_characters or 0)
        if last > after and total > BYTES_AT_ONCE:
            break
        last = seq
    return last


def forget(seqs: Collection[int]) -> None:
    """Removes calls from the index. A call that is not in the ledger is no hit in any case."""
    found = sorted(seqs)
    for start in range(0, len(found), CALLS_AT_ONCE):
        index().forget(found[start : start + CALLS_AT_ONCE])
