"""Calls as users of `google-genai` make them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from google import genai
from google.genai import types

MODEL = "gemini-2.5-flash"
TEXTS: Any = ["a", "b"]
PARAMETERS: Any = {
    "model": MODEL,
    "contents": "Grüße 😀",
    "config": {
        "system_instruction": "Be brief.",
        "temperature": 0.5,
        "tools": [{"function_declarations": [{"name": "weather"}]}],
    },
}


def client(url: str, headers: dict[str, str], attempts: int = 1) -> genai.Client:
    retry = types.HttpRetryOptions(attempts=attempts, initial_delay=0.001, jitter=0)
    return genai.Client(
        api_key="key",
        http_options=types.HttpOptions(base_url=url, headers=headers, retry_options=retry),
    )


def generate(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as gemini:
        yield gemini.models.generate_content(**PARAMETERS)


async def generate_async(url: str, headers: dict[str, str]) -> AsyncIterator[object]:
    async with client(url, headers).aio as gemini:
        yield await gemini.models.generate_content(**PARAMETERS)


def generate_again(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers, attempts=3) as gemini:
        yield gemini.models.generate_content(**PARAMETERS)


def stream(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as gemini:
        yield from gemini.models.generate_content_stream(**PARAMETERS)


async def stream_async(url: str, headers: dict[str, str]) -> AsyncIterator[object]:
    async with client(url, headers).aio as gemini:
        async for chunk in await gemini.models.generate_content_stream(**PARAMETERS):
            yield chunk


def embeddings(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as gemini:
        yield gemini.models.embed_content(model="gemini-embedding-001", contents=TEXTS)


def count(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as gemini:
        yield gemini.models.count_tokens(model=MODEL, contents="Hello")


def interaction(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as gemini:
        yield gemini.interactions.create(model="gemini-3-pro-preview", input="Hello")


def interaction_stream(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as gemini:
        yield from gemini.interactions.create(
            model="gemini-3-pro-preview", input="Hello", stream=True
        )


def models(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as gemini:
        yield from gemini.models.list()
