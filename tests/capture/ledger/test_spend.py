"""What was spent, added up for budgets beside the calls."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import httpx
import openai
import pytest

from tests.capture.ledger.test_binaries import rows
from tests.capture.ledger.test_stored_responses import USAGE, client, event, response
from tests.conftest import Opened
from tests.support import canned
from tests.support.ledger import Ledger
from tests.support.provider import Provider

ALL_DAYS = "0001-01-01"
Sums = dict[tuple[str, str, str], Decimal]


def post(ledger: Ledger, session: str | None = None, **names: str) -> str:
    given = {"session-id": session, **{name.replace("_", "-"): names[name] for name in names}}
    response = httpx.post(
        f"{ledger.url}/v1/chat/completions",
        json={"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]},
        headers={f"x-agentledger-{name}": value for name, value in given.items() if value},
    )
    action_id: str = response.headers["x-agentledger-action-id"]
    return action_id


def read_spend(ledger: Ledger) -> Sums:
    return {
        (row["budget"], row["key"], str(row["day"])): round(Decimal(str(row["usd"])), 10)
        for row in rows(ledger, "capture_spend")
    }


def costs(calls: list[dict[str, Any]]) -> Sums:
    """The same, from the calls themselves."""
    sums: Sums = defaultdict(Decimal)
    for call in calls:
        if call["cost_usd"]:
            usd = Decimal(str(call["cost_usd"]))
            day = str(datetime.fromisoformat(call["timestamp"]).date())
            sums["daily", "", day] += usd
            for budget, name in (("agent", "agent_name"), ("user", "user_id")):
                if call[name]:
                    sums[budget, call[name], day] += usd
            if call["session_id"]:
                sums["session", call["session_id"], ALL_DAYS] += usd
    return sums


def test_each_call_is_added_to_its_session_agent_user_and_day(
    stack: Ledger, provider: Provider
) -> None:
    stack.explain(post(stack))
    before = read_spend(stack)
    session, agent, user = (f"{name}-{uuid4()}" for name in ("run", "agent", "user"))
    ids = [post(stack, session, agent_name=agent, user_id=user) for _ in range(3)]
    ids += [post(stack, session, agent_name=agent), post(stack)]
    provider.response(*canned.as_json({"error": {"message": "no"}}, 500))
    ids.append(post(stack, session, user_id=user))
    calls = [stack.explain(id_) for id_ in ids]
    assert calls[-1]["cost_usd"] is None
    now = read_spend(stack)
    more = {account: usd - before.get(account, Decimal(0)) for account, usd in now.items()}
    assert {account: usd for account, usd in more.items() if usd} == costs(calls)
    assert len([account for account in more if account[0] == "session" and more[account]]) == 1


def test_an_estimate_that_is_taken_back_was_not_spent(
    stack: Ledger, provider: Provider, opened: Opened
) -> None:
    session = f"resumed-{uuid4()}"
    agent = opened(client(stack, session))
    begun = event("response.created", sequence_number=0, response=response("resp_s", "in_progress"))
    place = {"sequence_number": 1, "item_id": "m", "output_index": 0, "content_index": 0}
    delta = event("response.output_text.delta", **place, delta="Do", logprobs=[])
    chunked = canned.head(200, [*canned.SSE_TYPE, ("transfer-encoding", "chunked")])
    pieces = canned.send(chunked), canned.send(canned.chunk(begun + delta))
    provider.response(*pieces, canned.CLOSE, times=1)
    with pytest.raises(openai.APIConnectionError):
        list(agent.responses.create(model="gpt-4o", input="Work", stream=True))
    assert stack.call(session)["usage_source"] == "estimated"
    estimate = read_spend(stack)["session", session, ALL_DAYS]
    assert estimate > 0
    provider.response(*canned.as_json(response("resp_s", "completed")), times=1)
    agent.responses.retrieve("resp_s")
    calls = stack.calls(session, count=2)
    assert [call["cost_usd"] for call in calls] == [0.0035, 0]
    assert USAGE["input_tokens"] == calls[0]["tokens_in"]
    assert read_spend(stack)["session", session, ALL_DAYS] == Decimal("0.0035")
