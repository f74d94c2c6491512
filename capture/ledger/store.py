"""Puts understood calls into the ledger: each once, in one transaction a batch."""

from __future__ import annotations

import hashlib
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping
from datetime import timedelta
from uuid import UUID

import orjson
from django.db import connection, transaction

from capture.ledger import bulk_sql
from capture.ledger.bulk_sql import Row, at_once
from capture.ledger.call_rows import (
    add_to_totals,
    binary_row,
    call_row,
    cost_parts,
    count,
    cut,
    is_kept,
    result_json,
    session_row,
    units,
)
from capture.ledger.compression import Packed, Text, pack_refs, packed
from capture.ledger.rollups import KeyMemory, Rollups
from capture.ledger.spend import Spending
from capture.ledger.stored_responses import Once
from capture.models import (
    NAME_LENGTH,
    Binary,
    Call,
    CallBody,
    Ledger,
    Message,
    Session,
    SessionValue,
    SpoolPosition,
    Tombstone,
    ToolCall,
)
from capture.operations.deletion import bury, deleted_before
from capture.parsing.parse import StoredPart, UnderstoodCall, heads
from capture.wire.types import ToolResult

# As many digests as the recorder remembers, so that a growing history is not looked up each time;
# about 10 MB.
REMEMBERED = 30_000

# The SDKs pause for seconds between two tries, but a try itself may take its whole time-out.
RETRIED_WITHIN = timedelta(hours=1)

Key = tuple[int, bytes]
"""A part's scope and digest."""
Brought = tuple[ToolResult, bool]
"""A tool's result, and whether the message that brings it is new to the ledger."""


class MessageMemory:
    """Which parts the ledger holds, most recently used last."""

    def __init__(self) -> None:
        self._ids: OrderedDict[Key, int] = OrderedDict()
        self.rollup_keys = KeyMemory()
        self._n_removals = 0

    def follow(self, ledger: Ledger) -> None:
        """Forget all, if parts were removed from scopes that go on: maybe by another recorder."""
        if ledger.n_removals != self._n_removals:
            self._ids.clear()
            self._n_removals = ledger.n_removals

    def get(self, key: Key) -> int | None:
        found = self._ids.get(key)
        if found is not None:
            self._ids.move_to_end(key)
        return found

    def learn(self, ids: Mapping[Key, int]) -> None:
        self._ids.update(ids)
        while len(self._ids) > REMEMBERED:
            self._ids.popitem(last=False)


def record(
    calls: list[UnderstoodCall],
    positions: Mapping[str, int],
    memory: MessageMemory,
    *,
    keep_binaries: bool = False,
) -> int:
    """Add `calls` that the ledger does not hold yet, and the spool positions that stand for them.
    With `keep_binaries` the bytes of their binaries as well.

    Returns how many were added. Either all of it is committed or nothing.
    """
    with transaction.atomic():
        ledger = Ledger.objects.select_for_update().get(pk=1)
        memory.follow(ledger)
        batch = _Batch(ledger, memory, keep_binaries=keep_binaries)
        new = _not_recorded(calls)
        deleted = deleted_before(new)
        bury(new, deleted)
        new = [call for call in new if call.action_id not in deleted]
        batch.add(new)
        batch.write()
        _save_positions(positions)
    memory.learn(batch.learned)
    memory.rollup_keys.learn(batch.rollups.learned)
    return len(new)


def check_writable() -> None:
    """Raises a database's error where no call could be recorded now."""
    with transaction.atomic():
        ledger = Ledger.objects.select_for_update().get(pk=1)
        ledger.save()


def forget_segments(names: Iterable[str]) -> bool:
    """Drop the positions of segments whose files are gone."""
    SpoolPosition.objects.filter(segment__in=list(names)).delete()
    return True


def _not_recorded(calls: list[UnderstoodCall]) -> list[UnderstoodCall]:
    """A spool that is read again after a crash yields calls that were recorded before it."""
    seen: set[UUID] = set()
    for some in at_once([call.action_id for call in calls]):
        for model in (Call, Tombstone):
            seen.update(model.objects.filter(pk__in=some).values_list("pk", flat=True))
    new = []
    for call in calls:
        if call.action_id not in seen:
            seen.add(call.action_id)
            new.append(call)
    return new


