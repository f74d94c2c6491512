"""What users of LiteLLM as a library do: one function, whose model's prefix names the API."""

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


def asked(model: str, url: str, headers: dict[str, str], **more: Any) -> dict[str, Any]:
    return {
        "model": model,
        "api_base": url,
        "api_key": "sk-test",
        "messages": MESSAGES,
        "extra_headers": headers,
        "max_retries": 0,
        **more,
    }


def without_its_own(response: Any) -> Any:
    """Without what LiteLLM draws by lot or reads from its clock."""
    told = response.model_dump()
    for name in ("id", "created", "created_at"):
        told.pop(name, None)
    return told


def openai(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield without_its_own(litellm.completion(**asked("openai/gpt-4o", f"{url}/v1", headers)))


async def openai_async(url: str, headers: dict[str, str]) -> AsyncIterator[object]:
    response = await litellm.acompletion(**asked("openai/gpt-4o", f"{url}/v1", headers))
    yield without_its_own(response)


def openai_again(url: str, headers: dict[str, str]) -> Iterator[object]:
    call = asked("openai/gpt-4o", f"{url}/v1", headers, max_retries=2)
    yield without_its_own(litellm.completion(**call))


def openai_stream(url: str, headers: dict[str, str]) -> Iterator[object]:
    call = asked("openai/gpt-4o", f"{url}/v1", headers, stream=True, tools=TOOLS)
    call["stream_options"] = {"include_usage": True}
    for chunk in litellm.completion(**call):
        yield without_its_own(chunk)


async def openai_stream_async(url: str, headers: dict[str, str]) -> AsyncIterator[object]:
    call = asked("openai/gpt-4o", f"{url}/v1", headers, stream=True)
    async for chunk in await litellm.acompletion(**call):
        yield without_its_own(chunk)


def response(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield without_its_own(
        litellm.responses(
            model="openai/gpt-4o",
            input="Hello",
            api_base=f"{url}/v1",
            api_key="sk-test",
            extra_headers=headers,
        )
    )


def embeddings(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield without_its_own(
        litellm.embedding(
            model="openai/text-embedding-3-small",
            input=["a", "b"],
            api_base=f"{url}/v1",
            api_key="sk-test",
            extra_headers=headers,
        )
    )


def anthropic(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield without_its_own(litellm.completion(**asked("anthropic/claude-opus-5-5", url, headers)))


def anthropic_stream(url: str, headers: dict[str, str]) -> Iterator[object]:
    call = asked("anthropic/claude-opus-5-5", url, headers, stream=True, tools=TOOLS)
    for chunk in litellm.completion(**call):
        yield without_its_own(chunk)


def gemini(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield without_its_own(litellm.completion(**asked("gemini/gemini-2.5-flash", url, headers)))


def gemini_stream(url: str, headers: dict[str, str]) -> Iterator[object]:
    for chunk in litellm.completion(**asked("gemini/gemini-2.5-flash", url, headers, stream=True)):
        yield without_its_own(chunk)


def ollama(url: str, headers: dict[str, str]) -> Iterator[object]:
    yield without_its_own(litellm.completion(**asked("ollama/llama3.1", url, headers)))


def mistral(url: str, headers: dict[str, str]) -> Iterator[object]:
    call = asked("mistral/mistral-large-latest", f"{url}/v1", headers)
    yield without_its_own(litellm.completion(**call))


def groq(url: str, headers: dict[str, str]) -> Iterator[object]:
    call = asked("groq/llama-3.3-70b-versatile", f"{url}/openai/v1", headers)
    yield without_its_own(litellm.completion(**call))


def cohere(url: str, headers: dict[str, str]) -> Iterator[object]:
    call = asked("cohere_chat/command-a-03-2025", f"{url}/v2/chat", headers)
    yield without_its_own(litellm.completion(**call))
