"""Calls as canonical JSON, with all fields that `/session/…` gives them. Each message is made
canonical once, though hundreds of calls repeat it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from uuid import UUID
from weakref import WeakKeyDictionary

import orjson

from capture.wire.json.lenient import load
from reports.export.canonical import (
    MAX_INTEGER,
    Canonical,
    canonical,
    is_carried,
    number_json,
    number_name,
)
from reports.json_encoding import encode
from reports.output.call_json import FIELDS, call_json
from reports.queries.histories import HistorySlice, MessageHistory
from reports.queries.records import Record, RequestPart

# What came as JSON is read anew: its numbers may be such as no canonical JSON carries.
_AS_SENT = ("messages", "tools", "tool_calls")
_OTHERS = frozenset(FIELDS).difference(_AS_SENT)
# The types of values that orjson writes as RFC 8785 does.
_AS_THEY_ARE = frozenset((str, type(None), bool, UUID, datetime))
# No JSON contains it.
_PLACEHOLDER = orjson.Fragment(b"\0")
_NULL = Canonical(b"null")


class CanonicalCall(NamedTuple):
    """`pieces` are the canonical JSON, `coerced` the pointers within it."""

    pieces: Sequence[bytes | memoryview]
    coerced: Sequence[str]


class CanonicalCalls:
    """Makes calls canonical, in time order."""

    def __init__(self) -> None:
        self._parts: WeakKeyDictionary[RequestPart, Canonical] = WeakKeyDictionary()
        # By the history that the page's calls share.
        self._histories: WeakKeyDictionary[MessageHistory, MessageHistory] = WeakKeyDictionary()

    def make(self, record: Record) -> CanonicalCall:
        values = call_json(record, _OTHERS)
        if values["price_corrections"]:
            values["price_corrections"] = orjson.loads(encode(values["price_corrections"]))
        coerced: list[str] = []
        for name, value in values.items():
            if type(value) in _AS_THEY_ARE:
                continue
            if isinstance(value, dict | list):
                found = canonical(value)
                values[name] = orjson.Fragment(found.json)
                coerced += [f"/{name}{pointer}" for pointer in found.coerced]
            elif isinstance(value, float | Decimal):
                number = float(value)
                if is_carried(number):
                    values[name] = orjson.Fragment(number_json(number))
                else:
                    values[name] = number_name(number)
                    coerced.append(f"/{name}")
            elif isinstance(value, int) and not -MAX_INTEGER <= value <= MAX_INTEGER:
                values[name] = str(value)
                coerced.append(f"/{name}")
        tools = self._part(record.tools) if record.tools else _NULL
        tool_calls = canonical(_tool_calls(record))
        coerced += [f"/tools{pointer}" for pointer in tools.coerced]
        coerced += [f"/tool_calls{pointer}" for pointer in tool_calls.coerced]
        values["tools"] = orjson.Fragment(tools.json)
        values["tool_calls"] = orjson.Fragment(tool_calls.json)
        values["messages"] = _PLACEHOLDER
        head, tail = orjson.dumps(values, option=orjson.OPT_SORT_KEYS).split(b"\0")
        coerced += self._coerced_in_messages(record)
        return CanonicalCall([head, *self._messages(record), tail], coerced)

    def _messages(self, record: Record) -> list[bytes | memoryview]:
        if record.history is None:
            return [b"null"]
        if record.is_marked:
            joined: bytes | memoryview = b",".join(
                self._part(part).json for part in _messages_of(record)
            )
        else:
            joined = self._history(record, record.history).join(*record.history[1:])
        if record.history.n_messages == 1 and bytes(joined[:1]) == b'"':
            return [joined]
        return [b"[", joined, b"]"]

    def _history(self, record: Record, found: HistorySlice) -> MessageHistory:
        history = self._histories.get(found.history)
        if history is None:
            parts = record.page_parts.parts
            history = MessageHistory(found.history.refs, lambda ref: self._part(parts[ref]).json)
            self._histories[found.history] = history
        return history

    def _coerced_in_messages(self, record: Record) -> Iterator[str]:
        is_alone = record.history is not None and record.history.n_messages == 1
        for number, part in enumerate(_messages_of(record)):
            found = self._part(part)
            if found.coerced:
                is_text = is_alone and found.json.startswith(b'"')
                place = "/messages" if is_text else f"/messages/{number}"
                yield from (place + pointer for pointer in found.coerced)

    def _part(self, part: RequestPart) -> Canonical:
        found = self._parts.get(part)
        if found is None:
            found = self._parts[part] = canonical(load(part.text.data)[0])
        return found


def _messages_of(record: Record) -> Iterator[RequestPart]:
    return (part for part in record.parts_as_sent if part.kind == "message")


def _tool_calls(record: Record) -> list[dict[str, Any]]:
    return [
        {"id": row["tool_call_id"], "name": row["name"], "arguments": _arguments(row["arguments"])}
        for row in record.tool_calls
    ]


def _arguments(text: str) -> Any:
    value, problem = load(text.encode())
    return text if problem else value
