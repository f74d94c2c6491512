"""The turns of OpenAI's Realtime: responses that the agent requests or that its voice begins,
within one conversation that the provider keeps; and transcripts of the agent's voice, which
another model makes and bills.

https://platform.openai.com/docs/api-reference/realtime-server-events
"""

from __future__ import annotations

from collections import deque
from typing import Any

import msgspec

from capture.wire.json.fields import text
from capture.wire.json.lenient import load
from capture.wire.sockets.turns import (
    History,
    TurnEnded,
    TurnEvent,
    TurnMessage,
    TurnStarted,
    as_object,
    as_sse_event,
    read_odd_event,
)

_NOTHING = msgspec.Raw()
# Items that the agent sent and the provider has not named yet.
MAX_UNSEEN = 1_000


class _Event(msgspec.Struct):
    type: str = ""
    event_id: Any = None
    response_id: Any = None
    item_id: Any = None
    session: msgspec.Raw = _NOTHING
    response: msgspec.Raw = _NOTHING
    item: msgspec.Raw = _NOTHING
    error: msgspec.Raw = _NOTHING
    usage: msgspec.Raw = _NOTHING


class _Head(msgspec.Struct):
    id: str | None = None
    event_id: str | None = None  # of an error: the agent's event that it is about
    type: str | None = None
    role: str | None = None


_read = msgspec.json.Decoder(_Event).decode
_decode_head = msgspec.json.Decoder(_Head).decode
_read_fields = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode

# The fields of a session, or of a response.create, that are not part of the model's request.
_NOT_IN_REQUEST = frozenset(
    ("id", "object", "type", "expires_at", "client_secret", "tracing", "include", "conversation")
)
_SESSION_EVENTS = frozenset(
    f"{kind}.{change}"
    for kind in ("session", "transcription_session")
    for change in ("created", "updated")
)
_ITEM_EVENTS = frozenset(
    ("conversation.item.created", "conversation.item.added", "conversation.item.done")
)


