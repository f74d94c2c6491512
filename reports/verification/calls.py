"""Verifies calls: that each is what the log says was recorded, and that its bodies are those whose
digests were."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from capture.evidence.leaf import Kind, Value, unpack_secret
from capture.ledger.bulk_sql import Row, table_name
from capture.ledger.log.read import facts_of
from capture.ledger.log.records import (
    BODY_COLUMNS,
    CALL_COLUMNS,
    TOOL_CALL_COLUMNS,
    current_values,
    record_of,
    texts_of,
    undo,
)
from capture.models import Call, CallBody, LogEntry, Session, ToolCall
from reports.queries.bulk_read import Column, fetch_rows
from reports.verification.bodies import (
    DamagedBody,
    NotKept,
    StoredParts,
    digest_of,
    refs_of,
    request_bytes,
    response_bytes,
)
from reports.verification.findings import Damage, Finding

# The bodies of so many bytes are in memory at once, unless a single call has more.
BYTES_AT_ONCE = 32 * 1024 * 1024

_STORED = ("part_refs", "frame", "frame_is_whole", "frame_encoding", "prompt_ref")
_COLUMNS: dict[str, Column] = {
    **{name: (Call, name) for name in (*CALL_COLUMNS, "log_index", "scope", "session_id")},
    **{name: (CallBody, name) for name in (*BODY_COLUMNS, *_STORED)},
    **{name: (CallBody, name) for name in ("response", "response_encoding", "call_id")},
    "session_name": (Session, "session_id"),
}
_TABLES = (
    f"{table_name(Call)} LEFT JOIN {table_name(CallBody)} ON call_id = action_id"
    f" LEFT JOIN {table_name(Session)} ON {table_name(Call)}.session_id = {table_name(Session)}.id"
)
_TOOL_CALL = {name: (ToolCall, name) for name in ("call_id", "position", *TOOL_CALL_COLUMNS)}


@dataclass(frozen=True, slots=True)
class Place:
    """A call that says that it is at an index of the log."""

    index: int
    action_id: UUID
    n_bytes: int


@dataclass(slots=True)
class StoredCall:
    """A call as the ledger has it, with what the log says of it later."""

    row: Row
    tool_calls: list[Row]
    corrections: list[dict[str, Any]]
    erased: frozenset[str]  # of which the log says that they were erased

    @property
    def index(self) -> int:
        index: int = self.row["log_index"]
        return index

    @property
    def is_complete(self) -> bool:
        return self.row["log_secret"] is not None

    @property
    def name(self) -> str:
        return f"call {self.row['action_id']}"

    def finding(self, damage: Damage, what: str, *fields: str) -> Finding:
        action_id = str(self.row["action_id"])
        return Finding(damage, f"{self.name} {what}", self.index, action_id, fields)

    def record(self) -> bytes:
        return record_of(
            self.row,
            self.row,
            self.tool_calls,
            session_id=self.row["session_name"],
            as_recorded=undo(self.corrections),
        )

    def texts(self) -> dict[str, str | None]:
        return texts_of(self.row, self.row, self.tool_calls, self.row["session_name"])


def read_calls(places: Sequence[Place], parts: StoredParts) -> Iterator[StoredCall | Finding]:
    """Yields these calls, with a finding in place of one that cannot be read. Those that were
    removed meanwhile are left out."""
    for some in _bounded(places):
        try:
            yield from _read(some, parts)
        except Exception:  # values that no driver or field takes: it is one of these
            for place in some:
                try:
                    yield from _read([place], parts)
                except Exception as error:  # as above
                    yield Finding(
                        Damage.ALTERED,
                        f"call {place.action_id} cannot be read: {error}".partition("\n")[0],
                        place.index,
                        str(place.action_id),
                    )


def _bounded(places: Sequence[Place]) -> Iterator[list[Place]]:
    some: list[Place] = []
    n_bytes = 0
    for place in places:
        if some and n_bytes + place.n_bytes > BYTES_AT_ONCE:
            yield some
            some, n_bytes = [], 0
        some.append(place)
        n_bytes += place.n_bytes
    if some:
        yield some


def _read(places: Sequence[Place], parts: StoredParts) -> list[StoredCall]:
    ids = [place.action_id for place in places]
    rows = fetch_rows(_TABLES, _COLUMNS, (Call, "action_id"), ids)
    tool_calls: dict[UUID, list[Row]] = defaultdict(list)
    for one in fetch_rows(table_name(ToolCall), _TOOL_CALL, (ToolCall, "call_id"), ids):
        tool_calls[one["call_id"]].append(one)
    corrections: dict[UUID, list[dict[str, Any]]] = defaultdict(list)
    erased: dict[UUID, set[str]] = defaultdict(set)
    later = LogEntry.objects.filter(action_id__in=ids).order_by("index")
    for entry in later:
        assert entry.action_id is not None
        if entry.kind == Kind.CORRECTION:
            corrections[entry.action_id].append(facts_of(entry))
        elif entry.kind == Kind.ERASURE:
            erased[entry.action_id].update(facts_of(entry)["fields"].split(","))
    refs = {ref for row in rows for ref in refs_of(row)}
    parts.read(refs | {row["prompt_ref"] for row in rows} - {None})
    calls = []
    for row in sorted(rows, key=lambda row: (row["log_index"] or 0, row["seq"])):
        pk = row["action_id"]
        called = sorted(tool_calls[pk], key=lambda one: one["position"])
        calls.append(StoredCall(row, called, corrections[pk], frozenset(erased[pk])))
    return calls


def verify_call(call: StoredCall) -> Iterator[Finding]:
    """Yields what differs from what the log says of the call, beside its record."""
    if call.row["call_id"] is None:
        yield call.finding(Damage.MISSING, "has lost its texts")
    elif call.row["log_secret"] is None:
        yield call.finding(Damage.MISSING, "has lost the salts of its record", "log_secret")
    else:
        yield from _verify_corrections(call)
        yield from _verify_erasures(call)


def _verify_corrections(call: StoredCall) -> Iterator[Finding]:
    if not call.corrections:
        return
    corrected: dict[str, Value] = {}
    for one in call.corrections:
        corrected.update({k[4:]: value for k, value in one.items() if k.startswith("new_")})
    present = current_values(call.row)
    fields = [name for name, value in corrected.items() if present[name] != value]
    if fields:
        told = ", ".join(f"{name} is {present[name]}, not {corrected[name]}" for name in fields)
        yield call.finding(Damage.ALTERED, f"is not as it was corrected last: {told}", *fields)


def _verify_erasures(call: StoredCall) -> Iterator[Finding]:
    kept = unpack_secret(bytes(call.row["log_secret"]))
    gone = {name for name, one in kept.items() if isinstance(one, str)}
    if lost := sorted(gone - call.erased):
        told = f"has lost {', '.join(lost)}, and the log says of no erasure"
        yield call.finding(Damage.MISSING, told, *lost)


def verify_bodies(call: StoredCall, parts: StoredParts) -> Iterator[Finding]:
    """Yields what differs from the digests of the bodies. Raises NotKept if one of them is not
    stored as it was sent, and the other one is not damaged."""
    not_kept: NotKept | None = None
    sides: Iterable[tuple[str, Callable[[], bytes]]] = (
        ("request", lambda: request_bytes(call.row, parts)),
        ("response", lambda: response_bytes(call.row)),
    )
    erased = _erased_of(call.row)
    for side, restore in sides:
        if side in erased:
            continue
        digest = call.row[f"{side}_sha256"]
        try:
            actual = digest_of(restore())
        except NotKept as error:
            not_kept = error
            if side == "request" and _has_lost_request(call.row):
                yield call.finding(Damage.MISSING, "has lost the body of its request", side)
            continue
        except DamagedBody as error:
            yield call.finding(Damage.ALTERED, f"has a damaged {side}: {error}", side)
            continue
        if actual != digest:
            if _has_raw_facts_alone(call.row):
                not_kept = NotKept()
                continue
            what = f"has another {side} than was recorded: its SHA-256 is {actual}, not {digest}"
            yield call.finding(Damage.ALTERED, what, side)
    if (prompt := call.row["prompt_ref"]) is not None:
        try:
            parts.verify_digest(prompt)
        except DamagedBody as error:
            yield call.finding(Damage.ALTERED, f"has a damaged prompt: {error}", "request")
    if not_kept is not None:
        raise not_kept


def _erased_of(row: Mapping[str, Any]) -> set[str]:
    secret = row["log_secret"]
    kept = unpack_secret(bytes(secret)) if secret is not None else {}
    return {name for name, one in kept.items() if isinstance(one, str)}


def _has_raw_facts_alone(row: Mapping[str, Any]) -> bool:
    """Calls that could not be understood are recorded without their bodies, texts and usage."""
    texts = ("frame", "part_refs", "response", "content", "reasoning")
    return not any(row[name] for name in texts) and row["usage_source"] == "none"


def _has_lost_request(row: Mapping[str, Any]) -> bool:
    """One that was damaged before it was recorded has no digest."""
    is_lost = row["frame"] is None and row["request_sha256"] is not None
    return is_lost and not _has_raw_facts_alone(row)
