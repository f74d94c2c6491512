"""The event that ends a stream in the middle makes the official SDKs raise, with its message."""

from __future__ import annotations

from typing import Any

import anthropic
import ollama
import openai
import pytest
from google import genai
from google.genai import errors

from capture.wire.stream_error import error_event
from tests.conftest import Opened
from tests.support import canned
from tests.support.ledger import Ledger
from tests.support.provider import Provider

MESSAGE = "AgentLedger: the budget is spent"
HELLO: Any = [{"role": "user", "content": "hello"}]


def event(wire_format: str, kind: str = "text/event-stream; charset=utf-8") -> bytes:
    found = error_event(
        wire_format,
        kind,
        MESSAGE,
        type="insufficient_quota",
        code="budget_exceeded",
        request_id="r",
    )
    assert found is not None
    return found


def test_openai_chat(ledger: Ledger, provider: Provider, opened: Opened) -> None:
    start = canned.data_events(canned.chat_chunks(["one", "two"])[:3], done=False)
    provider.response(*canned.stream([*start, event("openai_chat")]))
    client = opened(openai.OpenAI(base_url=f"{ledger.url}/v1", api_key="k"))
    with pytest.raises(openai.APIError, match=MESSAGE):
        list(client.chat.completions.create(model="m", messages=HELLO, stream=True))
    assert provider.counts()["received"] == 1


def test_openai_responses(ledger: Ledger, provider: Provider, opened: Opened) -> None:
    start = canned.named_events(canned.response_events(["one", "two"])[:4])
    provider.response(*canned.stream([*start, event("openai_responses")]))
    client = opened(openai.OpenAI(base_url=f"{ledger.url}/v1", api_key="k"))
    with pytest.raises(openai.APIError, match=MESSAGE):
        list(client.responses.create(model="m", input="hello", stream=True))


def test_anthropic(ledger: Ledger, provider: Provider, opened: Opened) -> None:
    start = canned.named_events(canned.message_events(["one", "two"])[:4])
    provider.response(*canned.stream([*start, event("anthropic_messages")]))
    client = opened(anthropic.Anthropic(base_url=ledger.url, api_key="k"))
    with pytest.raises(anthropic.APIStatusError, match=MESSAGE):
        list(client.messages.create(model="m", max_tokens=9, messages=HELLO, stream=True))


def test_gemini(ledger: Ledger, provider: Provider, opened: Opened) -> None:
    start = canned.gemini_stream(["one", "two"], {})
    provider.response(*canned.stream([*start, event("gemini", "text/event-stream")]))
    options = {"base_url": ledger.url}
    client = opened(genai.Client(api_key="k", http_options=options))  # type: ignore[arg-type]  # a dict of options
    with pytest.raises(errors.APIError, match=MESSAGE):
        list(client.models.generate_content_stream(model="gemini-2.5-flash", contents="hello"))


def test_ollama(ledger: Ledger, provider: Provider, opened: Opened) -> None:
    start = canned.ollama_stream(["one", "two"], {})[:2]
    ndjson = "application/x-ndjson"
    pieces = [*start, event("ollama", ndjson)]
    provider.response(*canned.stream(pieces, headers=[("content-type", ndjson)]))
    with pytest.raises(ollama.ResponseError, match=MESSAGE):
        list(ollama.Client(host=ledger.url).chat(model="m", messages=HELLO, stream=True))


def test_a_format_without_such_an_event() -> None:
    kind = "application/vnd.amazon.eventstream"
    facts = {"type": "t", "code": "c", "request_id": "r"}
    assert error_event("bedrock_converse", kind, MESSAGE, **facts) is None
