"""Calls as users of `ollama` make them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from ollama import AsyncClient, Client

CHAT: Any = {
    "model": "llama3.2",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Grüße 😀", "images": [b"\x89PNG\r\n\x1a\n of a cat"]},
    ],
    "tools": [{"type": "function", "function": {"name": "weather", "parameters": {}}}],
    "options": {"temperature": 0.5},
}


def chat(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield Client(host=url, headers=headers).chat(**CHAT)


async def chat_async(url: str, headers: dict[str, str]) -> AsyncIterator[object]:
    yield await AsyncClient(host=url, headers=headers).chat(**CHAT)


def stream(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield from Client(host=url, headers=headers).chat(**CHAT, stream=True)


async def stream_async(url: str, headers: dict[str, str]) -> AsyncIterator[object]:
    async for part in await AsyncClient(host=url, headers=headers).chat(**CHAT, stream=True):
        yield part


def generate(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield Client(host=url, headers=headers).generate(model="llama3.2", prompt="Once")


def generate_stream(url: str, headers: dict[str, str]) -> Iterator[object]:
    ollama = Client(host=url, headers=headers)
    yield from ollama.generate(model="llama3.2", prompt="Once", stream=True)


def embed(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield Client(host=url, headers=headers).embed(model="all-minilm", input=["a", "b"])


def models(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield Client(host=url, headers=headers).list()


def pull(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield from Client(host=url, headers=headers).pull("llama3.2", stream=True)
