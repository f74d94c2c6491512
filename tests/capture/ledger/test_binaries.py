"""Images, audio and files in calls: recorded by digest, type and size, never as base64."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import random
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from typing import Any
from uuid import uuid4

import anthropic
import httpx
import openai
import psycopg
import pytest
import zstandard
from google import genai
from google.genai import types
from PIL import Image

from tests.conftest import create_database
from tests.support import canned
from tests.support.ledger import Ledger
from tests.support.provider import Provider


def random_bytes(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def image(kind: str, width: int, height: int) -> bytes:
    file = BytesIO()
    Image.frombytes("RGB", (width, height), random_bytes(3 * width * height)).save(file, kind)
    return file.getvalue()


PNG = image("PNG", 320, 200)
JPEG = image("JPEG", 90, 120)
PDF = b"%PDF-1.7\n" + random_bytes(3000)
SOUND = random_bytes(5000)


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def ledger_with_bytes(
    request: pytest.FixtureRequest, _provider: Provider, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Ledger]:
    """AgentLedger told to keep binaries, on each database."""
    env = {"AGENTLEDGER_CAPTURE_BINARY": "1"}
    if request.param == "postgresql":
        env["AGENTLEDGER_DSN"] = create_database(request.getfixturevalue("postgresql"))
    with Ledger(tmp_path_factory.mktemp("ledger_with_bytes"), _provider.url, env=env) as ledger:
        yield ledger


def session() -> tuple[str, dict[str, str]]:
    session_id = f"run-{uuid4()}"
    return session_id, {"x-agentledger-session-id": session_id}


def openai_client(ledger: Ledger, headers: dict[str, str]) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{ledger.url}/v1", api_key="k", default_headers=headers, max_retries=0
    )


# --- what the database holds ---


def rows(ledger: Ledger, table: str) -> list[dict[str, Any]]:
    dsn = ledger.env.get("AGENTLEDGER_DSN")
    if dsn:
        with psycopg.connect(dsn) as connection:
            cursor: Any = connection.execute(f"SELECT * FROM {table}".encode())
            names = [column.name for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]
    lite = sqlite3.connect(ledger.folder / "agentledger.db")
    try:
        found = lite.execute(f"SELECT * FROM {table}")
        names = [column[0] for column in found.description]
        return [dict(zip(names, row, strict=True)) for row in found]
    finally:
        lite.close()


TABLES = ("session", "call", "callbody", "message", "binary", "toolcall")


def everything(ledger: Ledger) -> Iterator[tuple[str, bytes]]:
    """Each value of each table by its column, decompressed."""
    for table in TABLES:
        for row in rows(ledger, f"capture_{table}"):
            for name, value in row.items():
                if isinstance(value, bytes | memoryview):
                    data = bytes(value)
                    if data.startswith(b"\x28\xb5\x2f\xfd"):
                        data = zstandard.ZstdDecompressor().decompress(data)
                    yield f"{table}.{name}", data
                else:
                    text = value if isinstance(value, str) else json.dumps(value, default=str)
                    yield f"{table}.{name}", text.encode()


def assert_nowhere(ledger: Ledger, data: bytes, *, but_in: tuple[str, ...] = ()) -> None:
    """No part of it, neither as base64 nor as it is."""
    encoded = b64(data).encode()
    middle = len(data) // 6 * 3
    pieces = [encoded[20:60], encoded[middle * 4 // 3 :][:40], data[30:60], data[middle:][:30]]
    found = {column for column, value in everything(ledger) for piece in pieces if piece in value}
    assert found == set(but_in)


REQUEST = """
import sys, django
django.setup()
from uuid import UUID
from reports.queries import records as queries
body = queries.rebuild_request(queries.find_record(UUID(sys.argv[1])))
sys.stdout.buffer.write(b"-" if body is None else body)
"""


def request_of(ledger: Ledger, call: dict[str, Any]) -> bytes | None:
    """The call's request as the ledger puts it together."""
    env = {**ledger.environment(), "DJANGO_SETTINGS_MODULE": "agentledger_site.settings"}
    done = subprocess.run(
        [sys.executable, "-c", REQUEST, call["action_id"]],
        cwd=ledger.folder,
        env=env,
        stdout=subprocess.PIPE,
        check=True,
        timeout=60,
    )
    return None if done.stdout == b"-" else done.stdout


def description(data: bytes, media_type: str, *, kept: bool = False) -> dict[str, Any]:
    return {
        "digest": hashlib.sha256(data).hexdigest(),
        "media_type": media_type,
        "size_bytes": len(data),
        "width": None,
        "height": None,
        "thumbnail": None,
        "kept": kept,
    }


def reference(data: bytes, media_type: str) -> str:
    digest = hashlib.sha256(data).hexdigest()
    return f"agentledger-binary:{media_type};bytes={len(data)};sha256={digest}"