def _save_positions(positions: Mapping[str, int]) -> None:
    table = connection.ops.quote_name(SpoolPosition._meta.db_table)
    with connection.cursor() as cursor:
        cursor.executemany(
            f'INSERT INTO {table} (segment, "offset") VALUES (%s, %s)'
            ' ON CONFLICT (segment) DO UPDATE SET "offset" = excluded."offset"',
            list(positions.items()),
        )


class _Batch:
    """The rows of one transaction, made under the ledger's lock."""

    def __init__(self, ledger: Ledger, memory: MessageMemory, *, keep_binaries: bool) -> None:
        self.ledger = ledger
        self.memory = memory
        self.keep_binaries = keep_binaries
        self.learned: dict[Key, int] = {}
        self.sessions: dict[str, Session] = {}
        self.new_sessions: set[int] = set()
        self.calls: list[Row] = []
        self.bodies: list[Row] = []
        self.values: list[Row] = []
        self.messages: list[Row] = []
        self.binaries: list[Row] = []
        self.kept_later: list[Row] = []  # bytes of binaries that lay here without them
        self.tool_calls: list[Row] = []
        self.answered_before: list[Row] = []  # tool calls of earlier batches, with their results
        self.spending = Spending()
        self.rollups = Rollups(ledger, memory.rollup_keys)
        self.once = Once(self.sessions, self.spending, self.rollups)
        # By scope and the request's SHA-256: the latest call and its attempt.
        self._sent: dict[tuple[int, str | None], tuple[UUID, int]] = {}
        # By scope and id, the latest last: tool calls without a result, and the SHA-256 of the
        # request that they answered.
        self._waiting: dict[tuple[int, str], list[tuple[Row, str | None]]] = defaultdict(list)

    # --- building ---

    def add(self, calls: list[UnderstoodCall]) -> None:
        self._find_sessions(calls)
        scopes = [self._scope(call) for call in calls]
        self._find_messages(calls, scopes)
        brought = [
            (call, scope, _results(call, self._store_parts(call, scope)))
            for call, scope in zip(calls, scopes, strict=True)
        ]
        self._add_binaries(calls, scopes)
        self._find_tool_calls(brought)
        for call, scope, results in brought:
            self._add_call(call, scope, results)

    def _find_sessions(self, calls: list[UnderstoodCall]) -> None:
        ids = {id_ for call in calls if (id_ := call.ledger_field("session_id"))}
        for some in at_once(sorted(ids)):
            found = Session.objects.not_deleted().filter(session_id__in=some)
            self.sessions.update({session.session_id: session for session in found})

    def _scope(self, call: UnderstoodCall) -> int:
        session_id = call.ledger_field("session_id")
        if session_id is None:
            return _scope_without_session(call)
        if session_id not in self.sessions:
            self.ledger.last_session_id += 1
            self.new_sessions.add(self.ledger.last_session_id)
            self.sessions[session_id] = Session(
                id=self.ledger.last_session_id,
                session_id=session_id,
                started_at=call.timestamp,
                last_call_at=call.timestamp,
            )
        return self.sessions[session_id].id

    def _find_messages(self, calls: list[UnderstoodCall], scopes: list[int]) -> None:
        unknown: dict[int, set[bytes]] = defaultdict(set)
        for call, scope in zip(calls, scopes, strict=True):
            if scope in self.new_sessions:
                continue
            for part in _all_parts(call):
                if self.memory.get((scope, part.digest)) is None:
                    unknown[scope].add(part.digest)
        for scope, digests in unknown.items():
            for some in at_once(list(digests)):
                found = Message.objects.filter(scope=scope, digest__in=some)
                for digest, id_ in found.values_list("digest", "id"):
                    self.learned[scope, bytes(digest)] = id_

    def _store_parts(self, call: UnderstoodCall, scope: int) -> list[StoredPart]:
        """The parts that this call is the first to bring."""
        new = []
        for part in _all_parts(call):
            key = (scope, part.digest)
            if key in self.learned or self.memory.get(key) is not None:
                continue
            self.ledger.last_message_id += 1
            self.learned[key] = self.ledger.last_message_id
            data, encoding = packed(part.data, part.places)
            self.messages.append(
                {
                    "id": self.ledger.last_message_id,
                    "scope": scope,
                    "digest": part.digest,
                    "kind": part.kind,
                    "action_id": call.action_id,
                    "data": data,
                    "encoding": int(encoding),
                }
            )
            new.append(part)
        return new

    def _ref(self, scope: int, part: StoredPart) -> int:
        key = (scope, part.digest)
        found = self.learned.get(key) or self.memory.get(key)
        assert found is not None
        return found

    def _add_binaries(self, calls: list[UnderstoodCall], scopes: list[int]) -> None:
        brought: dict[int, dict[bytes, UnderstoodCall]] = defaultdict(dict)  # by scope and digest
        for call, scope in zip(calls, scopes, strict=True):
            for digest in call.binaries:
                brought[scope].setdefault(digest, call)
        for scope, first in brought.items():
            known: dict[bytes, int] = {}
            bare: set[bytes] = set()
            for some in at_once(list(first)):
                found = Binary.objects.filter(scope=scope, digest__in=some)
                known |= {bytes(digest): id_ for digest, id_ in found.values_list("digest", "id")}
                if self.keep_binaries and known:
                    bare |= set(
                        map(bytes, found.filter(data=None).values_list("digest", flat=True))
                    )
            for digest, call in first.items():
                binary = call.binaries[digest]
                if digest not in known:
                    row = binary_row(call, scope, binary, keep=self.keep_binaries)
                    self.binaries.append(row)
                elif digest in bare:
                    self.kept_later.append({"id": known[digest], "data": binary.data})

    def _find_tool_calls(self, brought: list[tuple[UnderstoodCall, int, list[Brought]]]) -> None:
        """Tool calls of earlier batches whose results come now, the latest of an id first."""
        wanted: dict[int, set[str]] = defaultdict(set)
        for _, scope, results in brought:
            for result, _ in results:
                if result.tool_call_id:
                    wanted[scope].add(result.tool_call_id[:NAME_LENGTH])
        for scope, ids in wanted.items():
            if scope in self.new_sessions:
                continue
            for some in at_once(list(ids)):
                found = ToolCall.objects.filter(
                    scope=scope, tool_call_id__in=some, result_action_id=None
                )
                facts = ("id", "tool_call_id", "call__request_sha256")
                for id_, tool_call_id, sha256 in found.order_by("id").values_list(*facts):
                    self._waiting[scope, str(tool_call_id)].append(({"id": id_}, sha256))

    def _add_call(self, call: UnderstoodCall, scope: int, results: list[Brought]) -> None:
        orphans = [
            result
            for result, is_new in results
            if not self._give_result(scope, result, call) and is_new
        ]
        counted = self.once.count(call) if is_kept(call) else None
        self.ledger.last_seq += 1
        session_id = call.ledger_field("session_id")
        session = self.sessions[session_id] if session_id else None
        row = call_row(call, scope, self.ledger.last_seq, session)
        if call.attempt > 1:
            row["retry_of"] = self._earlier_attempt(call, scope)
        if counted is not None:
            row["fetch_of"] = counted
        self.spending.add(call)
        body = self._body_row(call, scope, orphans)
        self.once.learn(row, body)
        self._sent[scope, call.request_sha256] = (call.action_id, call.attempt)
        self.calls.append(row)
        self.bodies.append(body)
        self._add_tool_calls(call, scope)
        self.rollups.count(row, call.n_calls)
        if session is not None:
            for name, value in add_to_totals(session, row, n_calls=call.n_calls):
                self.values.append({"session_id": session.id, "name": name, "value": value})

    def _earlier_attempt(self, call: UnderstoodCall, scope: int) -> UUID | None:
        """The call that sent the same body before, as a try that was counted before this one."""
        sent = self._sent.get((scope, call.request_sha256))
        if sent is not None and sent[1] < call.attempt:
            return sent[0]
        if scope in self.new_sessions:
            return None
        earlier = Call.objects.filter(
            session=scope if scope > 0 else None,
            scope=scope,
            timestamp__gte=call.timestamp - RETRIED_WITHIN,
            request_sha256=call.request_sha256,
            attempt__lt=call.attempt,
        )
        return earlier.order_by("-timestamp", "-seq").values_list("pk", flat=True).first()

    def _give_result(self, scope: int, result: ToolResult, call: UnderstoodCall) -> bool:
        waiting = self._waiting.get((scope, (result.tool_call_id or "")[:NAME_LENGTH]))
        # A request that is sent again does not bring the results of what its first answer called.
        if not waiting or waiting[-1][1] == call.request_sha256:
            return False
        row, _ = waiting.pop()
        change = {
            "result": {"content": result.content},
            "result_is_error": result.is_error,
            "result_action_id": call.action_id,
        }
        if "arguments" in row:  # made in this batch
            row.update(change)
        else:
            self.answered_before.append({"id": row["id"], **change})
        return True

    def _body_row(self, call: UnderstoodCall, scope: int, orphans: list[ToolResult]) -> Row:
        parsed_response, parsed_request = call.parsed_response, call.parsed_request
        frame = _packed(call.frame) if call.frame is not None else None
        response = _packed(call.response)
        return {
            "call_id": call.action_id,
            "content": parsed_response.content,
            "reasoning": parsed_response.reasoning,
            "choices": parsed_response.choices or None,
            "temperature": parsed_request.temperature,
            "max_tokens": count(parsed_request.max_tokens),
            "request_params": parsed_request.params or None,
            "usage": call.usage.raw or None if call.usage else None,
            "units": units(call.usage),
            "cost_parts": cost_parts(call.cost),
            "tool_results": [result_json(r) for r in orphans] or None,
            "heads": heads(call),
            "notes": call.notes or None,
            "refusal": call.refusal,
            "prompt_ref": self._ref(scope, call.prompt) if call.prompt else None,
            "part_refs": pack_refs(self._ref(scope, part) for part in call.parts),
            "frame": frame.data if frame else None,
            "frame_is_whole": call.frame_is_whole,
            "frame_encoding": int(frame.encoding) if frame else 0,
            "response": response.data,
            "response_encoding": int(response.encoding),
        }

    def _add_tool_calls(self, call: UnderstoodCall, scope: int) -> None:
        for position, tool_call in enumerate(call.parsed_response.tool_calls):
            row: Row = {
                "call_id": call.action_id,
                "scope": scope,
                "position": position,
                "tool_call_id": cut(tool_call.id, NAME_LENGTH),
                "name": cut(tool_call.name, NAME_LENGTH),
                "arguments": tool_call.arguments,
                "result": None,
                "result_is_error": None,
                "result_action_id": None,
            }
            self.tool_calls.append(row)
            if row["tool_call_id"]:
                self._waiting[scope, row["tool_call_id"]].append((row, call.request_sha256))

    # --- writing ---

    def write(self) -> None:
        new: list[Row] = []
        old: list[Row] = []
        for session in self.sessions.values():
            is_new = session.id in self.new_sessions
            (new if is_new else old).append(session_row(session, is_new=is_new))
        bulk_sql.insert(Session, new)
        bulk_sql.insert(SessionValue, self.values)
        bulk_sql.insert(Call, self.calls)
        bulk_sql.insert(CallBody, self.bodies)
        bulk_sql.insert(Message, self.messages)
        bulk_sql.insert(Binary, self.binaries)
        bulk_sql.update(Binary, self.kept_later, key="id")
        bulk_sql.insert(ToolCall, self.tool_calls)
        bulk_sql.update(ToolCall, self.answered_before, key="id")
        bulk_sql.update(Session, old, key="id")
        self.spending.write()
        self.rollups.write()
        if self.calls:
            self.ledger.save()


