"""Calls as users of `openai` make them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from openai import AsyncOpenAI, OpenAI

MESSAGES: Any = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Grüße 😀"},
]
WEATHER: Any = {"name": "weather", "parameters": {"type": "object", "properties": {}}}
TOOLS: Any = [{"type": "function", **WEATHER}]
CHAT: Any = {"model": "gpt-4o", "messages": MESSAGES}
RESPONSE: Any = {"model": "gpt-4o", "input": "Hello", "instructions": "Be brief."}
PNG = ("cat.png", b"\x89PNG\r\n\x1a\n of a cat", "image/png")
WAV = ("speech.wav", b"RIFF\x00\xff of speech", "audio/wav")


def client(url: str, headers: dict[str, str]) -> OpenAI:
    return OpenAI(base_url=f"{url}/v1", api_key="sk-test", default_headers=headers)


def async_client(url: str, headers: dict[str, str]) -> AsyncOpenAI:
    return AsyncOpenAI(base_url=f"{url}/v1", api_key="sk-test", default_headers=headers)


def chat(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as openai:
        response = openai.chat.completions.with_raw_response.create(**CHAT, temperature=0.5)
        yield response.headers
        yield response.parse()


async def chat_async(url: str, headers: dict[str, str]) -> AsyncIterator[object]:
    async with async_client(url, headers) as openai:
        response = await openai.chat.completions.with_raw_response.create(**CHAT)
        yield response.headers
        yield response.parse()


def chat_once(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as openai:
        yield openai.with_options(max_retries=0).chat.completions.create(**CHAT)


def chat_stream(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as openai:
        stream = openai.chat.completions.create(
            **CHAT, stream=True, stream_options={"include_usage": True}
        )
        yield stream.response.headers
        yield from stream


async def chat_stream_async(url: str, headers: dict[str, str]) -> AsyncIterator[object]:
    async with async_client(url, headers) as openai:
        async for chunk in await openai.chat.completions.create(**CHAT, stream=True):
            yield chunk


def chat_tools(url: str, headers: dict[str, str]) -> Iterator[object]:
    tools: Any = [{"type": "function", "function": WEATHER}]
    with (
        client(url, headers) as openai,
        openai.chat.completions.stream(**CHAT, tools=tools) as stream,
    ):
        yield from stream
        yield stream.get_final_completion()


def response(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as openai:
        yield openai.responses.create(**RESPONSE)


def response_again(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as openai:
        begun = openai.responses.create(**RESPONSE, background=True)
        yield begun
        yield openai.responses.retrieve(begun.id)


def response_stream(url: str, headers: dict[str, str]) -> Iterator[object]:
    with (
        client(url, headers) as openai,
        openai.responses.stream(**RESPONSE, tools=TOOLS) as stream,
    ):
        yield from stream
        yield stream.get_final_response()


async def response_stream_async(url: str, headers: dict[str, str]) -> AsyncIterator[object]:
    async with async_client(url, headers) as openai:
        async for event in await openai.responses.create(**RESPONSE, stream=True):
            yield event


def completion(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as openai:
        yield from openai.completions.create(model="davinci-002", prompt="Once", stream=True)


def embeddings(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as openai:
        yield openai.embeddings.create(model="text-embedding-3-small", input=["a", "b"])


def moderation(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as openai:
        yield openai.moderations.create(input="Grüße")


def image(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as openai:
        yield openai.images.generate(model="gpt-image-1", prompt="A cat")


def image_stream(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as openai:
        yield from openai.images.generate(model="gpt-image-1", prompt="A cat", stream=True)


def image_edit(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as openai:
        yield openai.images.edit(model="gpt-image-1", prompt="A hat", image=[PNG, PNG])


def transcription(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as openai:
        yield openai.audio.transcriptions.create(model="gpt-4o-transcribe", file=WAV)


def subtitles(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as openai:
        yield openai.audio.transcriptions.create(model="whisper-1", file=WAV, response_format="srt")


def transcription_stream(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as openai:
        yield from openai.audio.transcriptions.create(
            model="gpt-4o-transcribe", file=WAV, stream=True
        )


def speech(url: str, headers: dict[str, str]) -> Iterator[object]:
    with (
        client(url, headers) as openai,
        openai.audio.speech.with_streaming_response.create(
            model="gpt-4o-mini-tts", voice="alloy", input="Hello"
        ) as response,
    ):
        yield response.headers
        yield b"".join(response.iter_bytes())


def models(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as openai:
        yield from openai.models.list()


def upload(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as openai:
        yield openai.files.create(file=("a.jsonl", b"{}\n"), purpose="batch")
