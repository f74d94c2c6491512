"""Calls as users of `groq` make them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from groq import AsyncGroq, Groq

CHAT: Any = {
    "model": "llama-3.3-70b-versatile",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Grüße 😀"},
    ],
}
WAV = ("speech.wav", b"RIFF\x00\xff of speech", "audio/wav")


def client(url: str, headers: dict[str, str]) -> Groq:
    return Groq(base_url=url, api_key="gsk-test", default_headers=headers)


def chat(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as groq:
        response = groq.chat.completions.with_raw_response.create(**CHAT)
        yield response.headers
        yield response.parse()


def chat_once(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as groq:
        yield groq.with_options(max_retries=0).chat.completions.create(**CHAT)


async def chat_async(url: str, headers: dict[str, str]) -> AsyncIterator[object]:
    async with AsyncGroq(base_url=url, api_key="gsk-test", default_headers=headers) as groq:
        yield await groq.chat.completions.create(**CHAT)


def stream(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as groq:
        yield from groq.chat.completions.create(**CHAT, stream=True)


async def stream_async(url: str, headers: dict[str, str]) -> AsyncIterator[object]:
    async with AsyncGroq(base_url=url, api_key="gsk-test", default_headers=headers) as groq:
        async for chunk in await groq.chat.completions.create(**CHAT, stream=True):
            yield chunk


def embeddings(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as groq:
        yield groq.embeddings.create(model="nomic-embed-text-v1_5", input=["a", "b"])


def transcription(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as groq:
        yield groq.audio.transcriptions.create(model="whisper-large-v3", file=WAV)


def speech(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as groq:
        response = groq.audio.speech.create(
            model="canopylabs/orpheus-v1-english", voice="hannah", input="Hello"
        )
        yield response.read()


def models(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as groq:
        yield groq.models.list()
