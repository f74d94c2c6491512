"""WebSockets to a provider: they pass unchanged, and each response in them is a call."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from google import genai
from google.genai import types as genai_types
from openai import OpenAI
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect
from websockets.sync.connection import Connection
from websockets.sync.server import ServerConnection

from tests.support.ledger import Ledger, ServerName
from tests.support.socket_provider import Handler, SocketProvider, hear, say

SERVERS: tuple[ServerName, ...] = ("daphne", "uvicorn")


Bridge = Callable[..., tuple[Ledger, SocketProvider]]


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    """A function that returns a ledger on the given server, one for all tests, and its provider,
    which behaves as `handler` does from then on."""
    with ExitStack() as stack:
        provider = stack.enter_context(SocketProvider(echo))

        @cache
        def start(server: ServerName) -> Ledger:
            folder = tmp_path_factory.mktemp(server)
            return stack.enter_context(Ledger(folder, provider.url, server=server))

        def program(
            handler: Handler, server: ServerName = "daphne", **more: Any
        ) -> tuple[Ledger, SocketProvider]:
            provider.program(handler, **more)
            return start(server), provider

        yield program


def address(ledger: Ledger, path: str) -> str:
    return ledger.url.replace("http", "ws", 1) + path


# --- OpenAI's Realtime ---

SESSION = {
    "type": "realtime",
    "object": "realtime.session",
    "id": "sess_1",
    "model": "gpt-realtime",
    "output_modalities": ["audio"],
    "instructions": "Answer in one word.",
    "tools": [{"type": "function", "name": "weather", "parameters": {"type": "object"}}],
    "max_output_tokens": 500,
}
USAGE = {
    "total_tokens": 250,
    "input_tokens": 200,
    "output_tokens": 50,
    "input_token_details": {
        "text_tokens": 120,
        "audio_tokens": 80,
        "image_tokens": 0,
        "cached_tokens": 0,
        "cached_tokens_details": {"text_tokens": 0, "audio_tokens": 0, "image_tokens": 0},
    },
    "output_token_details": {"text_tokens": 20, "audio_tokens": 30},
}


def realtime(connection: ServerConnection) -> None:
    """Two turns: a spoken response that was asked for, then a tool call that a voice set off."""
    say(connection, {"type": "session.created", "event_id": "e1", "session": SESSION})
    item = hear(connection)["item"]
    message = hear(connection)
    assert message["type"] == "response.create"
    user = {**item, "id": "item_1", "object": "realtime.item", "status": "completed"}
    response = {
        "id": "item_2",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [{"type": "output_audio", "transcript": "Paris."}],
    }
    started = {"id": "resp_1", "object": "realtime.response", "status": "in_progress", "output": []}
    say(
        connection,
        {"type": "conversation.item.added", "item": user},
        {"type": "conversation.item.done", "item": user},
        {"type": "response.created", "response": started},
        {
            "type": "response.output_item.added",
            "response_id": "resp_1",
            "output_index": 0,
            "item": {**response, "status": "in_progress", "content": []},
        },
        {
            "type": "response.output_audio_transcript.delta",
            "response_id": "resp_1",
            "item_id": "item_2",
            "output_index": 0,
            "content_index": 0,
            "delta": "Paris.",
        },
        {
            "type": "response.output_audio.delta",
            "response_id": "resp_1",
            "item_id": "item_2",
            "output_index": 0,
            "content_index": 0,
            "delta": "AAAA",
        },
        {"type": "conversation.item.done", "item": response},
        {
            "type": "response.done",
            "response": {**started, "status": "completed", "output": [response], "usage": USAGE},
        },
    )
    hear(connection)  # the agent's voice
    called = {
        "id": "item_4",
        "type": "function_call",
        "call_id": "call_1",
        "name": "weather",
        "arguments": '{"city":"Paris"}',
        "status": "completed",
    }
    spoken = {
        "id": "item_3",
        "type": "message",
        "role": "user",
        "content": [{"type": "input_audio", "transcript": "And the weather?"}],
    }
    second = {**started, "id": "resp_2"}
    say(
        connection,
        {"type": "conversation.item.added", "item": spoken},
        {"type": "conversation.item.done", "item": spoken},
        {"type": "response.created", "response": second},
        {
            "type": "response.done",
            "response": {**second, "status": "completed", "output": [called], "usage": USAGE},
        },
    )
    with suppress(ConnectionClosed):
        connection.recv()


@pytest.mark.parametrize("server", SERVERS)
def test_each_realtime_response_is_a_call(server: ServerName, bridge: Bridge) -> None:
    ledger, provider = bridge(realtime, server)
    client = OpenAI(
        base_url=f"{ledger.url}/v1",
        api_key="sk-secret",
        default_headers={
            "x-agentledger-session-id": "voice",
            "x-agentledger-agent-name": "ear",
        },
    )
    seen = []
    with client, client.realtime.connect(model="gpt-realtime") as connection:
        seen.append(connection.recv().type)
        connection.conversation.item.create(
            item={
                "type": "message",
                "role": "user",
                "content": [{"type": "input_text", "text": "Capital of France?"}],
            }
        )
        connection.response.create()
        while seen[-1] != "response.done":
            seen.append(connection.recv().type)
        connection.input_audio_buffer.append(audio="AAAA")
        while seen.count("response.done") < 2:
            seen.append(connection.recv().type)
    assert seen.count("response.created") == 2
    [handshake] = provider.requests
    assert handshake.path == "/v1/realtime?model=gpt-realtime"
    assert handshake.headers["authorization"] == "Bearer sk-secret"
    assert not [name for name in handshake.headers if name.startswith("x-agentledger")]
    first, second = ledger.calls("voice", count=2)

    assert first["wire_format"] == "openai_realtime"
    assert first["target"] == "/v1/realtime?model=gpt-realtime"
    assert (first["model_id"], first["provider"]) == ("gpt-realtime", "openai")
    assert first["system_prompt"] == "Answer in one word."
    assert first["tools"] == SESSION["tools"]
    assert [m["content"][0]["text"] for m in first["messages"]] == ["Capital of France?"]
    assert first["content"] == "Paris."
    assert (first["outcome"], first["stop_reason"]) == ("completed", "completed")
    assert (first["tokens_in"], first["tokens_out"]) == (200, 50)
    assert (first["tokens_audio_in"], first["tokens_audio_out"]) == (80, 30)
    # https://openai.com/api/pricing (gpt-realtime): text 4 and 16, audio 32 and 64 USD a million
    assert Decimal(str(first["cost_usd"])) == Decimal("0.00528")
    assert first["usage"] == USAGE
    assert first["ttft_ms"] is not None
    assert first["agent_name"] == "ear"
    assert [m["id"] for m in second["messages"]] == ["item_1", "item_2", "item_3"]
    assert [(c["name"], c["id"]) for c in second["tool_calls"]] == [("weather", "call_1")]
    assert "sk-secret" not in json.dumps([first, second])


TRANSCRIPTION = "conversation.item.input_audio_transcription"
TOKENS = {
    "type": "tokens",
    "total_tokens": 110,
    "input_tokens": 100,
    "input_token_details": {"text_tokens": 10, "audio_tokens": 90},
    "output_tokens": 10,
}
DURATION = {"type": "duration", "seconds": 60}


def transcription(connection: ServerConnection) -> None:
    """Transcripts of what the agent says, and no response."""
    for model, usage in (("gpt-4o-transcribe", TOKENS), ("whisper-1", DURATION)):
        voice = {"input": {"transcription": {"model": model}}}
        session = {"type": "transcription", "id": "sess_1", "audio": voice}
        say(connection, {"type": "session.updated", "session": session})
        hear(connection)
        part = {"item_id": model, "content_index": 0}
        say(
            connection,
            {"type": f"{TRANSCRIPTION}.delta", "delta": "Hal", **part},
            {"type": f"{TRANSCRIPTION}.completed", "transcript": "Hallo", "usage": usage, **part},
        )
    error = {"type": "transcription_error", "message": "it was too noisy"}
    say(connection, {"type": f"{TRANSCRIPTION}.failed", "item_id": "noise", "error": error})
    with suppress(ConnectionClosed):
        connection.recv()


def test_each_transcript_of_a_realtime_session_is_a_call(bridge: Bridge) -> None:
    ledger, _ = bridge(transcription, SERVERS[0])
    headers = {"x-agentledger-session-id": "dictation", "authorization": "Bearer sk-1"}
    with connect(
        address(ledger, "/v1/realtime?intent=transcription"), additional_headers=headers
    ) as agent:
        for n_messages in (3, 4):
            agent.recv()
            agent.send('{"type":"input_audio_buffer.append","audio":"AAAA"}')
            for _ in range(n_messages - 1):
                agent.recv()
    by_tokens, by_time, failed = ledger.calls("dictation", count=3)
    assert [c["model_id"] for c in (by_tokens, by_time)] == ["gpt-4o-transcribe", "whisper-1"]
    assert (by_tokens["content"], by_tokens["outcome"]) == ("Hallo", "completed")
    assert (by_tokens["tokens_in"], by_tokens["tokens_audio_in"]) == (100, 90)
    # https://openai.com/api/pricing: text 2.50 and 10, audio 6 USD a million; 0.006 a minute
    assert Decimal(str(by_tokens["cost_usd"])) == Decimal("0.000665")
    assert Decimal(str(by_time["cost_usd"])) == Decimal("0.006")
    assert (failed["cost_usd"], failed["error_detail"]) == (None, "it was too noisy")


# --- Responses ---


def responses(connection: ServerConnection) -> None:
    for n in (1, 2):
        message = hear(connection)
        whole = {
            "id": f"resp_{n}",
            "object": "response",
            "model": "gpt-4o-2024-08-06",
            "status": "completed",
            "output": [
                {
                    "id": "m",
                    "type": "message",
                    "role": "assistant",
                    "status": "completed",
                    "content": [{"type": "output_text", "text": f"Answer {n}", "annotations": []}],
                }
            ],
            "usage": {"input_tokens": 1000, "output_tokens": 100, "total_tokens": 1100},
        }
        if message["input"] == "fail":
            say(
                connection,
                {
                    "type": "error",
                    "status": 400,
                    "error": {"type": "invalid_request_error", "message": "no such"},
                },
            )
            continue
        say(
            connection,
            {
                "type": "response.created",
                "sequence_number": 0,
                "response": {**whole, "status": "in_progress", "output": [], "usage": None},
            },
            {
                "type": "response.output_text.delta",
                "sequence_number": 1,
                "item_id": "m",
                "output_index": 0,
                "content_index": 0,
                "delta": f"Answer {n}",
                "logprobs": [],
            },
            {"type": "response.completed", "sequence_number": 2, "response": whole},
        )
    with suppress(ConnectionClosed):
        connection.recv()


@pytest.mark.parametrize("server", SERVERS)
def test_each_response_over_a_websocket_is_a_call(server: ServerName, bridge: Bridge) -> None:
    ledger, _ = bridge(responses, server)
    client = OpenAI(
        base_url=f"{ledger.url}/v1",
        api_key="k",
        default_headers={"x-agentledger-session-id": "socket"},
    )
    with client, client.responses.connect() as connection:
        connection.response.create(model="gpt-4o", input="Hello", instructions="Be short.")
        for event in connection:
            if event.type == "response.completed":
                break
        connection.response.create(model="gpt-4o", input="fail")
        assert connection.recv().type == "error"
    first, second = ledger.calls("socket", count=2)
    assert (first["wire_format"], first["model_id"]) == ("openai_responses", "gpt-4o")
    assert (first["content"], first["system_prompt"]) == ("Answer 1", "Be short.")
    assert (first["tokens_in"], first["tokens_out"], first["usage_source"]) == (
        1000,
        100,
        "provider",
    )
    assert Decimal(str(first["cost_usd"])) == Decimal("0.0035")
    assert first["streaming"] is True
    assert (second["outcome"], second["error_detail"]) == ("upstream_error", "no such")


# --- Gemini Live ---


def live(connection: ServerConnection) -> None:
    def send(*messages: dict[str, Any]) -> None:
        for message in messages:
            connection.send(json.dumps(message).encode())

    assert "setup" in hear(connection)
    send({"setupComplete": {}})
    assert "client_content" in hear(connection)
    call = {"id": "f1", "name": "clock", "args": {"zone": "UTC"}}
    send(
        {
            "toolCall": {"functionCalls": [call]},
            "usageMetadata": {"promptTokenCount": 10, "responseTokenCount": 5},
        }
    )
    assert "tool_response" in hear(connection)
    counts = {
        "promptTokenCount": 30,
        "responseTokenCount": 7,
        "responseTokensDetails": [{"modality": "TEXT", "tokenCount": 7}],
    }
    send(
        {"serverContent": {"modelTurn": {"parts": [{"text": "It is "}]}}},
        {"serverContent": {"modelTurn": {"parts": [{"text": "noon."}]}}},
        {"serverContent": {"turnComplete": True}, "usageMetadata": counts},
    )
    with suppress(ConnectionClosed):
        connection.recv()


def test_each_turn_of_gemini_live_is_a_call(bridge: Bridge) -> None:
    async def talk(url: str) -> list[str]:
        client = genai.Client(
            api_key="g-secret",
            http_options={"base_url": url, "headers": {"x-agentledger-session-id": "live"}},
        )
        # With a key the SDK speaks TLS whatever the address says: in front of AgentLedger there is
        # a server that ends it.
        client._api_client._websocket_base_url = lambda *_: url.replace("http", "ws", 1)  # type: ignore[method-assign]
        client._api_client._websocket_ssl_ctx = {}
        config = genai_types.LiveConnectConfig(
            response_modalities=[genai_types.Modality.TEXT], system_instruction="Tell the time."
        )
        said = []
        async with client.aio.live.connect(model="gemini-2.0-flash-live-001", config=config) as s:
            await s.send_client_content(
                turns=genai_types.Content(
                    role="user", parts=[genai_types.Part(text="What time is it?")]
                )
            )
            async for message in s.receive():
                if message.tool_call:
                    break
            result = genai_types.FunctionResponse(id="f1", name="clock", response={"t": "12:00"})
            await s.send_tool_response(function_responses=[result])
            async for message in s.receive():
                if message.text:
                    said.append(message.text)
        return said

    ledger, provider = bridge(live)
    assert asyncio.run(talk(ledger.url)) == ["It is ", "noon."]
    assert "BidiGenerateContent" in provider.requests[0].path
    first, second = ledger.calls("live", count=2)
    assert (first["wire_format"], first["provider"]) == ("gemini_live", "google")
    assert first["model_id"] == "gemini-2.0-flash-live-001"
    assert first["system_prompt"] == "Tell the time."
    assert [(c["name"], c["arguments"]) for c in first["tool_calls"]] == [
        ("clock", {"zone": "UTC"})
    ]
    assert (first["tokens_in"], first["tokens_out"]) == (10, 5)
    assert (second["content"], second["stop_reason"]) == ("It is noon.", "turnComplete")
    assert (second["tokens_in"], second["tokens_out"]) == (30, 7)
    assert first["tool_results"][0]["content"] == {"t": "12:00"}
    assert "g-secret" not in json.dumps([first, second])


# --- the bridge itself ---


def echo(connection: ServerConnection) -> None:
    with suppress(ConnectionClosed):
        while True:
            message = connection.recv()
            if message == "close":
                connection.close(4321, "as you like")
                return
            if message == "cut":
                connection.socket.shutdown(socket.SHUT_RDWR)
                return
            connection.send(message)


@pytest.mark.parametrize("server", SERVERS)
def test_messages_headers_and_close_codes_pass_as_they_are(
    server: ServerName, bridge: Bridge
) -> None:
    ledger, provider = bridge(echo, server)
    n_sessions = len(ledger.sessions())
    with connect(
        address(ledger, "/v1/unknown?a=%2F&b=1"),
        additional_headers={"authorization": "Bearer k", "x_odd": "1", "cookie": "c=1"},
        subprotocols=["realtime", "openai-insecure-api-key.k"],  # type: ignore[list-item]  # a type of str alone
        user_agent_header="agent/1",
        compression=None,
        max_size=None,
    ) as agent:
        assert agent.subprotocol == "realtime"
        for message in ("", "text ü", b"", b"\x00\xff", "x" * 3_000_000, b"y" * 3_000_000):
            agent.send(message)
            assert agent.recv() == message
        agent.send("close")
        with pytest.raises(ConnectionClosed) as closed:
            agent.recv()
        assert closed.value.rcvd is not None
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4321, "as you like")
    [handshake] = provider.requests
    assert handshake.path == "/v1/unknown?a=%2F&b=1"
    assert handshake.headers["user-agent"] == "agent/1"
    assert handshake.headers["x_odd"] == "1"
    assert handshake.headers["cookie"] == "c=1"
    assert handshake.headers["host"] == f"127.0.0.1:{provider.port}"

    provider.ended.acquire(timeout=10)
    with connect(address(ledger, "/v1/unknown")) as agent:
        agent.close(4000, "enough")
    assert provider.ended.acquire(timeout=10)
    assert provider.closes[-1] == (4000, "enough")
    with connect(address(ledger, "/v1/unknown")) as agent:
        agent.send("cut")
        with pytest.raises(ConnectionClosed):
            agent.recv(timeout=10)
    assert len(ledger.sessions()) == n_sessions


@pytest.mark.parametrize("server", SERVERS)
def test_a_denied_handshake_reaches_the_agent_and_the_ledger(
    server: ServerName, bridge: Bridge
) -> None:
    body = '{"error": {"message": "Incorrect API key provided"}}'
    ledger, _ = bridge(echo, server, denial=(401, body))
    with pytest.raises(InvalidStatus) as denied:
        connect(
            address(ledger, "/v1/realtime?model=m"),
            additional_headers={"x-agentledger-session-id": "denied"},
        )
    response = denied.value.response
    assert response.status_code == 401
    assert response.body == body.encode()
    assert response.headers["x-request-id"] == "req_denied"
    call = ledger.call("denied")
    assert (call["status_code"], call["outcome"]) == (401, "upstream_error")
    assert call["error_detail"] == "Incorrect API key provided"


@pytest.mark.parametrize("server", SERVERS)
def test_an_unreachable_upstream_is_a_502(server: ServerName, tmp_path: Path) -> None:
    with Ledger(tmp_path, "http://127.0.0.1:9", server=server) as ledger:
        with pytest.raises(InvalidStatus) as denied:
            connect(
                address(ledger, "/v1/responses"),
                additional_headers={"x-agentledger-session-id": "nobody"},
            )
        assert denied.value.response.status_code == 502
        assert b"cannot be reached" in (denied.value.response.body or b"")
        call = ledger.call("nobody")
    assert (call["status_code"], call["outcome"]) == (502, "upstream_error")


def searching(connection: ServerConnection) -> None:
    hear(connection)
    search = {"type": "web_search_call", "id": "ws", "status": "completed"}
    counts = {"input_tokens": 1000, "output_tokens": 100}
    whole = {"id": "r", "model": "gpt-4o", "status": "completed", "output": [], "usage": counts}
    say(
        connection,
        {"type": "response.output_item.done", "output_index": 0, "item": search},
        {"type": "response.completed", "response": whole},
    )
    with suppress(ConnectionClosed):
        connection.recv()


def test_what_is_billed_beside_tokens_is_counted(bridge: Bridge) -> None:
    ledger, _ = bridge(searching)
    headers = {"x-agentledger-session-id": "searching"}
    with connect(address(ledger, "/v1/responses"), additional_headers=headers) as agent:
        agent.send(json.dumps({"type": "response.create", "model": "gpt-4o", "input": "News?"}))
        agent.recv(timeout=10)
        agent.recv(timeout=10)
    call = ledger.call("searching")
    assert call["units"] == {"web_searches": 1}
    # gpt-4o: 2.50 in, 10 out, USD per million; 10 for a thousand searches
    assert Decimal(str(call["cost_usd"])) == Decimal("0.0135")


def half(connection: ServerConnection) -> None:
    hear(connection)
    say(
        connection,
        {"type": "response.created", "response": {"id": "r", "model": "gpt-4o", "output": []}},
        {
            "type": "response.output_text.delta",
            "item_id": "m",
            "output_index": 0,
            "content_index": 0,
            "delta": "Half an answer",
        },
    )
    with suppress(ConnectionClosed):
        if connection.recv() == "cut":
            connection.socket.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(
    ("last", "outcome"),
    [("leave", "client_left"), ("cut", "upstream_cut"), ("kill", "interrupted")],
)
def test_a_turn_that_is_cut_short_is_recorded(last: str, outcome: str, bridge: Bridge) -> None:
    ledger, _ = bridge(half)
    agent = connect(
        address(ledger, "/v1/responses"),
        additional_headers={"x-agentledger-session-id": f"half-{last}"},
    )
    ask = {"type": "response.create", "model": "gpt-4o", "input": "Tell me all"}
    agent.send(json.dumps(ask))
    agent.recv(timeout=10)
    agent.recv(timeout=10)
    if last == "leave":
        agent.close()
    elif last == "cut":
        agent.send("cut")
    else:
        ledger.kill()
        ledger.start()
    call = ledger.call(f"half-{last}")
    with suppress(Exception):
        agent.close()
    assert (call["outcome"], call["content"]) == (outcome, "Half an answer")
    assert call["usage_source"] == "estimated"
    assert call["tokens_out"] is not None


def at_rest(count: Callable[[], int]) -> int:
    """What it is when it has been the same for half a second."""
    before = -1
    while before != (now := count()):
        before = now
        time.sleep(0.5)
    return now


@pytest.mark.parametrize("server", SERVERS)
def test_a_slow_agent_makes_the_provider_wait(server: ServerName, bridge: Bridge) -> None:
    """Far more is sent than buffers hold while nobody reads it."""
    piece = "z" * 200_000
    n_sent = 0

    def flood(connection: ServerConnection) -> None:
        nonlocal n_sent
        connection.recv()
        with suppress(ConnectionClosed):
            for _ in range(400):
                connection.send(piece)
                n_sent += 1
            connection.recv()

    ledger, _ = bridge(flood, server)
    assert ledger.process is not None
    process = psutil.Process(ledger.process.pid)
    before = process.memory_info().rss
    with connect(
        address(ledger, "/v1/unknown"), max_size=None, max_queue=1, compression=None
    ) as agent:
        agent.send("go")
        assert at_rest(lambda: n_sent) < 400
        assert process.memory_info().rss - before < 40_000_000
        for _ in range(400):
            assert agent.recv(timeout=30) == piece


@pytest.mark.parametrize("server", SERVERS)
def test_a_slow_provider_makes_the_agent_wait(server: ServerName, bridge: Bridge) -> None:
    piece = "z" * 200_000
    may_read = threading.Event()
    n_sent = 0

    def slow(connection: ServerConnection) -> None:
        may_read.wait(60)
        for _ in range(400):
            assert connection.recv(timeout=30) == piece
        connection.send("all of it")

    ledger, _ = bridge(slow, server)
    assert ledger.process is not None
    process = psutil.Process(ledger.process.pid)
    before = process.memory_info().rss
    with connect(address(ledger, "/v1/unknown"), compression=None) as agent:

        def send_all() -> None:
            nonlocal n_sent
            for _ in range(400):
                agent.send(piece)
                n_sent += 1

        sender = threading.Thread(target=send_all)
        sender.start()
        assert at_rest(lambda: n_sent) < 400
        assert process.memory_info().rss - before < 40_000_000
        may_read.set()
        assert agent.recv(timeout=30) == "all of it"
        sender.join()


# --- what operators forbid ---


@pytest.mark.parametrize("server", SERVERS)
def test_the_ingest_key_counts_for_websockets_too(server: ServerName, tmp_path: Path) -> None:
    env = {"AGENTLEDGER_INGEST_KEY": "let-me-in"}
    with (
        SocketProvider(echo) as provider,
        Ledger(tmp_path, provider.url, server=server, env=env) as ledger,
    ):
        with pytest.raises(InvalidStatus) as denied:
            connect(address(ledger, "/v1/realtime"))
        assert denied.value.response.status_code == 401
        assert provider.requests == []
        headers = {"x-agentledger-ingest-key": "let-me-in"}
        with connect(address(ledger, "/v1/realtime"), additional_headers=headers) as agent:
            agent.send("hello")
            assert agent.recv(timeout=10) == "hello"
        assert "x-agentledger-ingest-key" not in provider.requests[0].headers


def test_a_stop_and_a_forbidden_model_end_a_websocket_before_the_provider_works(
    tmp_path: Path,
) -> None:
    heard: list[dict[str, Any]] = []

    def provider_side(connection: ServerConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                heard.append(hear(connection))
                whole = {"id": f"r{len(heard)}", "model": "gpt-4o", "output": []}
                say(connection, {"type": "response.completed", "response": whole})

    def ask(agent: Connection, model: str) -> None:
        agent.send(json.dumps({"type": "response.create", "model": model, "input": "Hello"}))

    env = {"AGENTLEDGER_MODELS_DENY": "o1*"}
    headers = {"x-agentledger-session-id": "loop"}
    with (
        SocketProvider(provider_side) as provider,
        Ledger(tmp_path, provider.url, env=env) as ledger,
    ):
        with connect(address(ledger, "/v1/responses"), additional_headers=headers) as agent:
            ask(agent, "gpt-4o")
            agent.recv(timeout=10)
            ask(agent, "o1-pro")
            with pytest.raises(ConnectionClosed) as closed:
                agent.recv(timeout=10)
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 1008
            assert "o1-pro" in closed.value.rcvd.reason
        with connect(address(ledger, "/v1/responses"), additional_headers=headers) as agent:
            ask(agent, "gpt-4o")
            agent.recv(timeout=10)
            stop = {"scope": "session", "value": "loop", "reason": "it loops"}
            httpx.post(f"{ledger.url}/api/stops", json=stop).raise_for_status()
            time.sleep(1)  # in force within a second
            ask(agent, "gpt-4o")
            with pytest.raises(ConnectionClosed) as closed:
                agent.recv(timeout=10)
            assert closed.value.rcvd is not None
            assert "it loops" in closed.value.rcvd.reason
        with pytest.raises(InvalidStatus) as denied:
            connect(address(ledger, "/v1/responses"), additional_headers=headers)
        assert denied.value.response.status_code == 403
        calls = ledger.calls("loop", count=4)
    assert [event["model"] for event in heard] == ["gpt-4o", "gpt-4o"]
    assert [c["outcome"] for c in calls] == ["completed", "refused", "completed", "refused"]
    assert calls[1]["refusal"]["code"] == "model_denied"
    assert calls[1]["model_id"] == "o1-pro"