class RealtimeTurnTracker:
    def __init__(self) -> None:
        self._n = 0
        self._session: dict[str, bytes] = {}
        self._items = History()
        self._unseen: deque[str] = deque(
            maxlen=MAX_UNSEEN
        )  # keys of items that have no id of the provider yet
        # Turns that were requested and have no response yet, with the id of the agent's event.
        self._requested: dict[int, str | None] = {}
        self._responses: dict[str, int] = {}

    def from_agent(self, message: bytes) -> list[TurnEvent]:
        event = _event(message)
        if event is None:
            return []
        if event.type == "conversation.item.create" and event.item:
            self._n += 1
            item = bytes(event.item)
            key = _id(item) or f"sent {self._n}"
            if _id(item) is None:
                self._unseen.append(key)
            self._items.put(key, item)
        elif event.type == "response.create":
            self._n += 1
            self._requested[self._n] = event.event_id if isinstance(event.event_id, str) else None
            return [TurnStarted(self._n, self._body(_fields(event.response)))]
        return []

    def from_provider(self, message: bytes) -> list[TurnEvent]:
        event = _event(message)
        if event is None:
            return []
        if event.type in _SESSION_EVENTS:
            self._session = _fields(event.session)
        elif event.type in _ITEM_EVENTS:
            self._put_item(bytes(event.item))
        elif event.type == "conversation.item.deleted" and isinstance(event.item_id, str):
            self._items.remove(event.item_id)
        elif event.type == "conversation.item.input_audio_transcription.completed":
            self._items.put(f"transcript of {event.item_id}", message)
            return self._transcription(message, is_billed=bytes(event.usage) not in (b"", b"null"))
        elif event.type == "conversation.item.input_audio_transcription.failed":
            return self._transcription(message, is_billed=False)
        elif event.type == "error":
            return self._follow_error(message, bytes(event.error))
        return self._follow_response(event, message)

    def _put_item(self, item: bytes) -> None:
        key = _id(item)
        if key is None:
            return
        if self._unseen and key not in self._items and not _is_from_model(item):
            self._items.remove(self._unseen.popleft())  # the provider has given it an id
        self._items.put(key, item)

    def _transcription(self, message: bytes, *, is_billed: bool) -> list[TurnEvent]:
        """Returns the whole turn of a transcript. One without a usage, of a session that names no
        model for it, is part of the conversation."""
        config = _transcription_config(self._session)
        if not (is_billed or config.get("model")):
            return []
        self._n += 1
        body = as_object({**config, "input": b"[]"})
        return [
            TurnStarted(self._n, body),
            TurnMessage(self._n, as_sse_event(message)),
            TurnEnded(self._n),
        ]

    def _follow_response(self, event: _Event, message: bytes) -> list[TurnEvent]:
        id_ = _id(bytes(event.response)) if event.response else event.response_id
        if not isinstance(id_, str):
            return []
        steps: list[TurnEvent] = []
        turn = self._responses.get(id_)
        if turn is None and event.type == "response.created":
            turn = next(iter(self._requested), None)
            if turn is None:  # the end of the agent's speech began it
                self._n += 1
                turn = self._n
                steps.append(TurnStarted(turn, self._body({})))
            self._requested.pop(turn, None)
            self._responses[id_] = turn
        if turn is None:
            return []
        steps.append(TurnMessage(turn, as_sse_event(message)))
        if event.type == "response.done":
            del self._responses[id_]
            steps.append(TurnEnded(turn))
        return steps

    def _follow_error(self, message: bytes, error: bytes) -> list[TurnEvent]:
        """Ends the turn that the error is about; an error about another event is no call's."""
        about = _read_head(error).event_id
        found = [turn for turn, id_ in self._requested.items() if about is None or id_ == about]
        if not found:
            return []
        turn = found[0]
        del self._requested[turn]
        return [TurnMessage(turn, as_sse_event(message)), TurnEnded(turn)]

    def _body(self, options: dict[str, bytes]) -> bytes:
        parsed_request = {**self._session, **options}
        parsed_request = {
            name: value for name, value in parsed_request.items() if name not in _NOT_IN_REQUEST
        }
        # A response outside the conversation brings its own input.
        parsed_request["input"] = options.get("input") or self._items.as_array()
        return as_object(parsed_request)


def _event(message: bytes) -> _Event | None:
    try:
        return _read(message)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _odd_event(read_odd_event(message, _Event.__struct_fields__))


def _odd_event(found: dict[str, bytes]) -> _Event | None:
    if not found:
        return None
    event = _Event(type=text(load(found.get("type", b""))[0]) or "")
    event.event_id, event.response_id, event.item_id = (
        load(found.get(name, b"null"))[0] for name in ("event_id", "response_id", "item_id")
    )
    event.session, event.response, event.item, event.error, event.usage = (
        msgspec.Raw(found.get(name, b""))
        for name in ("session", "response", "item", "error", "usage")
    )
    return event


def _fields(raw: msgspec.Raw) -> dict[str, bytes]:
    try:
        return {name: bytes(value) for name, value in _read_fields(raw).items()} if raw else {}
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {}


def _transcription_config(session: dict[str, bytes]) -> dict[str, bytes]:
    """Returns how the agent's voice is transcribed: the model, the language, a prompt."""
    found = session.get("input_audio_transcription")  # as it was before Realtime left beta
    if found is None:
        audio = _fields(msgspec.Raw(session.get("audio", b"")))
        voice = _fields(msgspec.Raw(audio.get("input", b"")))
        found = voice.get("transcription", b"")
    return _fields(msgspec.Raw(found))


def _read_head(raw: bytes) -> _Head:
    try:
        return _decode_head(raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _Head()


def _id(raw: bytes) -> str | None:
    return _read_head(raw).id


def _is_from_model(item: bytes) -> bool:
    head = _read_head(item)
    return head.role == "assistant" or head.type == "function_call"
