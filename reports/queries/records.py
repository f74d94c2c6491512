"""The questions that pages and programs ask of the ledger."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from operator import itemgetter
from typing import Any
from uuid import UUID

import orjson
from django.db.models import BooleanField, ExpressionWrapper, Model, Q, QuerySet

from capture.ledger.bulk_sql import chunks
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
from capture.wire.binaries.references import Reference, StoredText, restore_text
from capture.wire.json.lenient import clean_json, load
from capture.wire.registry import by_name
from capture.wire.shared.slices import join_parts
from reports.json_encoding import encode
from reports.queries.bulk_read import Column, columns_of, fetched, table
from reports.queries.histories import Histories, Piece

RAW = by_name("raw").NAME
REFERRING = int(Encoding.REFERRING)
# Calls that are in memory at once, and what their bodies were on the wire.
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
# Without these no record can be put together.
_ALWAYS = {
    *("action_id", "seq", "timestamp", "scope", "wire_format", "notes"),
    *("frame_encoding", "frame_is_whole", "response_encoding"),
}


class Part:
    """A message or another part of a request. Calls that sent the same share one."""

    def __init__(self, kind: str, text: StoredText) -> None:
        self.kind = kind
        self.text = text

    @cached_property
    def json(self) -> bytes:
        """The stored bytes as they are, if all readers of JSON can take them."""
        return readable(self.text.data)


class Known:
    """The parts that the calls of a page refer to, by id."""

    def __init__(self, parts: dict[int, Part]) -> None:
        self.parts = parts
        self.no_messages = {ref for ref, part in parts.items() if part.kind != "message"}
        self.refer_to_binaries = any(part.text.references for part in parts.values())


NOTHING_KNOWN = Known({})


def readable(data: bytes) -> bytes:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return encode(clean_json(load(data)[0]))
    return data


@dataclass(slots=True)
class Record:
    """A call with all that was said in it, or with what of it was asked for. `binaries` are those
    that its texts refer to, without their bytes, in the order in which they came."""

    row: Row
    refs: list[int] = field(default_factory=list)  # of its parts, in order
    other_refs: list[int] = field(default_factory=list)  # those of them that are no messages
    history: Piece | None = None  # None: it has no messages
    known: Known = field(default_factory=lambda: NOTHING_KNOWN)
    tool_calls: list[Row] = field(default_factory=list)
    price_corrections: list[Row] = field(default_factory=list)
    binaries: list[Binary] = field(default_factory=list)

    @property
    def parts(self) -> list[Part]:
        return list(map(self.known.parts.__getitem__, self.refs))

    @property
    def messages(self) -> list[bytes]:
        return [part.json for part in self.parts if part.kind == "message"]

    @property
    def tools(self) -> Part | None:
        """Its first, if it has any."""
        parts = map(self.known.parts.__getitem__, self.other_refs)
        return next((part for part in parts if part.kind == "tools"), None)

    @property
    def prompt(self) -> Part | None:
        ref = self.row["prompt_ref"]
        return None if ref is None else self.known.parts[ref]

    def frame(self) -> StoredText | None:
        frame = self.row["frame"]
        return unpack_text(frame, self.row["frame_encoding"]) if frame is not None else None

    def response(self) -> StoredText:
        return unpack_text(self.row["response"], self.row["response_encoding"])

    def request(self) -> StoredText | None:
        """The request's body; None where it was lost. With references in it, it is to be read;
        `request_bytes` gives what came."""
        frame = self.frame()
        if frame is None or self.row["frame_is_whole"]:
            return frame
        return StoredText(join_parts(frame.data, [part.text.data for part in self.parts]))


def request_bytes(record: Record) -> bytes | None:
    """The request's body, byte for byte; None where it was lost, or the ledger has not the bytes
    of all its binaries."""
    frame = record.frame()
    if frame is None:
        return None
    data = _bytes_of(record)
    if record.row["frame_is_whole"]:
        body = restore_text(frame.data, frame.references, data.get)
    else:
        parts = [
            restore_text(part.text.data, part.text.references, data.get) for part in record.parts
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
class Wanted:
    """What of its calls a reader wants: the columns, and what is fetched beside them. Without
    `texts` frames and answers are fetched of those calls alone that refer to binaries, or are to be
    shown as they came."""

    columns: frozenset[str] = frozenset([*CALL_COLUMNS, *BODY_COLUMNS, "session_id"])
    texts: bool = True
    parts: bool = True
    tool_calls: bool = True
    price_corrections: bool = True
    binaries: bool = True
    raw: bool = True


ALL = Wanted()


def session(session_id: str) -> Session | None:
    if "\0" in session_id:  # PostgreSQL cannot be asked for it; no header can hold it
        return None
    return Session.objects.not_deleted().filter(session_id=session_id).first()


def calls_of(session: Session) -> QuerySet[Call]:
    """In time order."""
    found = Call.objects.filter(session=session, deleted_at=None)
    return found.order_by("timestamp", "seq")


def behind(calls: QuerySet[Call], place: Mapping[str, Any]) -> QuerySet[Call]:
    """Those after the call with this `timestamp` and `seq`, in time order."""
    at, seq = place["timestamp"], place["seq"]
    # Said twice so that the index on time bounds what is read.
    return calls.filter(Q(timestamp__gt=at) | Q(seq__gt=seq), timestamp__gte=at)


def before(calls: QuerySet[Call], place: Mapping[str, Any]) -> QuerySet[Call]:
    at, seq = place["timestamp"], place["seq"]
    return calls.filter(Q(timestamp__lt=at) | Q(seq__lt=seq), timestamp__lte=at)


def record(action_id: UUID, wanted: Wanted = ALL) -> Record | None:
    ids = Call.objects.not_deleted().filter(pk=action_id).values_list("pk", flat=True)
    return next(iter(_records(_rows(ids, wanted), wanted, NOTHING_KNOWN)), None)


def records(
    calls: QuerySet[Call], wanted: Wanted = ALL, *, limit: int | None = None
) -> Iterator[Record]:
    """Calls in time order, at most `limit`, read in pages: in memory is what one page refers to.
    What is recorded while they are read is not among them: it may have changed those before it."""
    calls = calls.filter(seq__lte=Ledger.objects.values_list("last_seq", flat=True).get(pk=1))
    known = NOTHING_KNOWN
    place: Mapping[str, Any] | None = None
    while limit is None or limit > 0:
        at_once = CALLS_AT_ONCE if limit is None else min(limit, CALLS_AT_ONCE)
        ids = _page(behind(calls, place) if place else calls, at_once)
        if not ids:
            return
        found = _records(_rows(ids, wanted), wanted, known)
        if not found:  # all deleted just now
            return
        known, place = found[-1].known, found[-1].row
        yield from found
        limit = limit - len(ids) if limit is not None else None


def _page(calls: QuerySet[Call], at_once: int) -> list[UUID]:
    ids = []
    size = 0
    for action_id, came, went in calls.values_list("pk", "request_bytes", "response_bytes")[
        :at_once
    ]:
        ids.append(action_id)
        size += (came or 0) + went
        if size > BYTES_AT_ONCE:
            break
    return ids


def _rows(ids: Collection[UUID], wanted: Wanted) -> list[Row]:
    """In the order of the ids."""
    columns = wanted.columns | _ALWAYS
    if wanted.parts or wanted.raw:
        columns |= {"part_refs", "prompt_ref"}
    columns = columns.union(_TEXTS) if wanted.texts else columns.difference(_TEXTS)
    read = {name: column for name, column in _COLUMNS.items() if name in columns}
    rows = fetched(_TABLES, read, (Call, "action_id"), ids)
    by_id = {row["action_id"]: row for row in rows}
    return [by_id[action_id] for action_id in ids if action_id in by_id]


_COLUMNS: dict[str, Column] = {
    **{name: (Call, name) for name in CALL_COLUMNS},
    **{name: (CallBody, name) for name in BODY_COLUMNS},
    "session_id": (Session, "session_id"),
}
_TABLES = (
    f"{table(Call)} LEFT JOIN {table(CallBody)} ON call_id = action_id"
    f" LEFT JOIN {table(Session)} ON {table(Call)}.session_id = {table(Session)}.id"
)


def _records(rows: list[Row], wanted: Wanted, known: Known) -> list[Record]:
    """`known` is what the page before referred to."""
    records = [Record(row) for row in rows]
    if wanted.parts:
        _find_parts(records, known)
    elif wanted.raw:
        _find_parts([record for record in records if is_shown_raw(record.row)], known)
    if wanted.tool_calls:
        _hang_on(records, ToolCall, "position", "tool_calls")
    if wanted.price_corrections:
        _hang_on(records, PriceCorrection, "id", "price_corrections")
    if not wanted.texts:
        _find_texts(records, wanted)
    if wanted.binaries:
        _find_binaries(records)
    return records


def is_shown_raw(row: Row) -> bool:
    """Whether it could not be understood, and is shown as it came."""
    return row["wire_format"] == RAW or bool(row["notes"])


def _find_texts(records: list[Record], wanted: Wanted) -> None:
    rows = {
        record.row["action_id"]: record.row
        for record in records
        if (wanted.binaries and _refers(record.row)) or (wanted.raw and is_shown_raw(record.row))
    }
    if rows:
        for action_id, *texts in CallBody.objects.filter(pk__in=rows).values_list("pk", *_TEXTS):
            rows[action_id].update(zip(_TEXTS, texts, strict=True))


def _refers(row: Row) -> bool:
    return bool((row["frame_encoding"] | row["response_encoding"]) & REFERRING)


def _hang_on(records: list[Record], model: type[Model], order: str, name: str) -> None:
    lists = {record.row["action_id"]: getattr(record, name) for record in records}
    rows = fetched(table(model), columns_of(model), (model, "call_id"), lists)
    for row in sorted(rows, key=itemgetter(order)):
        lists[row["call_id"]].append(row)


def _find_parts(records: list[Record], before: Known) -> None:
    wanted = {record.row["prompt_ref"] for record in records} - {None}
    in_turn = RefUnpacker()
    for record in records:
        record.refs, new = in_turn.unpack(record.row["part_refs"])
        wanted.update(new)
    parts = {ref: part for ref, part in before.parts.items() if ref in wanted}
    for row in fetched(table(Message), _PART, (Message, "id"), sorted(wanted - parts.keys())):
        parts[row["id"]] = Part(row["kind"], unpack_text(row["data"], row["encoding"]))
    known = Known(parts)
    histories = Histories(lambda ref: parts[ref].json)
    for record in records:
        record.known = known
        record.other_refs, messages = _apart(record.refs, known.no_messages)
        if messages:
            record.history = histories.piece(messages)


def _apart(refs: list[int], others: set[int]) -> tuple[list[int], list[int]]:
    """Those that are among `others`, and the rest."""
    n_others = sum(map(refs.count, others.intersection(refs)))
    # Mostly they come last. To ask of each takes ten times as long.
    cut = len(refs) - n_others
    if others.issuperset(refs[cut:]):
        return refs[cut:], refs[:cut]
    return [ref for ref in refs if ref in others], [ref for ref in refs if ref not in others]


_PART: dict[str, Column] = {name: (Message, name) for name in ("id", "kind", "data", "encoding")}


def _find_binaries(records: list[Record]) -> None:
    wanted: dict[int, set[bytes]] = defaultdict(set)
    came = [_digests(record) for record in records]
    for record, digests in zip(records, came, strict=True):
        if digests:
            wanted[record.row["scope"]].update(digests)
    found: dict[tuple[int, bytes], Binary] = {}
    for scope, of_scope in wanted.items():
        for some in chunks(sorted(of_scope)):
            rows = Binary.objects.filter(scope=scope, digest__in=some).defer("data")
            for binary in rows.annotate(is_kept=_IS_KEPT):
                found[scope, bytes(binary.digest)] = binary
    for record, digests in zip(records, came, strict=True):
        keys = ((record.row["scope"], digest) for digest in digests)
        record.binaries.extend(found[key] for key in keys if key in found)


_IS_KEPT = ExpressionWrapper(Q(data__isnull=False), BooleanField())


def _digests(record: Record) -> dict[bytes, None]:
    references: list[Reference] = []
    if record.known.refer_to_binaries:
        references = [one for part in record.parts for one in part.text.references]
    if _refers(record.row):
        frame = record.frame()
        in_frame = frame.references if frame else ()
        references = [*in_frame, *references, *record.response().references]
    return dict.fromkeys(reference.digest for reference in references)
