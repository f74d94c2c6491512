"""Calls as users of `anthropic` make them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

from anthropic import Anthropic, AsyncAnthropic

MESSAGE: Any = {
    "model": "claude-opus-5-5",
    "max_tokens": 1024,
    "system": "Be brief.",
    "messages": [{"role": "user", "content": "Grüße 😀"}],
}
WEATHER: Any = {"name": "weather", "input_schema": {"type": "object"}}


def client(url: str, headers: dict[str, str]) -> Anthropic:
    return Anthropic(base_url=url, api_key="sk-test", default_headers=headers)


def async_client(url: str, headers: dict[str, str]) -> AsyncAnthropic:
    return AsyncAnthropic(base_url=url, api_key="sk-test", default_headers=headers)


def message(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as anthropic:
        response = anthropic.messages.with_raw_response.create(**MESSAGE)
        yield response.headers
        yield response.parse()


async def message_async(url: str, headers: dict[str, str]) -> AsyncIterator[object]:
    async with async_client(url, headers) as anthropic:
        response = await anthropic.messages.with_raw_response.create(**MESSAGE)
        yield response.headers
        yield response.parse()


def message_once(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as anthropic:
        yield anthropic.with_options(max_retries=0).messages.create(**MESSAGE)


def message_beta(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as anthropic:
        yield anthropic.beta.messages.create(**MESSAGE, betas=["context-1m-2025-08-07"])


def events(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as anthropic:
        yield from anthropic.messages.create(**MESSAGE, stream=True)


def stream(url: str, headers: dict[str, str]) -> Iterator[object]:
    with (
        client(url, headers) as anthropic,
        anthropic.messages.stream(**MESSAGE, tools=[WEATHER]) as stream,
    ):
        yield stream.response.headers
        yield from stream
        yield stream.get_final_message()


async def stream_async(url: str, headers: dict[str, str]) -> AsyncIterator[object]:
    async with (
        async_client(url, headers) as anthropic,
        anthropic.messages.stream(**MESSAGE) as stream,
    ):
        async for event in stream:
            yield event


def count(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as anthropic:
        yield anthropic.messages.count_tokens(model="claude-opus-5-5", messages=MESSAGE["messages"])


def batches(url: str, headers: dict[str, str]) -> Iterator[object]:
    with client(url, headers) as anthropic:
        yield from anthropic.messages.batches.list(limit=20)