def _results(call: UnderstoodCall, new_parts: list[StoredPart]) -> list[Brought]:
    """Of the messages that are new, and of those at the end: a tool that gives the same result for
    the same id again is a message that the ledger holds already."""
    of_new = {part.digest: call.tool_results(part) for part in new_parts}
    found = [(result, True) for results in of_new.values() for result in results]
    for part in reversed(call.parts):
        if part.digest in of_new:
            results = of_new[part.digest]
        else:
            results = call.tool_results(part)
            found += [(result, False) for result in results]
        if part.kind == "message" and not results:
            break
    return found


def _packed(text: Text) -> Packed:
    return packed(text.data, text.places, is_decoded=text.is_decoded)


def _all_parts(call: UnderstoodCall) -> list[StoredPart]:
    return [*call.parts, call.prompt] if call.prompt else call.parts


def _scope_without_session(call: UnderstoodCall) -> int:
    """Calls without a session share what they store when they look like one conversation: the same
    agent, user and application, and the same beginning. Below 0: sessions' scopes are their ids."""
    beginning = call.parts[0].digest if call.parts else call.action_id.bytes
    names = [call.ledger_field(name) for name in ("agent_name", "user_id", "app_id")]
    digest = hashlib.sha256(orjson.dumps(names) + beginning).digest()
    return -1 - (int.from_bytes(digest[:8]) >> 1)


def spool_positions() -> dict[str, int]:
    return dict(SpoolPosition.objects.values_list("segment", "offset"))
