"""Records: calls with their messages, tool calls, corrections and binaries."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import Any
from uuid import UUID

import orjson
from django.db.models import BooleanField, ExpressionWrapper, Model, Q, QuerySet

from capture.ledger.bulk_sql import chunks, table_name
from capture.ledger.compression import Encoding, unpack_text
from capture.ledger.message_refs import RefUnpacker
from capture.models import (
    Binary,
    Call,
    CallBody,
    Ledger,
    Message,
    PriceCorrection,
    Session,
    ToolCall,
)
from capture.parsing.marks import insert_marks
from capture.wire.binaries.references import Reference, StoredText, restore_text
from capture.wire.json.lenient import clean_json, load
from capture.wire.registry import by_name
from capture.wire.shared.slices import join_parts
from reports.json_encoding import encode
from reports.queries.bulk_read import Column, columns_of, fetch_rows
from reports.queries.histories import Histories, HistorySlice

RAW = by_name("raw").NAME
REFERRING, MARKED = int(Encoding.REFERRING), int(Encoding.MARKED)
# The calls that are in memory at once, and the size of their bodies on the wire.
CALLS_AT_ONCE = 500
BYTES_AT_ONCE = 64 * 1024 * 1024

Row = dict[str, Any]
"""Columns of a call and of its body, by name; `session_id` is the session's own id."""

CALL_COLUMNS = [
    name
    for f in Call._meta.concrete_fields
    if (name := f.attname) not in ("session_id", "deleted_at")
]
BODY_COLUMNS = [f.attname for f in CallBody._meta.concrete_fields if f.attname != "call_id"]
_TEXTS = ("frame", "response")
# Every record needs these.
_REQUIRED = {
    *("action_id", "seq", "timestamp", "scope", "wire_format", "notes"),
    *("frame_encoding", "frame_is_whole", "response_encoding"),
}


class RequestPart:
    """A message or another part of a request. Calls that sent the same part share it, be it with
    other markers for the provider's cache."""

    def __init__(self, kind: str, text: StoredText) -> None:
        self.kind = kind
        self.text = text

    @cached_property
    def json(self) -> bytes:
        """The stored bytes, unchanged if every JSON parser can read them."""
        return readable_json(self.text.data)


class PageParts:
    """The parts that the calls of a page refer to, by id."""

    def __init__(self, parts: dict[int, RequestPart]) -> None:
        self.parts = parts
        self.other_refs = {ref for ref, part in parts.items() if part.kind != "message"}
        self.refer_to_binaries = any(part.text.references for part in parts.values())


NO_PARTS = PageParts({})


def readable_json(data: bytes) -> bytes:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return encode(clean_json(load(data)[0]))
    return data


@dataclass
class Record:
    """A call with its contents, or with those that were selected. `binaries` are those that its
    texts refer to, without their bytes, in the order in which they were sent."""

    row: Row
    refs: list[int] = field(default_factory=list)  # of its parts, in order
    other_refs: list[int] = field(default_factory=list)  # of parts that are no messages
    history: HistorySlice | None = None  # None: it has no messages
    page_parts: PageParts = field(default_factory=lambda: NO_PARTS)
    tool_calls: list[Row] = field(default_factory=list)
    price_corrections: list[Row] = field(default_factory=list)
    binaries: list[Binary] = field(default_factory=list)

    @property
    def parts(self) -> list[RequestPart]:
        return list(map(self.page_parts.parts.__getitem__, self.refs))

    @property
    def messages(self) -> list[bytes]:
        return [part.json for part in self.parts if part.kind == "message"]

    @property
    def tools(self) -> RequestPart | None:
        """The first tools part, if there is one."""
        return next((part for part in self.parts_as_sent if part.kind == "tools"), None)

    @property
    def is_marked(self) -> bool:
        """True if the call has markers for the provider's cache, which its frame holds."""
        return bool(self.row["frame_encoding"] & MARKED)

    @cached_property
    def parts_as_sent(self) -> list[RequestPart]:
        """The parts with this call's markers for the provider's cache."""
        parts = self.parts
        frame = self.frame() if self.is_marked else None
        if frame is None:
            return parts
        texts = insert_marks([part.text for part in parts], frame.marks)
        return [
            part if part.text is text else RequestPart(part.kind, text)
            for part, text in zip(parts, texts, strict=True)
        ]

    @property
    def prompt(self) -> RequestPart | None:
        ref = self.row["prompt_ref"]
        return None if ref is None else self.page_parts.parts[ref]

    def frame(self) -> StoredText | None:
        frame = self.row["frame"]
        return unpack_text(frame, self.row["frame_encoding"]) if frame is not None else None

    def response(self) -> StoredText:
        return unpack_text(self.row["response"], self.row["response_encoding"])

    def request(self) -> StoredText | None:
        """Returns the request's body as text that may contain references to binaries; None where
        the body was lost. `rebuild_request` returns the original bytes."""
        frame = self.frame()
        if frame is None or self.row["frame_is_whole"]:
            return frame
        return StoredText(join_parts(frame.data, [part.text.data for part in self.parts_as_sent]))


