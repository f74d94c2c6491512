"""Calls as users of `cohere` make them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from cohere import AsyncClientV2, ClientV2

CHAT: Any = {
    "model": "command-a-03-2025",
    "messages": [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Grüße 😀"},
    ],
    "max_tokens": 100,
}


def options(headers: dict[str, str], retries: int = 0) -> Any:
    return {"additional_headers": headers, "max_retries": retries}


def chat(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield ClientV2("key", base_url=url).chat(**CHAT, request_options=options(headers))


def chat_again(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield ClientV2("key", base_url=url).chat(**CHAT, request_options=options(headers, 2))


async def chat_async(url: str, headers: dict[str, str]) -> AsyncIterator[object]:
    yield await AsyncClientV2("key", base_url=url).chat(**CHAT, request_options=options(headers))


def stream(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield from ClientV2("key", base_url=url).chat_stream(**CHAT, request_options=options(headers))


async def stream_async(url: str, headers: dict[str, str]) -> AsyncIterator[object]:
    cohere = AsyncClientV2("key", base_url=url)
    async for event in cohere.chat_stream(**CHAT, request_options=options(headers)):
        yield event


def embed(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield ClientV2("key", base_url=url).embed(
        model="embed-v4.0",
        input_type="search_document",
        texts=["a", "b"],
        embedding_types=["float"],
        request_options=options(headers),
    )


def rerank(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield ClientV2("key", base_url=url).rerank(
        model="rerank-v4.0", query="cat", documents=["a", "b"], request_options=options(headers)
    )
