"""The ingest key and the models that operators allow, through real SDKs."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import json
import random
from collections.abc import Iterator
from typing import Any

import anthropic
import httpx
import openai
import pytest

from tests.conftest import Opened
from tests.support.ledger import CALL, Ledger, wait_until
from tests.support.provider import Provider

KEY = "ingest-key-1"
HEADER = {"x-agentledger-ingest-key": KEY}


@pytest.fixture(scope="module")
def guarded(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    env = {
        "AGENTLEDGER_INGEST_KEY": KEY,
        "AGENTLEDGER_MODELS_ALLOW": "gpt-4o*, claude-*,gemini-*",
        "AGENTLEDGER_MODELS_DENY": "*-Preview,*opus*",
        "AGENTLEDGER_EXTRA_PATHS": "/v1/anything",
    }
    with Ledger(tmp_path_factory.mktemp("guarded"), _provider.url, env=env) as ledger:
        yield ledger


def ask(ledger: Ledger, body: Any, path: str = "/v1/chat/completions", **more: Any) -> Any:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return httpx.post(ledger.url + path, content=content, headers={**HEADER, **more}, timeout=30)


def openai_client(ledger: Ledger, **headers: str) -> openai.OpenAI:
    return openai.OpenAI(
        base_url=f"{ledger.url}/v1", api_key="k", default_headers={**HEADER, **headers}
    )


def test_without_the_ingest_key_nothing_passes(guarded: Ledger, provider: Provider) -> None:
    counters = guarded.get("/readyz").json()["counters"]
    for shown in ({}, {"x-agentledger-ingest-key": "wrong"}):
        response = httpx.post(f"{guarded.url}/v1/chat/completions", json=CALL, headers=shown)
        assert response.status_code == 401
        assert "x-agentledger-ingest-key" in response.json()["error"]["message"]
        assert response.headers["x-should-retry"] == "false"
        assert httpx.get(f"{guarded.url}/v1/models", headers=shown).status_code == 401
    assert provider.counts()["received"] == 0
    after = guarded.get("/readyz").json()["counters"]
    assert after["refused_keys"] == counters["refused_keys"] + 4
    assert after["calls"] == counters["calls"]


def test_the_ingest_key_is_never_forwarded(guarded: Ledger, provider: Provider) -> None:
    assert ask(guarded, {**CALL, "model": "gpt-4o"}).status_code == 200
    [request] = provider.requests()
    assert KEY not in str(request.headers)
    assert "ingest" not in str(request.headers)


def test_a_missing_key_is_an_authentication_error(guarded: Ledger, opened: Opened) -> None:
    client = opened(openai.OpenAI(base_url=f"{guarded.url}/v1", api_key="k"))
    with pytest.raises(openai.AuthenticationError, match="the ingest key is missing"):
        client.chat.completions.create(model="gpt-4o", messages=[])
    claude = opened(anthropic.Anthropic(base_url=guarded.url, api_key="k"))
    with pytest.raises(anthropic.AuthenticationError, match="the ingest key is missing"):
        claude.messages.create(model="claude-x", max_tokens=9, messages=[])


def test_a_denied_model_is_refused_and_recorded(guarded: Ledger, provider: Provider) -> None:
    client = openai_client(guarded, **{"x-agentledger-session-id": "denied"})
    with client, pytest.raises(openai.PermissionDeniedError) as raised:
        client.chat.completions.create(
            model="gpt-4o-preview", messages=[{"role": "user", "content": "hi"}], stream=True
        )
    assert "model 'gpt-4o-preview' is denied" in str(raised.value)
    assert raised.value.code == "model_denied"
    call = guarded.call("denied")
    assert raised.value.response.headers["x-agentledger-action-id"] == call["action_id"]
    assert (call["outcome"], call["status_code"], call["cost_usd"]) == ("refused", 403, 0)
    assert call["error_detail"] == "model 'gpt-4o-preview' is denied"
    assert call["refusal"] == {"code": "model_denied", "n_calls": 1, "key": "gpt-4o-preview"}
    assert call["model_id"] == "gpt-4o-preview"
    assert call["messages"] == [{"role": "user", "content": "hi"}]
    assert call["usage_source"] == "none"
    [session] = [s for s in guarded.sessions() if s["session_id"] == "denied"]
    assert (session["refused_count"], session["error_count"], session["call_count"]) == (1, 0, 1)
    assert provider.counts()["received"] == 0


def test_anthropics_sdk_shows_the_refusal(guarded: Ledger, provider: Provider) -> None:
    client = anthropic.Anthropic(base_url=guarded.url, api_key="k", default_headers=HEADER)
    with client, pytest.raises(anthropic.PermissionDeniedError) as raised:
        client.messages.create(model="claude-opus-5", max_tokens=9, messages=[])
    assert "model 'claude-opus-5' is denied" in str(raised.value)
    assert provider.counts()["received"] == 0


GEMINI = "/v1beta/models/gemini-2.5-{}:generateContent"
AZURE = "/openai/deployments/{}/chat/completions"
VERTEX = "projects/p/locations/l/publishers/google/models/{}"


def batched(model: str) -> Any:
    return {"custom_id": "1", "params": {"model": model, "messages": []}}


@pytest.mark.parametrize(
    ("status", "body", "path"),
    [
        (200, {"model": "gpt-4o-mini"}, "/v1/chat/completions"),
        (200, {"model": "GPT-4o"}, "/v1/chat/completions"),
        (403, {"model": "o3"}, "/v1/chat/completions"),
        (403, {"model": "GPT-4o-PREVIEW"}, "/v1/chat/completions"),
        (403, {}, "/v1/chat/completions"),
        (403, {"model": 7}, "/v1/chat/completions"),
        (403, b"no json", "/v1/chat/completions"),
        (403, {"model": "gpt-4o", "models": ["gpt-4o", "o3"]}, "/v1/chat/completions"),
        (200, {"model": "models/gemini-2.5-x"}, GEMINI.format("flash")),
        (200, {}, GEMINI.format("flash")),
        (403, {}, GEMINI.format("preview")),
        (403, {}, GEMINI.format("flash-preview")),
        (403, {"model": "gpt-4o"}, AZURE.format("o3")),
        (200, {"model": "gpt-4o"}, AZURE.format("gpt-4o-eu")),
        (403, b'{"model": "o3", "x": "\\ud800"}', "/v1/chat/completions"),
        (200, b'{"model": "gpt-4o", "x": "\\ud800"}', "/v1/chat/completions"),
        (403, b'\xef\xbb\xbf{"model": "o3", "x": NaN}', "/v1/chat/completions"),
        (200, {"requests": [batched("claude-x"), batched("claude-y")]}, "/v1/messages/batches"),
        (403, {"requests": [batched("claude-x"), batched("some-opus")]}, "/v1/messages/batches"),
        (403, {"requests": [*[batched("claude-x")] * 9999, batched("o3")]}, "/v1/messages/batches"),
        (403, {"Requests": [{"Params": {"MODEL": "o3"}}]}, "/v1/messages/batches/"),
        (403, {"requests": []}, "/v1/messages/batches"),
        (403, {"input_file_id": "file-1", "endpoint": "/v1/responses"}, "/v1/batches"),
        (200, {"model": "gpt-4o", "input_files": ["f"]}, "/v1/batch/jobs"),
        (200, {"batch": {}}, "/v1beta/models/gemini-2.5-flash:batchGenerateContent"),
        (403, {"batch": {}}, "/v1beta/models/gemini-2-preview:batchGenerateContent"),
        (200, {"model": "models/gemini-2.5-flash"}, "/v1beta/cachedContents"),
        (200, {"model": VERTEX.format("gemini-2.5-flash")}, "/v1beta1/projects/p/cachedContents"),
        (403, {"model": VERTEX.format("gemini-2-preview")}, "/v1beta1/projects/p/cachedContents"),
        (403, {}, "/v1beta/models/imagen-4:predict"),
        (403, {}, "/v1beta/models/veo-3:predictLongRunning"),
    ],
)
def test_models_are_found_in_body_and_path(
    guarded: Ledger, provider: Provider, status: int, body: Any, path: str
) -> None:
    provider.response(["send", "SFRUUC8xLjEgMjAwIE9LDQpjb250ZW50LWxlbmd0aDogMg0KDQp7fQ=="])
    assert ask(guarded, body, path).status_code == status
    assert provider.counts()["received"] == (status == 200)


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/anything"])
@pytest.mark.parametrize(
    ("n_times", "declared"),
    [(1, "gzip"), (1, None), (2, "gzip, gzip"), (2, "gzip"), (2, None), (0, "gzip")],
)
@pytest.mark.parametrize("size", [10, 1_000_000])
def test_the_model_is_found_in_a_compressed_body_too(
    guarded: Ledger, provider: Provider, path: str, n_times: int, declared: str | None, size: int
) -> None:
    headers = {"content-encoding": declared} if declared else {}
    for model, status in (("o3", 403), ("gpt-4o", 200)):
        padding = random.Random(size).randbytes(size).hex()
        body = json.dumps({**CALL, "model": model, "user": padding}).encode()
        for _ in range(n_times):
            body = gzip.compress(body)
        provider.response(["send", "SFRUUC8xLjEgMjAwIE9LDQpjb250ZW50LWxlbmd0aDogMg0KDQp7fQ=="])
        assert ask(guarded, body, path, **headers).status_code == status


def test_the_beginning_of_a_large_refused_body_is_recorded(
    guarded: Ledger, provider: Provider
) -> None:
    for size in (10_000, 3_000_000):
        messages = [{"role": "user", "content": "x" * size}]
        body = json.dumps({"messages": messages, "model": "o3"}).encode()
        session = f"large-{size}"
        response = ask(guarded, body, **{"x-agentledger-session-id": session})
        assert response.status_code == 403
        call = guarded.call(session)
        assert (call["model_id"], call["request_bytes"]) == ("o3", len(body))
        assert call["request_sha256"] == hashlib.sha256(body).hexdigest()
        assert call["raw_request"] == body[:4096].decode()
    assert not list(guarded.spool.glob("*.body"))


def test_one_record_stands_for_a_flood(guarded: Ledger, provider: Provider) -> None:
    n_calls = 1150

    async def flood() -> None:
        waiting = iter(range(n_calls))
        headers = {**HEADER, "x-agentledger-session-id": "flood"}
        async with httpx.AsyncClient(headers=headers, timeout=30) as client:

            async def some() -> None:
                for _ in waiting:
                    url = f"{guarded.url}/v1/chat/completions"
                    response = await client.post(url, json={"model": "flooded"})
                    assert response.status_code == 403

            await asyncio.gather(*(some() for _ in range(8)))

    asyncio.run(flood())

    def session() -> dict[str, Any] | None:
        found = [s for s in guarded.sessions() if s["session_id"] == "flood"]
        return found[0] if found and found[0]["refused_count"] >= n_calls else None

    counted = wait_until(session)
    assert (counted["refused_count"], counted["call_count"]) == (n_calls, n_calls)
    calls = guarded.calls("flood", count=1001)
    [record] = [call for call in calls if call["refusal"]["n_calls"] > 1]
    assert record["refusal"]["n_calls"] == n_calls - 1000
    assert record["model_id"] == "flooded"
    assert record["error_detail"] == "model 'flooded' is not allowed (one record for 150 calls)"
    assert (record["outcome"], record["cost_usd"], record["notes"]) == ("refused", 0, None)