def rebuild_request(record: Record) -> bytes | None:
    """Returns the request's body, byte for byte; None where it was lost, or the ledger does not
    have the bytes of all its binaries."""
    frame = record.frame()
    if frame is None:
        return None
    data = _bytes_of(record)
    if record.row["frame_is_whole"]:
        body = restore_text(frame.data, frame.references, data.get)
    else:
        parts = [
            restore_text(part.text.data, part.text.references, data.get)
            for part in record.parts_as_sent
        ]
        whole = [part for part in parts if part is not None]
        body = join_parts(frame.data, whole) if len(whole) == len(parts) else None
    if body is None or hashlib.sha256(body).hexdigest() != record.row["request_sha256"]:
        return None
    return body


def _bytes_of(record: Record) -> dict[bytes, bytes]:
    found = Binary.objects.filter(pk__in=[binary.pk for binary in record.binaries])
    rows = found.exclude(data=None).values_list("digest", "data")
    return {bytes(digest): bytes(data) for digest, data in rows if data is not None}


@dataclass(frozen=True, slots=True)
class Selection:
    """The columns and related rows to read for each call. Without `texts`, frames and responses are
    read only for calls that refer to binaries, or whose bodies are shown raw."""

    columns: frozenset[str] = frozenset([*CALL_COLUMNS, *BODY_COLUMNS, "session_id"])
    texts: bool = True
    parts: bool = True
    tool_calls: bool = True
    price_corrections: bool = True
    binaries: bool = True
    raw: bool = True


EVERYTHING = Selection()


def find_session(session_id: str) -> Session | None:
    if "\0" in session_id:  # PostgreSQL cannot compare it, and no header can hold it
        return None
    return Session.objects.not_deleted().filter(session_id=session_id).first()


def calls_of(session: Session) -> QuerySet[Call]:
    """Returns the calls of a session in time order."""
    return Call.objects.in_session(session.pk).order_by("timestamp", "seq")


def later_than(calls: QuerySet[Call], position: Mapping[str, Any]) -> QuerySet[Call]:
    """Returns the calls after the position, a call's `timestamp` and `seq`, in time order."""
    at, seq = position["timestamp"], position["seq"]
    # The redundant bound lets the index on time limit what is read.
    return calls.filter(Q(timestamp__gt=at) | Q(seq__gt=seq), timestamp__gte=at)


def earlier_than(calls: QuerySet[Call], position: Mapping[str, Any]) -> QuerySet[Call]:
    """Returns the calls before the position, a call's `timestamp` and `seq`, in time order."""
    at, seq = position["timestamp"], position["seq"]
    return calls.filter(Q(timestamp__lt=at) | Q(seq__lt=seq), timestamp__lte=at)


def find_record(action_id: UUID, selection: Selection = EVERYTHING) -> Record | None:
    ids = Call.objects.not_deleted().filter(pk=action_id).values_list("pk", flat=True)
    return next(iter(_records(_rows(ids, selection), selection, NO_PARTS)), None)


