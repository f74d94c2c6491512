"""Calls as users of LiteLLM's library make them. The prefix of the model names the API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import litellm

MESSAGES: Any = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Grüße 😀"},
]
TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": "weather", "parameters": {"type": "object", "properties": {}}},
    }
]


def parameters(model: str, url: str, headers: dict[str, str], **more: Any) -> dict[str, Any]:
    return {
        "model": model,
        "api_base": url,
        "api_key": "sk-test",
        "messages": MESSAGES,
        "extra_headers": headers,
        "max_retries": 0,
        **more,
    }


def without_random_values(response: Any) -> Any:
    """The response without what LiteLLM chooses at random or reads from the clock."""
    fields = response.model_dump()
    for name in ("id", "created", "created_at"):
        fields.pop(name, None)
    return fields


def openai(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield without_random_values(
        litellm.completion(**parameters("openai/gpt-4o", f"{url}/v1", headers))
    )


async def openai_async(url: str, headers: dict[str, str]) -> AsyncIterator[object]:
    response = await litellm.acompletion(**parameters("openai/gpt-4o", f"{url}/v1", headers))
    yield without_random_values(response)


def openai_again(url: str, headers: dict[str, str]) -> Iterator[object]:
    call = parameters("openai/gpt-4o", f"{url}/v1", headers, max_retries=2)
    yield without_random_values(litellm.completion(**call))


def openai_stream(url: str, headers: dict[str, str]) -> Iterator[object]:
    call = parameters("openai/gpt-4o", f"{url}/v1", headers, stream=True, tools=TOOLS)
    call["stream_options"] = {"include_usage": True}
    for chunk in litellm.completion(**call):
        yield without_random_values(chunk)


async def openai_stream_async(url: str, headers: dict[str, str]) -> AsyncIterator[object]:
    call = parameters("openai/gpt-4o", f"{url}/v1", headers, stream=True)
    async for chunk in await litellm.acompletion(**call):
        yield without_random_values(chunk)


def response(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield without_random_values(
        litellm.responses(
            model="openai/gpt-4o",
            input="Hello",
            api_base=f"{url}/v1",
            api_key="sk-test",
            extra_headers=headers,
        )
    )


def embeddings(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield without_random_values(
        litellm.embedding(
            model="openai/text-embedding-3-small",
            input=["a", "b"],
            api_base=f"{url}/v1",
            api_key="sk-test",
            extra_headers=headers,
        )
    )


def anthropic(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield without_random_values(
        litellm.completion(**parameters("anthropic/claude-opus-5-5", url, headers))
    )


def anthropic_stream(url: str, headers: dict[str, str]) -> Iterator[object]:
    call = parameters("anthropic/claude-opus-5-5", url, headers, stream=True, tools=TOOLS)
    for chunk in litellm.completion(**call):
        yield without_random_values(chunk)


def gemini(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield without_random_values(
        litellm.completion(**parameters("gemini/gemini-2.5-flash", url, headers))
    )


def gemini_stream(url: str, headers: dict[str, str]) -> Iterator[object]:
    for chunk in litellm.completion(
        **parameters("gemini/gemini-2.5-flash", url, headers, stream=True)
    ):
        yield without_random_values(chunk)


def ollama(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield without_random_values(litellm.completion(**parameters("ollama/llama3.1", url, headers)))


def mistral(url: str, headers: dict[str, str]) -> Iterator[object]:
    call = parameters("mistral/mistral-large-latest", f"{url}/v1", headers)
    yield without_random_values(litellm.completion(**call))


def groq(url: str, headers: dict[str, str]) -> Iterator[object]:
    call = parameters("groq/llama-3.3-70b-versatile", f"{url}/openai/v1", headers)
    yield without_random_values(litellm.completion(**call))


def cohere(url: str, headers: dict[str, str]) -> Iterator[object]:
    call = parameters("cohere_chat/command-a-03-2025", f"{url}/v2/chat", headers)
    yield without_random_values(litellm.completion(**call))