# --- requests ---


def turn(text: str, **url: Any) -> dict[str, Any]:
    content: list[Any] = [{"type": "text", "text": text}]
    return {"role": "user", "content": [*content, {"type": "image_url", "image_url": url}]}


def chat_twice(ledger: Ledger) -> list[dict[str, Any]]:
    """A growing history with an image, as OpenAI's SDK sends it."""
    session_id, headers = session()
    history: list[Any] = [turn("what is it?", url=f"data:image/png;base64,{b64(PNG)}")]
    with openai_client(ledger, headers) as client:
        client.chat.completions.create(model="gpt-4o", messages=history)
        history += [
            {"role": "assistant", "content": "a picture"},
            turn(reference(JPEG, "image/jpeg"), url="https://example.com/x.png"),
        ]
        client.chat.completions.create(model="gpt-4o", messages=history)
    return ledger.calls(session_id, count=2)


def test_an_image_is_stored_once_without_its_bytes(stack: Ledger, provider: Provider) -> None:
    first, second = chat_twice(stack)
    assert first["binaries"] == second["binaries"]
    [shown] = first["binaries"]
    thumbnail = shown.pop("thumbnail")
    facts = {"digest": hashlib.sha256(PNG).hexdigest(), "media_type": "image/png"}
    size = {"size_bytes": len(PNG), "width": 320, "height": 200, "kept": False}
    assert shown == facts | size
    webp = base64.b64decode(thumbnail.removeprefix("data:image/webp;base64,"))
    with Image.open(BytesIO(webp)) as small:
        assert (small.format, small.size) == ("WEBP", (160, 100))
    assert len(webp) <= 8 * 1024

    [text, picture] = second["messages"][0]["content"]
    assert (text["text"], picture["image_url"]["url"]) == (
        "what is it?",
        reference(PNG, "image/png"),
    )
    # A text that looks like a reference is a text.
    assert second["messages"][2]["content"][0]["text"] == reference(JPEG, "image/jpeg")
    assert second["notes"] is None
    sent = provider.requests()
    assert [call["request_sha256"] for call in (first, second)] == [r.sha256 for r in sent]
    assert [call["request_bytes"] for call in (first, second)] == [r.size for r in sent]
    assert request_of(stack, second) is None
    stored = [row for row in rows(stack, "capture_binary") if row["size_bytes"] == len(PNG)]
    assert [row["data"] for row in stored] == [None]
    assert_nowhere(stack, PNG)


def test_stored_images_restore_the_request(ledger_with_bytes: Ledger, provider: Provider) -> None:
    calls = chat_twice(ledger_with_bytes)
    bodies = [received.body for received in provider.requests()]
    assert [call["binaries"][0]["kept"] for call in calls] == [True, True]
    assert [request_of(ledger_with_bytes, call) for call in calls] == bodies
    assert_nowhere(ledger_with_bytes, PNG, but_in=("binary.data",))


def test_an_image_and_a_document_in_an_anthropic_call(stack: Ledger, provider: Provider) -> None:
    session_id, headers = session()
    base: dict[str, Any] = {"type": "base64"}
    message: Any = {
        "role": "user",
        "content": [
            {"type": "image", "source": {**base, "media_type": "image/jpeg", "data": b64(JPEG)}},
            {
                "type": "document",
                "source": {**base, "media_type": "application/pdf", "data": b64(PDF)},
            },
            {
                "type": "tool_result",
                "tool_use_id": "toolu_1",
                "content": [
                    {
                        "type": "image",
                        "source": {**base, "media_type": "image/png", "data": b64(PNG)},
                    }
                ],
            },
        ],
    }
    client = anthropic.Anthropic(
        base_url=stack.url, api_key="k", default_headers=headers, max_retries=0
    )
    with client:
        client.messages.create(model="claude-opus-5-5", max_tokens=9, messages=[message])
    call = stack.call(session_id)
    kinds = [binary["media_type"] for binary in call["binaries"]]
    assert kinds == ["image/jpeg", "application/pdf", "image/png"]
    assert (call["binaries"][0]["width"], call["binaries"][0]["height"]) == (90, 120)
    assert call["binaries"][1] == description(PDF, "application/pdf")
    [result] = call["tool_results"]
    assert result["content"][0]["source"]["data"] == reference(PNG, "image/png")
    for data in (JPEG, PDF, PNG):
        assert_nowhere(stack, data)