def read_records(
    calls: QuerySet[Call], selection: Selection = EVERYTHING, *, limit: int | None = None
) -> Iterator[Record]:
    """Yields calls in time order, at most `limit`. It reads them in pages and holds the parts of
    one page in memory. Calls that are recorded meanwhile are left out: they may change earlier
    ones."""
    last_seq = Ledger.objects.values_list("last_seq", flat=True).get(pk=1)
    for page in read_pages(calls.filter(seq__lte=last_seq), selection, limit=limit):
        yield from page


def read_pages(
    calls: QuerySet[Call],
    selection: Selection = EVERYTHING,
    *,
    limit: int | None = None,
    later: Callable[[QuerySet[Call], Mapping[str, Any]], QuerySet[Call]] | None = None,
) -> Iterator[list[Record]]:
    """Yields pages of calls. They are in time order, unless `later` says which of them come after
    one."""
    parts = NO_PARTS
    position: Mapping[str, Any] | None = None
    while limit is None or limit > 0:
        size = CALLS_AT_ONCE if limit is None else min(limit, CALLS_AT_ONCE)
        ids = _page_ids((later or later_than)(calls, position) if position else calls, size)
        if not ids:
            return
        found = _records(_rows(ids, selection), selection, parts)
        if not found:  # all of them were deleted in the meantime
            return
        parts, position = found[-1].page_parts, found[-1].row
        yield found
        limit = limit - len(ids) if limit is not None else None


def _page_ids(calls: QuerySet[Call], size: int) -> list[UUID]:
    ids = []
    n_bytes = 0
    sizes = calls.values_list("pk", "request_bytes", "response_bytes")
    for action_id, request_size, response_size in sizes[:size]:
        ids.append(action_id)
        n_bytes += (request_size or 0) + response_size
        if n_bytes > BYTES_AT_ONCE:
            break
    return ids


def _rows(ids: Collection[UUID], selection: Selection) -> list[Row]:
    """Returns rows in the order of the ids, without calls that were deleted."""
    columns = selection.columns | _REQUIRED
    if selection.parts or selection.raw:
        columns |= {"part_refs", "prompt_ref"}
    columns = columns.union(_TEXTS) if selection.texts else columns.difference(_TEXTS)
    read = {name: column for name, column in _COLUMNS.items() if name in columns}
    rows = fetch_rows(_TABLES, read, (Call, "action_id"), ids)
    by_id = {row["action_id"]: row for row in rows}
    return [by_id[action_id] for action_id in ids if action_id in by_id]


_COLUMNS: dict[str, Column] = {
    **{name: (Call, name) for name in CALL_COLUMNS},
    **{name: (CallBody, name) for name in BODY_COLUMNS},
    "session_id": (Session, "session_id"),
}
_TABLES = (
    f"{table_name(Call)} LEFT JOIN {table_name(CallBody)} ON call_id = action_id"
    f" LEFT JOIN {table_name(Session)} ON {table_name(Call)}.session_id = {table_name(Session)}.id"
)


def _records(rows: list[Row], selection: Selection, parts: PageParts) -> list[Record]:
    """Takes the parts that the page before referred to: calls mostly share them."""
    records = [Record(row) for row in rows]
    if selection.parts:
        _find_parts(records, parts)
    elif selection.raw:
        _find_parts([record for record in records if is_shown_raw(record.row)], parts)
    if selection.tool_calls:
        _attach(records, ToolCall, "position", "tool_calls")
    if selection.price_corrections:
        _attach(records, PriceCorrection, "id", "price_corrections")
    if not selection.texts:
        _find_texts(records, selection)
    if selection.binaries:
        _find_binaries(records)
    return records


def is_shown_raw(row: Row) -> bool:
    """Returns whether the call could not be parsed, so that its bodies are shown raw."""
    return row["wire_format"] == RAW or bool(row["notes"])


