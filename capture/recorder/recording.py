"""Records calls: many at once or, if this process may not survive what they hold, one at a time in
a process apart. A call that cannot be understood is set aside, and recorded as its raw facts."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from enum import Enum
from functools import partial
from itertools import groupby, takewhile
from typing import NamedTuple

from django.conf import settings

from capture.exchange import Exchange, Outcome
from capture.ledger import store
from capture.ledger.entry import Entry
from capture.ledger.identity import LedgerReplaced
from capture.ledger.store import LedgerMemory
from capture.recorder import apart
from capture.recorder.apart import Ending, describe
from capture.recorder.attempts import MAX_FAILURES, Attempts
from capture.recorder.entry_maker import EntryMaker, size_in_memory
from capture.recorder.unavailable_database import (
    DatabaseRetry,
    StoppedWaiting,
    is_caused_by_call,
)
from capture.spool import interrupted
from capture.spool.reader import Reader
from capture.spool.spooled_call import LARGE, SpooledCall

logger = logging.getLogger("agentledger.recorder")

MAX_HELD = 32 * 1024 * 1024
# No batch of calls below it takes as long; what does would hold the recorder for ever.
BATCH_CPU_S = 60.0


class Form(Enum):
    FULL = "full"
    FACTS = "facts"  # without what only its bodies say
    BARE = "bare"  # without what its heads say, too


class Recordable(NamedTuple):
    call: SpooledCall
    entry: Entry
    form: Form


class Recording:
    """`is_stopping` returns whether this process was asked to end."""

    def __init__(
        self,
        reader: Reader,
        maker: EntryMaker,
        attempts: Attempts,
        database: DatabaseRetry,
        memory: LedgerMemory,
        is_stopping: Callable[[], bool],
    ) -> None:
        self._reader = reader
        self._maker = maker
        self._attempts = attempts
        self._database = database
        self._memory = memory
        self._is_stopping = is_stopping

    def record(self, calls: Sequence[SpooledCall]) -> None:
        """Records calls in the order in which they ended, and then how far the spool was read.
        Raises StoppedWaiting, and OSError if the disk fails."""
        positions = self._reader.positions()
        self._maker.begin_batch()
        are_saved = False
        groups = [(is_apart, list(some)) for is_apart, some in groupby(calls, self._goes_apart)]
        for number, (is_apart, some) in enumerate(groups, start=1):
            of_all = positions if number == len(groups) else {}
            if is_apart or not self._record_here(some, of_all):
                self._record_apart(some)
            else:
                are_saved = number == len(groups)
        if not are_saved:
            self._database.run(lambda: store.record([], positions, self._memory))

    def _goes_apart(self, call: SpooledCall) -> bool:
        return call.size >= LARGE or call.action_id in self._attempts.suspects

    # --- many at once ---

    def _record_here(self, calls: Sequence[SpooledCall], positions: Mapping[str, int]) -> bool:
        """Returns false if they need more memory together than there is."""
        self._attempts.begin([call.action_id for call in calls], is_alone=False)
        try:
            with _bounded_cpu():
                for made, is_last in self._make_groups(calls):
                    self._keep_charges(made)
                    self._database.run(partial(self._store, made, positions if is_last else {}))
        except (MemoryError, OSError) as error:
            if not apart.is_memory_error(error):
                raise
            logger.warning("memory is short: %d calls are tried apart", len(calls))
            return False
        return True

    def _make_groups(self, calls: Sequence[SpooledCall]) -> Iterator[tuple[list[Recordable], bool]]:
        """Yields entries in groups that memory can hold, and whether a group is the last one: what
        is small in the spool may be far larger when it is decoded."""
        made: list[Recordable] = []
        size = 0
        for call in calls:
            made.append(self._make_or_set_aside(call))
            size += size_in_memory(made[-1].entry)
            if size > MAX_HELD:
                yield made, False
                made, size = [], 0
        yield made, True

    def _make_or_set_aside(self, call: SpooledCall) -> Recordable:
        try:
            return self._make(call)
        except (MemoryError, OSError):  # not for what the call says
            raise
        except Exception as error:  # whatever a call holds, the others go on
            logger.error("call %s cannot be understood", call.action_id, exc_info=error)
            return self._set_aside(call, describe(error))

    def _make(self, call: SpooledCall) -> Recordable:
        """Raises whatever parsing raises."""
        exchange = self._reader.load(call, max_body=self._maker.limits.max_decoded)
        return _recordable(call, self._maker.make(exchange, call.size), Form.FULL)

    def _set_aside(self, call: SpooledCall, reason: str) -> Recordable:
        """Sets the call aside. Returns its raw facts. Raises OSError."""
        self._reader.set_aside(call, reason)
        logger.error("call %s was set aside: %s", call.action_id, reason)
        try:
            entry = self._maker.make_raw(self._reader.load(call, max_body=0), _note(call, reason))
        except Exception as error:  # what its heads say is odd, too: it is still a call
            logger.error("call %s: its heads cannot be recorded", call.action_id, exc_info=error)
            return self._strip(call, reason)
        return _recordable(call, entry, Form.FACTS)

    def _strip(self, call: SpooledCall, reason: str) -> Recordable:
        """Returns what no call is without: its id, and so its time."""
        nothing = Exchange(call.action_id, is_damaged=True)
        entry = self._maker.make_raw(nothing, _note(call, reason))
        return _recordable(call, entry, Form.BARE)

    def _keep_charges(self, made: Iterable[Recordable]) -> None:
        """Leaves what interrupted calls cost for the next proxy: Redis holds their reservations."""
        if settings.AGENTLEDGER.redis_url is not None:
            interrupted.append(
                self._reader.folder,
                [
                    (entry.call.action_id, entry.charge_usd or Decimal(0))
                    for _, entry, _ in made
                    if _is_reserved(entry) and not entry.is_requeued
                ],
            )

    def _store(self, made: Sequence[Recordable], positions: Mapping[str, int]) -> None:
        """Stores entries. Of one that the database refuses, less is stored."""
        try:
            store.record(
                [entry for _, entry, _ in made],
                positions,
                self._memory,
                keep_binaries=settings.AGENTLEDGER.capture_binary,
            )
        except MemoryError:
            raise
        except Exception as error:  # drivers raise many classes for a value that they cannot send
            if not made or not is_caused_by_call(error):
                raise
            store.check_writable()
            if len(made) == 1:
                self._store(self._reduce(made[0], error), positions)
            else:
                middle = len(made) // 2
                # Positions only with the second half: they speak for the whole batch.
                self._store(made[:middle], {})
                self._store(made[middle:], positions)

    def _reduce(self, one: Recordable, error: Exception) -> list[Recordable]:
        """Returns what may be stored of a call that the database refuses; at last nothing, since
        all of it is set aside."""
        if one.form is Form.FULL:
            return [self._set_aside(one.call, describe(error))]
        if one.form is Form.FACTS:
            return [self._strip(one.call, describe(error))]
        logger.error("call %s is in quarantine only", one.call.action_id, exc_info=error)
        return []

    # --- one at a time, apart ---

    def _record_apart(self, calls: Sequence[SpooledCall]) -> None:
        reason = "the recorder died while it recorded this call alone"
        self._attempts.suspects |= {call.action_id for call in calls}
        rest = list(calls)
        while rest:
            if self._attempts.has_failed(rest[0].action_id):
                self._record_facts(rest[0], reason)
                self._attempts.forget(rest.pop(0).action_id)
                continue
            some = list(takewhile(lambda one: not self._attempts.has_failed(one.action_id), rest))
            ending = apart.run_apart(partial(self._record_each, some))
            n_done = len(some) if ending.kind == "done" else self._n_before_last(some)
            for call in rest[:n_done]:
                self._attempts.forget(call.action_id)
            rest = rest[n_done:]
            if ending.kind != "done":
                reason = ending.reason
                self._react(ending, rest[0])

    def _record_each(self, calls: Sequence[SpooledCall]) -> None:
        """Records the calls in the process apart."""
        for call in calls:
            self._attempts.begin([call.action_id], is_alone=True)
            apart.limit_this_process(max(call.size, self._maker.limits.max_decoded))
            made = [self._make(call)]
            self._keep_charges(made)
            self._store(made, {})

    def _n_before_last(self, calls: Sequence[SpooledCall]) -> int:
        """Returns how many of these the process apart had recorded."""
        ids = [call.action_id for call in calls]
        last = self._attempts.under_way()
        return ids.index(last) if last in ids else 0

    def _react(self, ending: Ending, call: SpooledCall) -> None:
        """Does what the end of the process apart asks for, before the call is tried again."""
        if self._is_stopping():
            raise StoppedWaiting
        logger.warning("call %s was not recorded: %s", call.action_id, ending.reason)
        match ending.kind:
            case "database":
                self._database.pause(ending.reason)
            case "replaced":
                raise LedgerReplaced(ending.reason)
            case "disk":
                raise OSError(ending.reason)
            case "failed":  # it would fail again
                self._attempts.fail(call.action_id, n_times=MAX_FAILURES)
            case _:
                self._attempts.fail(call.action_id)

    def _record_facts(self, call: SpooledCall, reason: str) -> None:
        self._attempts.begin([call.action_id], is_alone=False)
        made = [self._set_aside(call, reason)]
        self._keep_charges(made)
        self._database.run(lambda: self._store(made, {}))


def _recordable(call: SpooledCall, entry: Entry, form: Form) -> Recordable:
    if call.is_requeued:
        entry = entry._replace(is_requeued=True)
    return Recordable(call, entry, form)


@contextmanager
def _bounded_cpu() -> Iterator[None]:
    """Within it, this process is killed when it has taken BATCH_CPU_S: the next one tries the calls
    apart."""
    # Not the timer of `capture.parsing.guard`.
    signal.setitimer(signal.ITIMER_VIRTUAL, BATCH_CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)


def _note(call: SpooledCall, reason: str) -> str:
    return (
        f"this call could not be recorded in full: {reason}. Its bytes are kept:"
        f" `manage.py requeue {call.action_id}` has them read again"
    )


def _is_reserved(entry: Entry) -> bool:
    request = entry.call.request
    is_interrupted = entry.call.outcome == Outcome.INTERRUPTED
    return is_interrupted and request is not None and request.reserved_usd is not None
