"""The turns of a WebSocket are told apart, whatever the messages are."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.wire.formats.openai import responses as openai_responses
from capture.wire.registry import for_socket
from capture.wire.sockets.gemini_live import GeminiLiveTurnTracker
from capture.wire.sockets.openai_realtime import RealtimeTurnTracker
from capture.wire.sockets.openai_responses import ResponsesTurnTracker
from capture.wire.sockets.turns import (
    MAX_HISTORY,
    TurnEnded,
    TurnEvent,
    TurnMessage,
    TurnStarted,
    TurnTracker,
    as_sse_event,
)

JSON = Any

KINDS = (RealtimeTurnTracker, ResponsesTurnTracker, GeminiLiveTurnTracker)

_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
_messages = st.one_of(
    st.binary(max_size=30),
    st.builds(
        lambda kind, more: json.dumps({**more, "type": kind}).encode(),
        st.sampled_from(
            [
                "session.created",
                "response.create",
                "response.created",
                "response.done",
                "error",
                "conversation.item.create",
                "conversation.item.added",
                "conversation.item.input_audio_transcription.completed",
                "conversation.item.input_audio_transcription.failed",
                "transcription_session.updated",
                "response.completed",
            ]
        ),
        st.dictionaries(
            st.sampled_from(
                ["session", "response", "item", "error", "usage", "event_id", "response_id"]
            ),
            st.one_of(_values, st.fixed_dictionaries({"id": st.sampled_from(["a", "b"])})),
        ),
    ),
    st.builds(
        lambda name, value: json.dumps({name: value}).encode(),
        st.sampled_from(["setup", "clientContent", "toolResponse", "serverContent", "toolCall"]),
        st.one_of(
            _values,
            st.fixed_dictionaries(
                {"turnComplete": st.booleans(), "modelTurn": _values, "functionCalls": _values}
            ),
        ),
    ),
)


@pytest.mark.parametrize("kind", KINDS)
@given(st.lists(st.tuples(st.booleans(), _messages), max_size=25))
def test_turns_start_before_their_messages_and_end_once(
    kind: type[TurnTracker], messages: list[tuple[bool, bytes]]
) -> None:
    turns = kind()
    running: set[int] = set()
    ended: set[int] = set()
    for is_agents, message in messages:
        steps: list[TurnEvent] = (
            turns.from_agent(message) if is_agents else turns.from_provider(message)
        )
        for step in steps:
            if isinstance(step, TurnStarted):
                assert step.turn not in running | ended
                assert isinstance(json.loads(step.body), dict)
                running.add(step.turn)
            elif isinstance(step, TurnMessage):
                assert step.turn in running
                assert step.piece == as_sse_event(message)
            else:
                assert isinstance(step, TurnEnded)
                running.remove(step.turn)
                ended.add(step.turn)


def test_a_long_conversation_is_kept_within_its_bound() -> None:
    turns = RealtimeTurnTracker()
    for n in range(100):
        item = {"id": f"item_{n}", "type": "message", "role": "user", "content": "x" * 50_000}
        turns.from_provider(json.dumps({"type": "conversation.item.done", "item": item}).encode())
    [begins] = turns.from_agent(b'{"type":"response.create"}')
    assert isinstance(begins, TurnStarted)
    assert len(begins.body) < MAX_HISTORY + 50_000
    assert json.loads(begins.body)["input"][-1]["id"] == "item_99"


GA = {"audio": {"input": {"transcription": {"model": "gpt-4o-transcribe", "language": "de"}}}}
BETA = {"input_audio_transcription": {"model": "gpt-4o-transcribe", "language": "de"}}
TRANSCRIBED = {
    "type": "conversation.item.input_audio_transcription.completed",
    "item_id": "item_1",
    "transcript": "Hallo",
}


@pytest.mark.parametrize(
    ("kind", "session"), [("session", GA), ("session", BETA), ("transcription_session", BETA)]
)
def test_a_transcript_is_a_turn_of_the_model_that_made_it(kind: str, session: JSON) -> None:
    turns = RealtimeTurnTracker()
    turns.from_provider(json.dumps({"type": f"{kind}.updated", "session": session}).encode())
    message = json.dumps(TRANSCRIBED).encode()
    begins, *rest = turns.from_provider(message)
    assert isinstance(begins, TurnStarted)
    assert json.loads(begins.body) == {"model": "gpt-4o-transcribe", "language": "de", "input": []}
    assert rest == [TurnMessage(1, as_sse_event(message)), TurnEnded(1)]


@pytest.mark.parametrize("session", [{}, {"audio": 3}, {"audio": {"input": []}}])
def test_a_transcript_of_no_known_model_is_a_turn_if_it_is_billed(session: JSON) -> None:
    turns = RealtimeTurnTracker()
    turns.from_provider(json.dumps({"type": "session.created", "session": session}).encode())
    assert turns.from_provider(json.dumps({**TRANSCRIBED, "usage": None}).encode()) == []
    billed = {**TRANSCRIBED, "usage": {"type": "duration", "seconds": 3}}
    assert len(turns.from_provider(json.dumps(billed).encode())) == 3


def test_an_error_ends_the_turn_that_it_is_about() -> None:
    turns = RealtimeTurnTracker()
    turns.from_agent(b'{"type":"response.create","event_id":"one"}')
    turns.from_agent(b'{"type":"response.create","event_id":"two"}')
    assert turns.from_provider(b'{"type":"error","error":{"event_id":"other","message":"m"}}') == []
    about_two = b'{"type":"error","error":{"event_id":"two","message":"m"}}'
    assert turns.from_provider(about_two) == [TurnMessage(2, as_sse_event(about_two)), TurnEnded(2)]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/v1/realtime", "openai_realtime"),
        ("/openai/realtime", "openai_realtime"),
        ("/openai/v1/realtime", "openai_realtime"),
        ("/v1/responses", openai_responses.NAME),
        (
            "//ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent",
            "gemini_live",
        ),
        (
            "/ws/google.ai.generativelanguage.v1alpha.GenerativeService"
            ".BidiGenerateContentConstrained",
            "gemini_live",
        ),
        ("/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent", "gemini_live"),
        ("/v1/realtime/sessions", None),
        ("/ws", None),
    ],
)
def test_the_format_of_a_websocket_is_known_by_its_path(path: str, name: str | None) -> None:
    found = for_socket(path)
    assert (found[0].NAME if found else None) == name


@pytest.mark.parametrize("kind", [RealtimeTurnTracker, ResponsesTurnTracker])
@pytest.mark.parametrize(
    "message",
    [
        b'\xef\xbb\xbf{"type": "response.create", "response": {"model": "m"}}',
        b'{"type": "response.create", "x": NaN, "response": {"model": "m"}}',
        b'{"type": "response.create", "x": "\xff", "response": {"model": "m"}}',
        b'{"type": "response.create", "x": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
    ],
)
def test_a_turn_that_begins_oddly_is_a_turn(
    kind: type[RealtimeTurnTracker | ResponsesTurnTracker], message: bytes
) -> None:
    [step] = kind().from_agent(message)
    assert isinstance(step, TurnStarted)


# --- Codex prepares its turns: https://developers.openai.com/api/docs/guides/websocket-mode ---


def _create(**fields: object) -> bytes:
    return json.dumps({"type": "response.create", "model": "gpt-5", **fields}).encode()


def _event(kind: str, **response: object) -> bytes:
    return json.dumps({"type": kind, "response": response}).encode()


@pytest.mark.parametrize("end", ["response.completed", "response.failed", "error"])
def test_a_request_that_only_prepares_the_next_turn_is_none(end: str) -> None:
    tracker = ResponsesTurnTracker()
    assert tracker.from_agent(_create(generate=False)) == []
    for kind in ("response.created", "response.in_progress", "codex.rate_limits", end):
        assert tracker.from_provider(_event(kind, id="resp_1", output=[])) == []
    turn = _create(previous_response_id="resp_1", input=[])
    assert tracker.from_agent(turn) == [TurnStarted(2, turn)]
    done = _event("response.completed", id="resp_2")
    assert tracker.from_provider(done) == [TurnMessage(2, as_sse_event(done)), TurnEnded(2)]


def test_it_is_a_turn_where_the_provider_generates_all_the_same() -> None:
    """CLIProxyAPI #6006: upstreams that do not know the field generate, and charge for it."""
    tracker = ResponsesTurnTracker()
    asked = _create(generate=False)
    assert tracker.from_agent(asked) == []
    created, delta = _event("response.created", id="r"), _event("response.output_text.delta")
    done = _event("response.completed", id="r")
    assert tracker.from_provider(created) == []
    assert tracker.from_provider(delta) == [
        TurnStarted(1, asked),
        TurnMessage(1, as_sse_event(created)),
        TurnMessage(1, as_sse_event(delta)),
    ]
    assert tracker.from_provider(done) == [TurnMessage(1, as_sse_event(done)), TurnEnded(1)]


@pytest.mark.parametrize("more", ['"generate":true', '"generate":null', '"generate":NaN', '"a":1'])
def test_any_other_request_is_a_turn(more: str) -> None:
    message = f'{{"type":"response.create",{more}}}'.encode()
    assert ResponsesTurnTracker().from_agent(message) == [TurnStarted(1, message)]
