"""Exports of calls whose usage and cost came later: the log has what was recorded first."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from reports.export.verify import verify_file
from tests.capture.ledger.test_stored_responses import response
from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider

SESSION = {"x-agentledger-session-id": "later"}


def test_a_corrected_call_is_verified_with_its_correction(
    stack: Ledger, provider: Provider, tmp_path: Path
) -> None:
    provider.response(*canned.as_json(response("resp_1", "in_progress")), times=1)
    asked = httpx.post(
        f"{stack.url}/v1/responses",
        json={"model": "gpt-4o", "input": "hi", "background": True},
        headers=SESSION,
    ).headers["x-agentledger-action-id"]
    assert stack.explain(asked)["tokens_in"] is None
    provider.response(*canned.as_json(response("resp_1", "completed")), times=1)
    httpx.get(f"{stack.url}/v1/responses/resp_1", headers=SESSION)
    wait_until(lambda: stack.explain(asked)["tokens_in"])
    document = stack.get("/export/later").json()
    [call] = [one for one in document["calls"] if one["action_id"] == asked]
    [proof] = [one for one in document["evidence"]["calls"] if one["action_id"] == asked]
    assert json.loads(proof["leaf"])["tokens_in"] is None
    assert call["tokens_in"] == 1000
    [entry] = [json.loads(one["leaf"]) for one in document["evidence"]["entries"]]
    assert (entry["kind"], entry["new_tokens_in"]) == ("correction", 1000)
    file = tmp_path / "later.json"
    file.write_bytes(stack.get("/export/later").content)
    assert "1 calls corrected" in "\n".join(verify_file(str(file), ()))
    verified = stack.command("verify_ledger")
    assert verified.returncode == 0, verified.stdout
