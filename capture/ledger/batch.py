"""The rows of one batch of entries, made and written in one transaction under the ledger's lock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from uuid import UUID

from capture.evidence.leaf import Kind
from capture.ledger import bulk_sql
from capture.ledger.binaries import BinaryRows
from capture.ledger.bulk_sql import Row, chunks
from capture.ledger.call_rows import body_row, call_row
from capture.ledger.entry import Entry
from capture.ledger.log.append import Log, LoggedCall, LogMemory
from capture.ledger.parts import PartMemory, PartRows
from capture.ledger.retries import Retries
from capture.ledger.rollup_sums import COUNTED
from capture.ledger.rollups import RollupKeyMemory, Rollups
from capture.ledger.scopes import Scopes
from capture.ledger.sessions import SessionRows
from capture.ledger.spend import Spending
from capture.ledger.stored_responses import FetchedResponses
from capture.ledger.tools.brought import BroughtResult, results_of
from capture.ledger.tools.rows import ToolCallRows
from capture.models import Call, CallBody, Ledger, LogEntry, PriceCorrection
from capture.pricing.call_cost import charge_usd


class Batch:
    """Numbers the calls in the order of the ledger, and has a class for each kind of row."""

    def __init__(
        self,
        ledger: Ledger,
        part_memory: PartMemory,
        key_memory: RollupKeyMemory,
        log_memory: LogMemory,
        *,
        keep_binaries: bool,
    ) -> None:
        self._ledger = ledger
        self._calls: list[Row] = []
        self._bodies: list[Row] = []
        self._logged: list[LoggedCall] = []
        self.log = Log(ledger, log_memory)
        self._sessions = SessionRows(ledger)
        self.parts = PartRows(ledger, part_memory)
        self._binaries = BinaryRows(keep_bytes=keep_binaries)
        self._tool_calls = ToolCallRows()
        self._retries = Retries()
        self._spending = Spending()
        self.rollups = Rollups(ledger, key_memory)
        self._fetched = FetchedResponses(self._sessions, self._spending, self.rollups, self.log)

    def add(self, entries: Sequence[Entry], replaced: Mapping[UUID, Row]) -> None:
        """`replaced` are the columns of those that the ledger has the raw facts of."""
        calls = [entry.call for entry in entries]
        self._sessions.find(calls)
        if replaced:
            take_out(replaced, entries, self._sessions, self._spending, self.rollups, self.log)
        scopes = Scopes(self._sessions).of(calls)
        new_scopes = self._sessions.new_ids
        self.parts.find(calls, scopes, new_scopes)
        brought = [
            results_of(call, self.parts.add(call, scope))
            for call, scope in zip(calls, scopes, strict=True)
        ]
        self._binaries.add(entries, scopes)
        self._tool_calls.find(zip(scopes, brought, strict=True), new_scopes)
        for entry, scope, results in zip(entries, scopes, brought, strict=True):
            self._add_call(entry, scope, results)

    def _add_call(self, entry: Entry, scope: int, brought: Sequence[BroughtResult]) -> None:
        orphans = self._tool_calls.assign(entry.call, scope, brought)
        entry, fetch_of = self._fetched.count(entry)
        call = entry.call
        self._ledger.last_seq += 1
        session = self._sessions.session_of(call)
        row = call_row(entry, scope, self._ledger.last_seq, session)
        row["fetch_of"] = fetch_of
        if fetch_of is not None and call.parsed_response.is_pending:
            row["response_id"] = None  # however often it is polled, few rows have the id
        attempt = row["attempt"]
        if attempt > 1:
            is_new = scope in self._sessions.new_ids
            row["retry_of"] = self._retries.earlier_attempt(call, scope, attempt, is_new=is_new)
        self._retries.add(call, scope, attempt)
        body = body_row(entry, self.parts, scope, orphans)
        self._calls.append(row)
        self._bodies.append(body)
        tool_calls = self._tool_calls.add(call, scope)
        session_id = session.session_id if session is not None else None
        self._logged.append(LoggedCall(row, body, tool_calls, session_id))
        self._fetched.learn(row, body)
        self._spending.add(entry)
        self.rollups.count(row, call.n_calls)
        if session is not None:
            self._sessions.add_call(session, row, n_calls=call.n_calls)

    def write(self) -> None:
        """Writes all rows, and the numbers that the ledger gave."""
        self._sessions.write()
        # When all rows of the batch have what they are recorded with.
        self.log.add_calls(self._logged)
        bulk_sql.insert(Call, self._calls)
        bulk_sql.insert(CallBody, self._bodies)
        self.parts.write()
        self._binaries.write()
        self._tool_calls.write()
        self._spending.write()
        self.rollups.write()
        self.log.write()
        if self._calls or self.log.has_grown:
            self._ledger.save()


# --- calls that are recorded anew: the ledger has their raw facts ---


def find_replaced(entries: Iterable[Entry]) -> dict[UUID, Row]:
    """Returns, of the calls that were requeued, the columns of those that the ledger has the raw
    facts of. What brought no texts has nothing that other calls refer to. Calls that were recorded
    in full, or deleted, are not replaced."""
    ids = [entry.call.action_id for entry in entries if entry.is_requeued]
    found: dict[UUID, Row] = {}
    for some in chunks(ids):
        erased = LogEntry.objects.filter(action_id__in=some, kind=Kind.ERASURE)
        facts = (
            Call.objects.not_deleted()
            .filter(pk__in=some, body__frame=None, body__part_refs=b"", body__response=b"")
            .exclude(pk__in=erased.values("action_id"))
        )
        found.update({row["action_id"]: row for row in facts.values(*COUNTED, "log_index")})
    return found


def take_out(
    replaced: Mapping[UUID, Row],
    entries: Sequence[Entry],
    sessions: SessionRows,
    spending: Spending,
    rollups: Rollups,
    log: Log,
) -> None:
    """Takes these calls out of all sums, and deletes their rows. `entries` have them anew."""
    for entry in entries:
        row = replaced.get(entry.call.action_id)
        if row is not None:
            n_calls = entry.call.n_calls
            if (session := sessions.find_by_id(row["session_id"])) is not None:
                sessions.take_out(session, row, n_calls=n_calls)
            spending.take_out(entry.call, _charged(row, entry))
            rollups.take_out(row, n_calls)
            if row["log_index"] is not None:
                facts = {"index": row["log_index"]}
                log.add(Kind.REPLACEMENT, facts, about=row["action_id"])
    ids = list(replaced)
    for model in (PriceCorrection, CallBody):
        bulk_sql.delete(model, "call_id", ids)
    bulk_sql.delete(Call, "action_id", ids)


def _charged(row: Row, entry: Entry) -> Decimal | None:
    """Returns what budgets were charged for the raw facts."""
    request = entry.call.request
    had_heads = row["method"] != ""
    reserved = request.reserved_usd if request and had_heads else None
    return charge_usd(row["cost_usd"], reserved, status=row["status_code"], outcome=row["outcome"])
