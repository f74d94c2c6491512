"""The questions that pages and programs ask of the ledger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from django.db.models import QuerySet

from capture.models import Call, Message, Session
from capture.texts import unpack_refs, unpacked
from capture.wire.cut import join

LOOK_UP_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Part:
    kind: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Record:
    """A call with all that was said in it. `call` has its body and tool calls at hand."""

    call: Call
    parts: list[Part]
    prompt: str | None

    def request(self) -> bytes | None:
        """The request's body, byte for byte; None where it was lost."""
        body = self.call.body
        if body.frame is None:
            return None
        frame = unpacked(body.frame, body.frame_encoding)
        return frame if body.frame_is_whole else join(frame, [part.data for part in self.parts])

    def answer(self) -> bytes:
        body = self.call.body
        return unpacked(body.answer, body.answer_encoding)


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
    return [
        Record(
            call,
            [parts[ref] for ref in some],
            parts[prompt].data.decode() if prompt is not None else None,
        )
        for call, some, prompt in zip(calls, refs, prompts, strict=True)
    ]


def _parts(refs: set[int]) -> dict[int, Part]:
    ordered = sorted(refs)
    parts = {}
    for start in range(0, len(ordered), LOOK_UP_AT_ONCE):
        some = ordered[start : start + LOOK_UP_AT_ONCE]
        rows = Message.objects.filter(pk__in=some).values_list("id", "kind", "data", "encoding")
        parts.update({id_: Part(kind, unpacked(data, enc)) for id_, kind, data, enc in rows})
    return parts
