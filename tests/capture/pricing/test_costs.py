"""What calls cost, on the record: priced as they are recorded, and anew when a price was wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import create_database
from tests.support import canned
from tests.support.ledger import PROJECT, Ledger
from tests.support.provider import Provider

USER = {"role": "user", "content": "hello"}


def post(ledger: Ledger, session: str, **body: Any) -> None:
    response = httpx.post(
        f"{ledger.url}/v1/chat/completions",
        json={"model": "gpt-4o", "messages": [USER], **body},
        headers={"x-agentledger-session-id": session},
    )
    assert response.status_code == 200


def manage(ledger: Ledger, *arguments: str, **variables: str) -> str:
    done = subprocess.run(
        [sys.executable, str(PROJECT / "manage.py"), *arguments],
        cwd=ledger.folder,
        env={**ledger.environment(), **variables},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return done.stdout


def test_a_call_is_priced_with_its_parts(stack: Ledger, provider: Provider) -> None:
    post(stack, "priced")
    call = stack.call("priced")
    # gpt-4o: 2.50 in, 1.25 cached, 10 out, USD per million; 12 tokens in, 4 of them cached, 7 out
    assert Decimal(str(call["cost_usd"])) == Decimal("0.000095")
    assert call["cost_parts"] == {
        "input": "0.0000200000",
        "cache_read": "0.0000050000",
        "output": "0.0000700000",
    }
    assert Decimal(str(call["cache_savings_usd"])) == Decimal("0.000005")
    assert call["price_source"].startswith("genai-prices@")
    [session] = [s for s in stack.sessions() if s["session_id"] == "priced"]
    assert Decimal(str(session["total_cost_usd"])) == Decimal("0.000095")


def test_a_model_without_a_price_costs_null(stack: Ledger, provider: Provider) -> None:
    provider.response(*canned.as_json(canned.chat("x", model="house-model")))
    post(stack, "unpriced", model="house-model")
    call = stack.call("unpriced")
    assert (call["cost_usd"], call["cost_parts"], call["price_source"]) == (None, None, "unknown")
    [session] = [s for s in stack.sessions() if s["session_id"] == "unpriced"]
    assert session["total_cost_usd"] is None
    assert "house-model" in manage(stack, "prices")


def test_what_the_provider_reports_is_the_cost(stack: Ledger, provider: Provider) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 1, "total_tokens": 10, "cost": 0.00123}
    provider.response(*canned.as_json(canned.chat("x", model="vendor/m") | {"usage": usage}))
    post(stack, "reported", model="vendor/m")
    call = stack.call("reported")
    assert (call["cost_usd"], call["price_source"]) == (0.00123, "provider")


def test_a_stream_without_usage_is_estimated_and_priced(stack: Ledger, provider: Provider) -> None:
    post(stack, "estimated", stream=True, messages=[{"role": "user", "content": "word " * 400}])
    call = stack.call("estimated")
    assert call["usage_source"] == "estimated"
    assert call["usage"] is None
    assert 450 < call["tokens_in"] < 560
    assert 350 < call["tokens_out"] < 560
    expected = (call["tokens_in"] * Decimal("2.5") + call["tokens_out"] * 10) / 10**6
    assert Decimal(str(call["cost_usd"])) == expected


def test_speech_is_priced_by_its_text(stack: Ledger, provider: Provider) -> None:
    audio = [("content-type", "audio/mpeg")]
    provider.response(*canned.whole(b"\xff\xf3" * 500, headers=audio))
    response = httpx.post(
        f"{stack.url}/v1/audio/speech",
        json={"model": "tts-1", "input": "a" * 1000, "voice": "alloy"},
        headers={"x-agentledger-session-id": "speech"},
    )
    assert response.content == b"\xff\xf3" * 500
    call = stack.call("speech")
    assert (call["content"], call["tokens_out"], call["notes"]) == (None, None, None)
    assert call["cost_usd"] == 0.015  # 15 USD per million characters
    assert call["units"] == {"input_characters": 1000}
    manage(stack, "reprice")
    assert stack.call("speech")["cost_usd"] == 0.015
    manage(stack, "reprice", AGENTLEDGER_PRICING='{"tts-1": {"characters": 20}}')
    assert stack.call("speech")["cost_usd"] == 0.02
    manage(stack, "reprice")
    assert stack.call("speech")["cost_usd"] == 0.015


def test_counts_in_bedrocks_headers_are_the_usage(stack: Ledger, provider: Provider) -> None:
    counts = [
        ("content-type", "application/json"),
        ("x-amzn-bedrock-input-token-count", "1000"),
        ("x-amzn-bedrock-output-token-count", "100"),
    ]
    response = {"outputs": [{"text": "Hi", "stop_reason": "stop"}]}
    provider.response(*canned.as_json(response, headers=counts))
    httpx.post(
        f"{stack.url}/model/mistral.mistral-large-2402-v1:0/invoke",
        json={"prompt": "<s>[INST]Hi[/INST]"},
        headers={"x-agentledger-session-id": "bedrock"},
    )
    call = stack.call("bedrock")
    assert (call["tokens_in"], call["tokens_out"]) == (1000, 100)
    assert call["usage_source"] == "provider"
    assert Decimal(str(call["cost_usd"])) == Decimal("0.0052")  # 4 and 12 USD per million
    manage(stack, "reprice")
    assert Decimal(str(stack.call("bedrock")["cost_usd"])) == Decimal("0.0052")


def test_creating_a_batch_is_a_call_that_costs_nothing(stack: Ledger, provider: Provider) -> None:
    begun = b'{"id":"batch_1","status":"in_progress"}'
    provider.response(*canned.whole(begun))
    for number, path in enumerate(("/v1/messages/batches", "/v1/batches", "/v1/batch/jobs")):
        headers = {"x-agentledger-session-id": f"batch-{number}"}
        response = httpx.post(f"{stack.url}{path}", json={"requests": []}, headers=headers)
        assert response.content == begun
        call = stack.call(f"batch-{number}")
        assert (call["cost_usd"], call["price_source"], call["outcome"]) == (0, "free", "completed")
        assert "priced when they are fetched" in call["notes"][0]


def test_token_counting_is_free_and_in_no_total(stack: Ledger, provider: Provider) -> None:
    provider.response(*canned.as_json({"input_tokens": 2000}))
    httpx.post(
        f"{stack.url}/v1/messages/count_tokens",
        json={"model": "claude-opus-5-5", "messages": [USER]},
        headers={"x-agentledger-session-id": "counted"},
    )
    call = stack.call("counted")
    assert (call["tokens_in"], call["cost_usd"], call["price_source"]) == (2000, 0, "free")
    [session] = [s for s in stack.sessions() if s["session_id"] == "counted"]
    assert (session["total_tokens_in"], session["total_cost_usd"]) == (None, 0)


def test_the_operators_prices_come_first_and_the_file_wins(
    fresh: Ledger, provider: Provider
) -> None:
    (fresh.folder / "prices.json").write_text('{"gpt-4o*": [100, 200]}')
    inline = {"gpt-4o*": [1, 1], "my-model": [3, 4]}
    fresh.env |= {
        "AGENTLEDGER_PRICING": json.dumps(inline),
        "AGENTLEDGER_PRICING_FILE": "prices.json",
    }
    provider.response(*canned.as_json(canned.chat("x", model="my-model")), times=1)
    with fresh:
        post(fresh, "mine", model="my-model")
        mine = fresh.call("mine")
        post(fresh, "file")
        theirs = fresh.call("file")
    assert Decimal(str(mine["cost_usd"])) == (12 * 3 + 7 * 4) / Decimal(10**6)
    assert Decimal(str(theirs["cost_usd"])) == (12 * 100 + 7 * 200) / Decimal(10**6)
    assert mine["price_source"] == theirs["price_source"] == "operator"


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"AGENTLEDGER_PRICING": "{"}, "AGENTLEDGER_PRICING"),
        ({"AGENTLEDGER_PRICING": '{"m": [-1, 2]}'}, "'m'"),
        ({"AGENTLEDGER_PRICING_FILE": "none.json"}, "none.json"),
    ],
)
def test_a_price_that_cannot_be_used_stops_the_start(
    fresh: Ledger, variables: dict[str, str], said: str
) -> None:
    done = subprocess.run(
        [sys.executable, str(PROJECT / "manage.py"), "runproxy"],
        cwd=fresh.folder,
        env={**fresh.environment(), **variables},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    [line] = done.stderr.splitlines()
    assert said in line


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_calls_are_repriced_and_their_old_cost_is_kept(
    fresh: Ledger, provider: Provider, database: str, request: pytest.FixtureRequest
) -> None:
    if database == "postgresql":
        fresh.env["AGENTLEDGER_DSN"] = create_database(request.getfixturevalue("postgresql"))
    new = {"AGENTLEDGER_PRICING": '{"house-model": [1, 2]}'}
    provider.response(*canned.as_json(canned.chat("x", model="house-model")))
    with fresh:
        post(fresh, "s", model="house-model")
        post(fresh, "s", model="house-model", stream=True)
        before = fresh.calls("s", count=2)
        assert {call["cost_usd"] for call in before} == {None}
        dry = manage(fresh, "reprice", "--dry-run", **new)
        assert dry == "2 of 2 calls would be repriced, +0.0000520000 USD in total\n"
        assert {call["cost_usd"] for call in fresh.calls("s", count=2)} == {None}
        assert manage(fresh, "reprice", "--model", "other", **new).startswith("0 of 0 calls were")
        assert manage(fresh, "reprice", **new).startswith("2 of 2 calls were repriced")
        assert manage(fresh, "reprice", **new).startswith("0 of 2 calls were")
        [session] = fresh.sessions()
        assert Decimal(str(session["total_cost_usd"])) == Decimal("0.000052")
        after = fresh.calls("s", count=2)
        assert {call["price_source"] for call in after} == {"operator"}
        corrections = after[0]["price_corrections"]
        assert [(c["old_cost_usd"], c["new_cost_usd"]) for c in corrections] == [(None, 0.000026)]


def test_the_command_shows_a_models_prices_with_the_reason(fresh: Ledger, tmp_path: Path) -> None:
    said = manage(fresh, "prices", "gpt-4o", "house-model", AGENTLEDGER_PRICING='{"h*": [1, 2]}')
    assert "gpt-4o: openai's published price of gpt-4o" in said
    assert "2.5 USD per 1,000,000" in said
    assert "the operator's price of 'h*'" in said


def test_what_is_billed_beside_tokens_is_priced_alike_again(
    stack: Ledger, provider: Provider
) -> None:
    tokens = {"input_tokens": 1000, "output_tokens": 100}
    items: dict[str, list[dict[str, Any]]] = {
        "searches": [{"type": "web_search_call"}, {"type": "file_search_call"}],
        "container": [{"type": "code_interpreter_call", "container_id": "c"}] * 2,
        "image": [{"type": "image_generation_call", "result": None}],
    }
    for session, output in items.items():
        answer = {"id": session, "model": "gpt-5.4", "status": "completed", "output": output}
        events = canned.named_events(
            [{"type": "response.output_item.done", "output_index": 0, "item": output[0]}]
            + [{"type": "response.completed", "response": {**answer, "usage": tokens}}]
        )
        provider.response(*canned.stream(events), times=1)
        httpx.post(
            f"{stack.url}/v1/responses",
            json={"model": "gpt-5.4", "input": "x", "stream": True},
            headers={"x-agentledger-session-id": f"beside {session}"},
        )
    searches, container, image = (stack.call(f"beside {session}") for session in items)
    # gpt-5.4: 0.004 for the tokens, 10 and 2.50 for a thousand searches
    assert Decimal(str(searches["cost_usd"])) == Decimal("0.0165")
    assert searches["cost_parts"]["other"] == "0.0125000000"
    assert container["units"] == {"container_sessions": 1}
    assert container["notes"] == ["its cost is unknown: container_sessions have no price"]
    assert (image["cost_usd"], image["price_source"]) == (None, "unknown")
    assert "0 of " in manage(stack, "reprice", "--model", "gpt-5.4")
    own = '{"gpt-5.4": {"input": 2.5, "output": 15, "per_web_search": 0.02}}'
    manage(stack, "reprice", "--model", "gpt-5.4", AGENTLEDGER_PRICING=own)
    assert Decimal(str(stack.call("beside searches")["cost_usd"])) == Decimal("0.0265")