def test_gemini_inline_data_both_ways(stack: Ledger, provider: Provider) -> None:
    session_id, headers = session()
    sound = {"inlineData": {"mimeType": "audio/L16;codec=pcm;rate=24000", "data": b64(SOUND)}}
    content = {"role": "model", "parts": [{"text": "hear"}, sound]}
    response = {"candidates": [{"content": content, "finishReason": "STOP", "index": 0}]}
    provider.response(*canned.as_json(response), path=":generateContent")
    client = genai.Client(
        api_key="k", http_options=types.HttpOptions(base_url=stack.url, headers=headers)
    )
    said = client.models.generate_content(
        model="gemini-3-flash", contents=types.Part.from_bytes(data=JPEG, mime_type="image/jpeg")
    )
    client.close()
    assert said.candidates and said.candidates[0].content and said.candidates[0].content.parts
    blob = said.candidates[0].content.parts[1].inline_data
    assert blob is not None and blob.data == SOUND
    call = stack.call(session_id)
    assert [binary["media_type"] for binary in call["binaries"]] == ["image/jpeg", "audio/l16"]
    assert call["binaries"][1] == description(SOUND, "audio/l16")
    assert call["content"] == "hear"
    for data in (JPEG, SOUND):
        assert_nowhere(stack, data)


@pytest.mark.parametrize("compressed", [False, True])
def test_a_prompt_with_images_beside_it(
    ledger_with_bytes: Ledger, provider: Provider, compressed: bool
) -> None:
    """Ollama's images stand beside the history; compressed, they could not be written again."""
    session_id, headers = session()
    body = json.dumps({"model": "llava", "prompt": "what?", "images": [b64(PNG)]}).encode()
    if compressed:
        body, headers = gzip.compress(body), headers | {"content-encoding": "gzip"}
    httpx.post(f"{ledger_with_bytes.url}/api/generate", content=body, headers=headers)
    call = ledger_with_bytes.call(session_id)
    assert call["messages"] == "what?"
    assert [b["digest"] for b in call["binaries"]] == (
        [] if compressed else [hashlib.sha256(PNG).hexdigest()]
    )
    assert request_of(ledger_with_bytes, call) == body


def test_a_compressed_request_with_binaries_is_stored_decompressed(
    stack: Ledger, provider: Provider
) -> None:
    session_id, headers = session()
    messages = [turn("what?", url=f"data:image/png;base64,{b64(PNG)}")]
    body = gzip.compress(json.dumps({"model": "m", "messages": messages}).encode())
    headers["content-encoding"] = "gzip"
    httpx.post(f"{stack.url}/v1/chat/completions", content=body, headers=headers)
    call = stack.call(session_id)
    assert call["request_sha256"] == hashlib.sha256(body).hexdigest()
    assert len(call["binaries"]) == 1
    assert_nowhere(stack, PNG)


def transcribe(ledger: Ledger, provider: Provider) -> dict[str, Any]:
    session_id, headers = session()
    provider.response(*canned.as_json({"text": "hello"}), path="/audio/transcriptions")
    with openai_client(ledger, headers) as client:
        client.audio.transcriptions.create(
            model="whisper-1", file=("a.mp3", SOUND, "audio/mpeg"), language="en"
        )
    return ledger.call(session_id)


def test_a_transcription_stores_no_audio(stack: Ledger, provider: Provider) -> None:
    call = transcribe(stack, provider)
    assert call["binaries"] == [description(SOUND, "audio/mpeg")]
    assert call["request_params"]["file"]["sha256"] == hashlib.sha256(SOUND).hexdigest()
    assert (call["request_params"]["language"], call["content"]) == ("en", "hello")
    assert request_of(stack, call) is None
    assert_nowhere(stack, SOUND)


def test_stored_audio_restores_the_form(ledger_with_bytes: Ledger, provider: Provider) -> None:
    call = transcribe(ledger_with_bytes, provider)
    assert call["binaries"] == [description(SOUND, "audio/mpeg", kept=True)]
    [received] = provider.requests()
    assert request_of(ledger_with_bytes, call) == received.body
    assert_nowhere(ledger_with_bytes, SOUND, but_in=("binary.data",))


# --- responses ---


@pytest.mark.parametrize("encoding", [None, "gzip"])
def test_a_generated_image(stack: Ledger, provider: Provider, encoding: str | None) -> None:
    session_id, headers = session()
    details = {"text_tokens": 5, "image_tokens": 0}
    usage = {"input_tokens": 5, "input_tokens_details": details, "output_tokens": 7}
    image = {"data": [{"b64_json": b64(PNG)}], "output_format": "png"}
    body = json.dumps({"created": 1, **image, "usage": usage}).encode()
    head = [("content-type", "application/json")]
    if encoding:
        body = gzip.compress(body)
        head.append(("content-encoding", encoding))
    provider.response(*canned.whole(body, 200, head), path="/images/generations")
    with openai_client(stack, headers) as client:
        made = client.images.generate(model="gpt-image-1", prompt="a cat")
    assert made.data and made.data[0].b64_json == b64(PNG)
    call = stack.call(session_id)
    [binary] = call["binaries"]
    assert (binary["media_type"], binary["width"]) == ("image/png", 320)
    assert binary["thumbnail"] is not None
    assert (call["response_bytes"], call["response_sha256"]) == (
        len(body),
        hashlib.sha256(body).hexdigest(),
    )
    if encoding:
        assert call["notes"] == [
            "the response is stored without its content-encoding, because it contains binaries"
        ]
        assert json.loads(call["raw_response"])["data"] == [
            {"b64_json": reference(PNG, "image/png")}
        ]
    else:
        assert call["notes"] is None
    assert_nowhere(stack, PNG)


