"""The questions that pages and programs ask of the ledger."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID

from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet

from capture.models import Binary, Call, CallBody, Message, Session
from capture.texts import Text, unpack_refs, unpacked
from capture.wire.cut import join
from capture.wire.references import restored

LOOK_UP_AT_ONCE = 500

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Part:
    kind: str
    text: Text


@dataclass(frozen=True, slots=True)
class Record:
    """A call with all that was said in it. `call` has its body and tool calls at hand; `binaries`
    are those that its texts refer to, without their bytes, in the order in which they came."""

    call: Call
    parts: list[Part]
    prompt: str | None
    frame: Text | None
    answer: Text
    binaries: list[Binary]

    def request(self) -> Text | None:
        """The request's body; None where it was lost. With references in it, it is to be read;
        `request_bytes` gives what came."""
        if self.frame is None or self.call.body.frame_is_whole:
            return self.frame
        return Text(join(self.frame.data, [part.text.data for part in self.parts]))


def request_bytes(record: Record) -> bytes | None:
    """The request's body, byte for byte; None where it was lost, or the ledger has not the bytes
    of all its binaries."""
    if record.frame is None:
        return None
    data = _bytes_of(record)
    if record.call.body.frame_is_whole:
        body = restored(record.frame.data, record.frame.places, data.get)
    else:
        parts = [restored(part.text.data, part.text.places, data.get) for part in record.parts]
        whole = [part for part in parts if part is not None]
        body = join(record.frame.data, whole) if len(whole) == len(parts) else None
    if body is None or hashlib.sha256(body).hexdigest() != record.call.request_sha256:
        return None
    return body


def _bytes_of(record: Record) -> dict[bytes, bytes]:
    found = Binary.objects.filter(pk__in=[binary.pk for binary in record.binaries])
    rows = found.exclude(data=None).values_list("digest", "data")
    return {bytes(digest): bytes(data) for digest, data in rows if data is not None}


def sessions() -> QuerySet[Session]:
    """Those with the newest call first."""
    return Session.objects.order_by("-last_call_at", "-id")


def session(session_id: str) -> Session | None:
    if "\0" in session_id:  # PostgreSQL cannot be asked for it; no header can hold it
        return None
    return Session.objects.filter(session_id=session_id).first()


def records_of(session: Session) -> list[Record]:
    """All calls of a session in time order."""
    return _records(_calls().filter(session=session).order_by("timestamp", "seq"))


def record(action_id: UUID) -> Record | None:
    return next(iter(_records(_calls().filter(pk=action_id))), None)


def _calls() -> QuerySet[Call]:
    return Call.objects.select_related("body", "session").prefetch_related(
        "tool_call_rows", "price_corrections"
    )


def _records(calls: Iterable[Call]) -> list[Record]:
    calls = list(calls)
    refs = [unpack_refs(call.body.part_refs) for call in calls]
    prompts = [call.body.prompt_ref for call in calls]
    wanted = {ref for some in refs for ref in some} | {ref for ref in prompts if ref is not None}
    parts = _parts(wanted)
    records = [
        Record(
            call,
            [parts[ref] for ref in some],
            parts[prompt].text.data.decode() if prompt is not None else None,
            _frame(call.body),
            unpacked(call.body.answer, call.body.answer_encoding),
            [],
        )
        for call, some, prompt in zip(calls, refs, prompts, strict=True)
    ]
    _find_binaries(records)
    return records


def _frame(body: CallBody) -> Text | None:
    return unpacked(body.frame, body.frame_encoding) if body.frame is not None else None


def _find_binaries(records: list[Record]) -> None:
    wanted: dict[int, set[bytes]] = defaultdict(set)
    for record in records:
        if came := _digests(record):
            wanted[record.call.scope].update(came)
    found: dict[tuple[int, bytes], Binary] = {}
    for scope, digests in wanted.items():
        for some in _at_once(sorted(digests)):
            rows = Binary.objects.filter(scope=scope, digest__in=some).defer("data")
            for binary in rows.annotate(is_kept=_IS_KEPT):
                found[scope, bytes(binary.digest)] = binary
    for record in records:
        keys = ((record.call.scope, digest) for digest in _digests(record))
        record.binaries.extend(found[key] for key in keys if key in found)


_IS_KEPT = ExpressionWrapper(Q(data__isnull=False), BooleanField())


def _digests(record: Record) -> dict[bytes, None]:
    texts = [record.frame] if record.frame else []
    texts += [*(part.text for part in record.parts), record.answer]
    return dict.fromkeys(place.digest for text in texts for place in text.places)


def _at_once(items: list[T]) -> Iterable[list[T]]:
    for start in range(0, len(items), LOOK_UP_AT_ONCE):
        yield items[start : start + LOOK_UP_AT_ONCE]


def _parts(refs: set[int]) -> dict[int, Part]:
    parts = {}
    for some in _at_once(sorted(refs)):
        rows = Message.objects.filter(pk__in=some).values_list("id", "kind", "data", "encoding")
        parts.update({id_: Part(kind, unpacked(data, enc)) for id_, kind, data, enc in rows})
    return parts
