"""Results of batches: priced one by one, counted once, in bounded work."""

from __future__ import annotations

import json
import time
from typing import Any

import httpx
import pytest

from capture.wire.formats import batch_results
from capture.wire.limits import MAX_RESULTS_CPU_S
from capture.wire.registry import find_fetch, may_be_any_file
from tests.support.canned import CLOSE, head, send, whole
from tests.support.ledger import Ledger
from tests.support.provider import Provider

USAGE = {"prompt_tokens": 1000, "completion_tokens": 100, "total_tokens": 1100}
# Half of 0.15 and 0.60 USD a million: https://platform.openai.com/docs/pricing, gpt-4o-mini, batch.
LINE_USD = 0.000105


def result(n: int, text: str = "ok") -> bytes:
    message = {"role": "assistant", "content": text}
    body: dict[str, Any] = {
        "id": f"chatcmpl-{n}",
        "object": "chat.completion",
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": USAGE,
    }
    response = {"status_code": 200, "request_id": f"req_{n}", "body": body}
    line = {"id": f"batch_req_{n}", "custom_id": f"c{n}", "response": response, "error": None}
    return json.dumps(line).encode() + b"\n"


FILE = b"".join(map(result, range(3)))
TYPE = [("content-type", "application/octet-stream")]


def fetch(ledger: Ledger, id_: str) -> httpx.Response:
    headers = {"x-agentledger-session-id": f"s-{id_}"}
    return httpx.get(f"{ledger.url}/v1/files/{id_}/content", headers=headers, timeout=60)


def test_results_are_counted_once_and_only_when_they_came_whole(
    ledger: Ledger, provider: Provider
) -> None:
    cut = head(200, [*TYPE, ("content-length", str(len(FILE)))]) + FILE[: len(FILE) * 2 // 3]
    provider.response(send(cut), CLOSE, times=1)
    with pytest.raises(httpx.RemoteProtocolError):
        fetch(ledger, "file-1")
    provider.response(*whole(FILE, headers=TYPE))
    ids = []
    for _ in range(2):
        response = fetch(ledger, "file-1")
        assert response.content == FILE
        ids.append(response.headers["x-agentledger-action-id"])
    first, again = map(ledger.explain, ids)
    [partly] = [
        call for call in ledger.calls("s-file-1", count=3) if call["outcome"] != "completed"
    ]
    assert (partly["tokens_in"], partly["cost_usd"]) == (None, None)
    assert (first["tokens_in"], first["tokens_out"]) == (3000, 300)
    assert first["cost_usd"] == pytest.approx(3 * LINE_USD)
    assert (again["tokens_in"], again["cost_usd"], again["price_source"]) == (None, 0, "fetched")
    [totals] = [s for s in ledger.sessions() if s["session_id"] == "s-file-1"]
    assert totals["total_tokens_in"] == 3000
    assert totals["total_cost_usd"] == pytest.approx(3 * LINE_USD)


def test_other_files_pass_without_a_record(ledger: Ledger, provider: Provider) -> None:
    for content in (b"\x89PNG" + bytes(100_000), b"", b'{"messages":[]}\n', b"custom_id,key\n"):
        provider.response(*whole(content, headers=TYPE), times=1)
        response = fetch(ledger, "file-2")
        assert response.content == content
        assert "x-agentledger-action-id" not in response.headers


def test_ten_thousand_results_are_bounded_work() -> None:
    content = b"".join(result(n, "ok" * 500) for n in range(10_000))
    began = time.process_time()
    parsed = batch_results.OPENAI.parse_response(content, status=200, content_type="")
    assert time.process_time() - began < MAX_RESULTS_CPU_S
    assert parsed.usage is not None
    assert (parsed.usage.tokens_in, len(parsed.usage.billed)) == (10_000_000, 10_000)
    assert parsed.usage.raw == {"results": 10_000, "answered": 10_000}


@pytest.mark.parametrize(
    "line",
    [
        b'{"result":"succeeded"}',
        b'{"result":{"type":"succeeded","message":"x"}}',
        b'{"custom_id":1,"response":[]}',
        b'{"custom_id":1,"response":{"body":[1],"status_code":"200"}}',
        b'{"custom_id":1,"response":{"body":{"error":"x"},"status_code":500}}',
        b'{"response":{"inlinedResponses":{"inlinedResponses":7}},"metadata":4}',
        b'["custom_id"]',
        b"",
    ],
)
def test_odd_results_bring_nothing(line: bytes) -> None:
    for body in (line, line + b"\n" + line + b"\n"):
        parsed = batch_results.OPENAI.parse_response(body, status=200, content_type="")
        assert parsed.usage is None or parsed.usage.tokens_in is None


def test_which_paths_fetch_what() -> None:
    def found(path: str) -> tuple[str, str, bool] | None:
        fetch = find_fetch("GET", path)
        return fetch and (fetch.wire_format.NAME, fetch.id, may_be_any_file(fetch, path))

    assert found("/v1/files/f/content") == ("openai_batch", "f", True)
    assert found("/openai/files/f/content") == ("openai_batch", "f", True)
    assert found("/v1/messages/batches/m/results") == ("anthropic_batch", "m", False)
    assert found("/v1beta/batches/b") == ("gemini_batch", "b", False)
    assert found("/download/v1beta/files/f:download") == ("gemini_batch", "f", True)
    for path in ("/v1/batches/batch_1", "/v1/files/f", "/v1/batches", "/v1/messages/batches/m"):
        assert found(path) is None