def test_images_and_audio_in_streams(stack: Ledger, provider: Provider) -> None:
    session_id, headers = session()
    usage = {"input_tokens": 5, "output_tokens": 7, "total_tokens": 12}
    partial = {"type": "image_generation.partial_image", "b64_json": b64(JPEG)}
    done = {"type": "image_generation.completed", "b64_json": b64(PNG), "usage": usage}
    provider.response(
        *canned.stream(canned.named_events([partial, done])), path="/images/generations", times=1
    )
    pieces = [SOUND[n : n + 1000] for n in range(0, len(SOUND), 1000)]
    chunks: list[Any] = [
        {"id": "c", "choices": [{"index": 0, "delta": {"audio": {"id": "a", "data": b64(piece)}}}]}
        for piece in pieces
    ]
    chunks.append({"id": "c", "choices": [{"index": 0, "delta": {"content": "heard"}}]})
    provider.response(*canned.stream(canned.data_events(chunks)), path="/chat/completions", times=1)
    with openai_client(stack, headers) as client:
        list(client.images.generate(model="gpt-image-1", prompt="a cat", stream=True))
        list(
            client.chat.completions.create(
                model="gpt-4o-audio-preview",
                messages=[{"role": "user", "content": "speak"}],
                stream=True,
            )
        )
    images, audio = stack.calls(session_id, count=2)
    assert [binary["media_type"] for binary in images["binaries"]] == ["image/jpeg", "image/png"]
    assert (images["tokens_in"], images["tokens_out"]) == (5, 7)
    assert images["ttft_ms"] is not None
    assert [binary["size_bytes"] for binary in audio["binaries"]] == [1000] * 5
    assert audio["content"] == "heard"
    for data in (JPEG, PNG, *pieces):
        assert_nowhere(stack, data)


def test_speech_is_not_stored_as_text(stack: Ledger, provider: Provider) -> None:
    session_id, headers = session()
    provider.response(
        *canned.whole(SOUND, 200, [("content-type", "audio/mpeg")]), path="/audio/speech"
    )
    with openai_client(stack, headers) as client:
        spoken = client.audio.speech.create(model="tts-1", voice="alloy", input="hello")
    assert spoken.content == SOUND
    call = stack.call(session_id)
    assert call["binaries"] == [description(SOUND, "audio/mpeg")]
    assert (call["response_bytes"], call["response_sha256"]) == (
        len(SOUND),
        hashlib.sha256(SOUND).hexdigest(),
    )
    assert call["notes"] is None
    assert_nowhere(stack, SOUND)


# --- hostile images ---


def test_images_that_cannot_be_shown_are_on_record(stack: Ledger, provider: Provider) -> None:
    bomb = BytesIO()
    Image.new("1", (6000, 6000)).save(bomb, "PNG")
    broken = PNG[:2000]
    nothing = PNG[:8] + random_bytes(400)
    session_id, headers = session()
    messages: list[Any] = [
        turn("look", url=f"data:image/png;base64,{b64(data)}")
        for data in (bomb.getvalue(), broken, nothing)
    ]
    with openai_client(stack, headers) as client:
        client.chat.completions.create(model="gpt-4o", messages=messages)
    call = stack.call(session_id)
    shown = [(b["width"], b["height"], b["thumbnail"]) for b in call["binaries"]]
    assert shown == [(6000, 6000, None), (320, 200, None), (None, None, None)]


# --- both settings over one ledger ---


def test_bytes_that_come_again_are_stored_once_this_is_enabled(
    fresh: Ledger, provider: Provider
) -> None:
    messages = [turn("what?", url=f"data:image/png;base64,{b64(PNG)}")]
    body = json.dumps({"model": "m", "messages": messages}).encode()
    headers = {"x-agentledger-session-id": "s"}
    for count, keep in enumerate(("0", "1", "0"), start=1):
        fresh.env["AGENTLEDGER_CAPTURE_BINARY"] = keep
        with fresh:
            httpx.post(f"{fresh.url}/v1/chat/completions", content=body, headers=headers)
            fresh.calls("s", count=count)
    with fresh:
        calls = fresh.calls("s", count=3)
        assert [call["binaries"][0]["kept"] for call in calls] == [True] * 3
        assert request_of(fresh, calls[0]) == body
    [row] = rows(fresh, "capture_binary")
    assert bytes(row["data"]) == PNG
