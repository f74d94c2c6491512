"""Looks up tool calls of earlier batches that results may belong to."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import timedelta

from django.db.models import F, Q, QuerySet
from django.db.models.functions import Substr

from capture.ledger.bulk_sql import chunks
from capture.ledger.tools.asked import (
    MAX_CANDIDATES,
    MAX_COMPARED,
    AskedCall,
    Caller,
    cut,
    is_unique,
)
from capture.ledger.tools.brought import BroughtResult
from capture.models import Call, ToolCall
from capture.parsing.parsed_call import ParsedCall

# Tool calls that are read at once: an agent may have given all of them one id.
MAX_FOUND = 1_000
# A tool of another scope has its result within this time.
WITHIN = timedelta(hours=6)
# Calls among which those of the same caller are looked for that have no ids.
MAX_JUST_BEFORE = 200

_VISIBLE = Q(call__deleted_at=None, call__session__deleted_at=None)
_OF_CALL = [f"call__{name}" for name in (*Caller._fields, "request_sha256", "response_id")]
_FACTS = ("id", "scope", "call_id", "tool_call_id", "name", "result_action_id", *_OF_CALL)


def waiting_with_ids(scope: int, ids: Collection[str]) -> list[AskedCall]:
    """Returns those without a result that have these ids, newest first."""
    found: list[AskedCall] = []
    for some in chunks(list(ids)):
        found += _read(_waiting(scope).filter(tool_call_id__in=some)[:MAX_FOUND])
    return found


def waiting_latest(scope: int, *, only_bare: bool) -> list[AskedCall]:
    """Returns the latest without a result, newest first; with `only_bare`, of those without an
    id."""
    waiting = _waiting(scope)
    return _read((waiting.filter(tool_call_id=None) if only_bare else waiting)[:MAX_CANDIDATES])


def _waiting(scope: int) -> QuerySet[ToolCall]:
    return ToolCall.objects.filter(scope=scope, result_action_id=None).order_by("-id")


def _read(rows: QuerySet[ToolCall]) -> list[AskedCall]:
    return [
        AskedCall(
            row={"id": id_},
            scope=scope,
            call_id=call_id,
            tool_call_id=tool_call_id,
            name=name,
            arguments=None,
            is_answered=result is not None,
            caller=Caller(*caller),
            request_sha256=request_sha256,
            response_id=response_id,
        )
        for id_, scope, call_id, tool_call_id, name, result, *caller, request_sha256, response_id
        in rows.values_list(*_FACTS)
    ]  # fmt: skip


def read_arguments(asked: Iterable[AskedCall]) -> None:
    """Reads those that were not read yet."""
    unread = {one.row["id"]: one for one in asked if one.arguments is None}
    for some in chunks(list(unread)):
        rows = ToolCall.objects.filter(pk__in=some)
        beginnings = rows.annotate(beginning=Substr(F("arguments"), 1, MAX_COMPARED))
        for id_, arguments in beginnings.values_list("id", "beginning"):
            unread[id_].arguments = arguments


class Elsewhere:
    """Tool calls that a call's results may belong to, in its own scope and in others.

    An id of another scope counts if it is unique. One that other calls may have as well counts only
    if the history of the request has the call's name and arguments too, and neither call has a
    session; or if the request continues the response with that call.
    """

    def __init__(
        self, call: ParsedCall, scope: int, in_batch: Sequence[AskedCall], answered: set[int]
    ) -> None:
        self._call = call
        self._scope = scope
        self._caller = Caller.of(call)
        self._previous = cut(call.previous_response_id)
        self._in_batch = in_batch
        self._answered = answered
        self._by_id: dict[str, list[AskedCall]] = defaultdict(list)
        self._by_name: dict[str, list[AskedCall]] = defaultdict(list)

    def find(self, results: Sequence[BroughtResult]) -> None:
        ids = {id_ for one in results if (id_ := cut(one.result.tool_call_id))}
        near = Q(scope=self._scope) | Q(call__timestamp__gte=self._call.timestamp - WITHIN)
        found: list[AskedCall] = []
        for some in chunks(list(ids)):
            rows = ToolCall.objects.filter(near, _VISIBLE, tool_call_id__in=some)
            found += _read(rows.order_by("-id")[:MAX_FOUND])
        for asked in self._oldest_first(found):
            if asked.tool_call_id in ids:
                self._by_id[asked.tool_call_id].append(asked)
        left = [one for one in results if cut(one.result.tool_call_id) not in self._by_id]
        names = {name for one in left if one.echo and (name := cut(one.name))}
        if names:
            for asked in self._oldest_first(self._find_named(names)):
                if asked.name in names:
                    self._by_name[asked.name].append(asked)

    def _find_named(self, names: Collection[str]) -> list[AskedCall]:
        """Returns calls of these tools: of this scope and, without a session, of the calls just
        before."""
        named = ToolCall.objects.filter(name__in=names).order_by("-id")
        found = _read(named.filter(scope=self._scope)[:MAX_CANDIDATES])
        if self._scope < 0:
            at = self._call.timestamp
            latest = Call.objects.filter(timestamp__lte=at, timestamp__gte=at - WITHIN)
            facts = latest.order_by("-timestamp").values_list("pk", "scope", *Caller._fields)
            calls = [
                pk
                for pk, scope, *caller in facts[:MAX_JUST_BEFORE]
                if scope < 0 and scope != self._scope and self._caller == tuple(caller)
            ]
            found += _read(named.filter(_VISIBLE, call__in=calls)[:MAX_CANDIDATES])
        return found

    def _oldest_first(self, found: Iterable[AskedCall]) -> list[AskedCall]:
        """Returns what was found, as this batch left it, and the calls of this batch."""
        earlier = sorted(found, key=lambda asked: asked.row["id"])
        for asked in earlier:
            asked.is_answered = asked.is_answered or asked.row["id"] in self._answered
        return [*earlier, *self._in_batch]

    def fitting(self, one: BroughtResult) -> list[AskedCall]:
        """Returns those that a result may belong to, oldest first."""
        id_ = cut(one.result.tool_call_id)
        candidates = self._by_id.get(id_ or "", [])[-MAX_CANDIDATES:]
        if id_ and candidates:
            if one.echo is not None and not is_unique(id_):
                read_arguments(candidates)
            return [asked for asked in candidates if self._fits(asked, one, by_id=id_)]
        named = self._by_name.get(cut(one.name) or "", [])
        named = [asked for asked in named if not (id_ and asked.tool_call_id)][-MAX_CANDIDATES:]
        read_arguments(named)
        return [asked for asked in named if self._fits(asked, one, by_id=None)]

    def _fits(self, asked: AskedCall, one: BroughtResult, *, by_id: str | None) -> bool:
        is_known = by_id is not None and is_unique(by_id)
        if asked.scope == self._scope:
            # What waits in the own scope was looked at before.
            return asked.is_answered and (
                is_known or (by_id is not None and not one.is_latest) or asked.is_same_as(one.echo)
            )
        if asked.caller != self._caller:
            return False
        if is_known or (by_id and self._previous and asked.response_id == self._previous):
            return True
        return max(asked.scope, self._scope) < 0 and asked.is_same_as(one.echo)
