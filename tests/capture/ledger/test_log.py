"""The log has an entry for everything that is recorded, and each call's record can be made again
from what the ledger has of it."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.capture.ledger.test_stored_responses import response
from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider

# Runs where the ledger is: the log's entries by index, and whether records have their hashes.
READ_LOG = """
import json
from capture.evidence.tree import leaf_hash
from capture.ledger.log.read import log_size, read_records, tree_at
from capture.models import Call, LogEntry, Tombstone

tree = tree_at(log_size())
log = [None] * tree.size


def add(index, record):
    log[index] = {**json.loads(record), "ok": leaf_hash(record) == tree.leaf(index)}


for entry in LogEntry.objects.all():
    add(entry.index, entry.record.encode())
for one in read_records(list(Call.objects.values_list("pk", flat=True))).values():
    add(one.log_index, one.record)
deleted = Tombstone.objects.order_by("log_index").values_list("log_index", "deletion_index")
print(json.dumps({"log": log, "deleted": list(deleted)}))
"""


def read_log(ledger: Ledger) -> dict[str, Any]:
    done = ledger.command("shell", "-v", "0", "-c", READ_LOG)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def chat(ledger: Ledger, content: str, **names: str) -> str:
    answer = httpx.post(
        f"{ledger.url}/v1/chat/completions",
        content=json.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": content}]}),
        headers=[
            (f"x-agentledger-{name.replace('_', '-')}".encode(), value.encode())
            for name, value in names.items()
        ],
    )
    action_id: str = answer.headers["x-agentledger-action-id"]
    return action_id


def test_records_of_all_kinds_of_calls_are_made_again(stack: Ledger, provider: Provider) -> None:
    ids = [
        chat(stack, "hello", session_id="all", agent_name="a", user_id="u", handoff_to="b"),
        chat(stack, "héllo \u0000 \ud83d\ude00", session_id="all", agent_name="ä" * 600),
        chat(stack, "no session"),
    ]
    tool_call = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "look", "arguments": '{"at": "\\u0000 1e400 \\ud800"}'},
    }
    message = {"role": "assistant", "content": "\ud800 half \u0000", "tool_calls": [tool_call] * 2}
    provider.response(
        *canned.as_json(
            {
                "model": "gpt-4o-2024-08-06",
                "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
                "usage": {"prompt_tokens": 3, "completion_tokens": 7, "total_tokens": 10},
            }
        )
    )
    ids.append(chat(stack, "use tools", session_id="all"))
    provider.response(*canned.as_json({"error": {"message": "no \u0000"}}, 500))
    ids.append(chat(stack, "fail", session_id="all"))
    for id_ in ids:
        stack.explain(id_)
    found = {one["action_id"]: one for one in read_log(stack)["log"] if one["kind"] == "call"}
    assert [one for one in found.values() if not one["ok"]] == []
    assert [found[id_]["session_call"] for id_ in ids] == [1, 2, None, 3, 4]
    with_tools = found[ids[3]]
    call = stack.explain(ids[3])
    assert (with_tools["tokens_in"], with_tools["tokens_out"]) == (3, 7)
    assert float(with_tools["cost_usd"]) == pytest.approx(call["cost_usd"])
    assert "E" not in with_tools["cost_usd"]
    assert with_tools["source"] == "proxy"
    assert found[ids[2]]["session_id"] is None
    text = json.dumps(found)
    assert "hello" not in text
    assert "use tools" not in text


def test_audit_entries_deletions_and_corrections_are_in_the_log(
    stack: Ledger, provider: Provider
) -> None:
    provider.response(*canned.as_json(response("resp_1", "in_progress")), times=1)
    asked = httpx.post(
        f"{stack.url}/v1/responses",
        json={"model": "gpt-4o", "input": "hi", "background": True},
        headers={"x-agentledger-session-id": "kept"},
    ).headers["x-agentledger-action-id"]
    stack.explain(asked)
    provider.response(*canned.as_json(response("resp_1", "completed")), times=1)
    httpx.get(f"{stack.url}/v1/responses/resp_1", headers={"x-agentledger-session-id": "kept"})
    stack.calls("kept", count=2)
    gone = [chat(stack, f"number {n}", session_id="gone") for n in range(3)]
    stack.calls("gone", count=3)
    log = read_log(stack)["log"]
    before = {one["action_id"]: n for n, one in enumerate(log) if one["kind"] == "call"}
    assert httpx.delete(f"{stack.url}/api/calls/{gone[0]}").status_code in (200, 204)
    wait_until(lambda: _n(read_log(stack), "deletion") == 1)
    assert httpx.delete(f"{stack.url}/api/sessions/gone").status_code in (200, 204)

    def purged() -> dict[str, Any] | None:
        found = read_log(stack)
        is_done = _n(found, "deletion") == 2 and len(found["deleted"]) == 3
        return found if is_done and _n(found, "audit") >= 2 else None

    found = wait_until(purged)
    log = found["log"]
    assert [n for n, one in enumerate(log) if one is None] == [before[id_] for id_ in gone]
    assert all(one["ok"] for one in log if one is not None)
    deletions = {n: one for n, one in enumerate(log) if one and one["kind"] == "deletion"}
    assert [one["count"] for one in deletions.values()] == [1, 2]
    assert {index for _, index in found["deleted"]} == set(deletions)
    (correction,) = [one for one in log if one and one["kind"] == "correction"]
    assert (correction["action_id"], correction["reason"]) == (asked, "fetched")
    assert correction["old_tokens_in"] is None
    assert correction["new_tokens_in"] == stack.explain(asked)["tokens_in"]
    assert log[before[asked]]["tokens_in"] is None


def _n(found: dict[str, Any], kind: str) -> int:
    return sum(one is not None and one["kind"] == kind for one in found["log"])