def _find_texts(records: list[Record], selection: Selection) -> None:
    rows = {
        record.row["action_id"]: record.row
        for record in records
        if (selection.binaries and _refers(record.row))
        or (selection.raw and is_shown_raw(record.row))
    }
    if rows:
        for action_id, *texts in CallBody.objects.filter(pk__in=rows).values_list("pk", *_TEXTS):
            rows[action_id].update(zip(_TEXTS, texts, strict=True))
    marked = {record.row["action_id"]: record.row for record in records if record.is_marked}
    if selection.parts and marked.keys() - rows.keys():
        for action_id, frame in CallBody.objects.filter(pk__in=marked).values_list("pk", "frame"):
            marked[action_id]["frame"] = frame


def _refers(row: Row) -> bool:
    return bool((row["frame_encoding"] | row["response_encoding"]) & REFERRING)


def _attach(records: list[Record], model: type[Model], order: str, name: str) -> None:
    lists = {record.row["action_id"]: getattr(record, name) for record in records}
    rows = fetch_rows(table_name(model), columns_of(model), (model, "call_id"), lists)
    for row in sorted(rows, key=itemgetter(order)):
        lists[row["call_id"]].append(row)


def _find_parts(records: list[Record], previous: PageParts) -> None:
    refs = {record.row["prompt_ref"] for record in records} - {None}
    in_turn = RefUnpacker()
    for record in records:
        record.refs, new = in_turn.unpack(record.row["part_refs"])
        refs.update(new)
    parts = {ref: part for ref, part in previous.parts.items() if ref in refs}
    for row in fetch_rows(table_name(Message), _PART, (Message, "id"), sorted(refs - parts.keys())):
        parts[row["id"]] = RequestPart(row["kind"], unpack_text(row["data"], row["encoding"]))
    page_parts = PageParts(parts)
    histories = Histories(lambda ref: parts[ref].json)
    for record in records:
        record.page_parts = page_parts
        record.other_refs, messages = _partition(record.refs, page_parts.other_refs)
        if messages:
            record.history = histories.add(messages)


def _partition(refs: list[int], others: set[int]) -> tuple[list[int], list[int]]:
    """Returns the refs that are among `others`, and the rest."""
    n_others = sum(map(refs.count, others.intersection(refs)))
    # The others mostly come last. Testing each ref takes ten times as long.
    cut = len(refs) - n_others
    if others.issuperset(refs[cut:]):
        return refs[cut:], refs[:cut]
    return [ref for ref in refs if ref in others], [ref for ref in refs if ref not in others]


_PART: dict[str, Column] = {name: (Message, name) for name in ("id", "kind", "data", "encoding")}


def _find_binaries(records: list[Record]) -> None:
    by_scope: dict[int, set[bytes]] = defaultdict(set)
    digests_of = [_digests(record) for record in records]
    for record, digests in zip(records, digests_of, strict=True):
        if digests:
            by_scope[record.row["scope"]].update(digests)
    found: dict[tuple[int, bytes], Binary] = {}
    for scope, scope_digests in by_scope.items():
        for batch in chunks(sorted(scope_digests)):
            rows = Binary.objects.filter(scope=scope, digest__in=batch).defer("data")
            for binary in rows.annotate(is_kept=_IS_KEPT):
                found[scope, bytes(binary.digest)] = binary
    for record, digests in zip(records, digests_of, strict=True):
        keys = ((record.row["scope"], digest) for digest in digests)
        record.binaries.extend(found[key] for key in keys if key in found)


_IS_KEPT = ExpressionWrapper(Q(data__isnull=False), BooleanField())


def _digests(record: Record) -> dict[bytes, None]:
    references: list[Reference] = []
    if record.page_parts.refer_to_binaries:
        references = [one for part in record.parts for one in part.text.references]
    if _refers(record.row):
        frame = record.frame()
        in_frame = frame.references if frame else ()
        references = [*in_frame, *references, *record.response().references]
    return dict.fromkeys(reference.digest for reference in references)
