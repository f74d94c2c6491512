"""Calls as users of `mistralai` make them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from mistralai.client import Mistral
from mistralai.client.utils import BackoffStrategy, RetryConfig

CHAT: Any = {
    "model": "mistral-large-latest",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Grüße 😀"},
    ],
}
AT_ONCE = RetryConfig("backoff", BackoffStrategy(1, 1, 1.0, 10_000, 0), False)
WAV: Any = {"file_name": "speech.wav", "content": b"RIFF\x00\xff of speech"}


def client(url: str) -> Mistral:
    return Mistral(api_key="key", server_url=url)


def chat(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url) as mistral:
        yield mistral.chat.complete(**CHAT, temperature=0.5, http_headers=headers)


async def chat_async(url: str, headers: dict[str, str]) -> AsyncIterator[object]:
    async with client(url) as mistral:
        yield await mistral.chat.complete_async(**CHAT, http_headers=headers)


def chat_again(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url) as mistral:
        yield mistral.chat.complete(**CHAT, http_headers=headers, retries=AT_ONCE)


def stream(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url) as mistral, mistral.chat.stream(**CHAT, http_headers=headers) as events:
        yield events.response.headers
        yield from events


async def stream_async(url: str, headers: dict[str, str]) -> AsyncIterator[object]:
    async with client(url) as mistral:
        async for event in await mistral.chat.stream_async(**CHAT, http_headers=headers):
            yield event


def agent(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url) as mistral:
        yield mistral.agents.complete(
            agent_id="ag_1", messages=CHAT["messages"], http_headers=headers
        )


def middle(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url) as mistral:
        yield mistral.fim.complete(
            model="codestral-latest", prompt="def f(", suffix="return a", http_headers=headers
        )


def embeddings(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url) as mistral:
        yield mistral.embeddings.create(
            model="mistral-embed", inputs=["a", "b"], http_headers=headers
        )


def moderation(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url) as mistral:
        yield mistral.classifiers.moderate(
            model="mistral-moderation-latest", inputs="Grüße", http_headers=headers
        )


def transcription(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url) as mistral:
        yield mistral.audio.transcriptions.complete(
            model="voxtral-mini-latest", file=WAV, http_headers=headers
        )


def speech(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url) as mistral:
        yield mistral.audio.speech.complete(
            model="voxtral-mini-tts", input="Hello", http_headers=headers
        )


def transcription_stream(url: str, headers: dict[str, str]) -> Iterator[object]:
    with (
        client(url) as mistral,
        mistral.audio.transcriptions.stream(
            model="voxtral-mini-latest", file=WAV, http_headers=headers
        ) as events,
    ):
        yield from events


def speech_stream(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url) as mistral:
        response: Any = mistral.audio.speech.complete(
            model="voxtral-mini-tts", input="Hello", stream=True, http_headers=headers
        )
        yield from response


def conversation(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url) as mistral:
        yield mistral.beta.conversations.start(
            model="mistral-large-latest", inputs="Hello", http_headers=headers
        )


def models(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url) as mistral:
        yield mistral.models.list(http_headers=headers)
