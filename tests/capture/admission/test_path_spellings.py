"""However a path is spelled, a deny list and a budget hold, the call is recorded, and its upstream
gets the path as it came. `tests/capture/wire/test_paths.py` makes up more spellings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import running_on
from tests.support import raw
from tests.support.ledger import Ledger
from tests.support.provider import Provider

SPELLINGS = {
    "openai": (
        "/v1/chat/completions/",
        "//v1//chat/completions",
        "/V1/Chat/COMPLETIONS",
        "/v1/chat/completions;v=1",
        "/v1/./chat/x/../completions",
        "/v1/chat/%63ompletions",
        "/v1/chat%2Fcompletions",
        "/v1/%2563hat/completions",
    ),
    "gemini": (
        "/v1beta/models/denied-1:generateContent/",
        "/V1BETA/models/denied-1:GenerateContent",
        "/v1beta/models/denied-1%3AgenerateContent",
        "/v1beta//models/denied-1:generateContent?alt=json",
    ),
    "bedrock": (
        "/model/denied-1/converse/",
        "/model/denied%2D1/Converse",
        "//model/denied-1/converse",
    ),
}
CASES = [(name, path) for name, paths in SPELLINGS.items() for path in paths]
BODIES: dict[str, dict[str, Any]] = {
    "openai": {"model": "denied-1", "messages": [{"role": "user", "content": "hello"}]},
    "gemini": {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
    "bedrock": {"messages": [{"role": "user", "content": [{"text": "hello"}]}]},
}


@pytest.fixture(scope="module", params=["daphne-sqlite", "uvicorn-sqlite"])
def limited(request: pytest.FixtureRequest) -> Iterator[Ledger]:
    with running_on(
        request.param,
        request,
        AGENTLEDGER_MODELS_DENY="denied-*",
        AGENTLEDGER_BUDGET_AGENT="0",
    ) as ledger:
        yield ledger


def send(ledger: Ledger, path: str, body: dict[str, Any], session: str) -> raw.RawResponse:
    data = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"x-agentledger-session-id: {session}\r\nx-agentledger-agent-name: a\r\n"
        f"content-length: {len(data)}\r\n\r\n"
    )
    return raw.exchange(ledger.url, head.encode() + data)


@pytest.mark.parametrize(("name", "path"), CASES)
def test_no_spelling_gets_past_a_deny_list_or_a_budget(
    limited: Ledger, provider: Provider, name: str, path: str
) -> None:
    for model, code in (("denied-1", "model_denied"), ("gpt-4o", "budget_exceeded")):
        spelled = path.replace("denied-1", model).replace("denied%2D1", model)
        body = json.loads(json.dumps(BODIES[name]).replace("denied-1", model))
        session = f"{name} {spelled} {model}"
        response = send(limited, spelled, body, session)
        assert response.status in (403, 429), (response, spelled)
        call = limited.call(session)
        assert (call["outcome"], call["refusal"]["code"]) == ("refused", code)
    assert provider.counts()["received"] == 0


@pytest.mark.parametrize(("name", "path"), CASES)
def test_upstream_gets_the_path_as_it_came(
    ledger: Ledger, provider: Provider, name: str, path: str
) -> None:
    send(ledger, path, BODIES[name], f"{name} {path}")
    call = ledger.call(f"{name} {path}")
    assert [request.target for request in provider.requests()] == [path]
    assert call["model_id"] == "denied-1"
