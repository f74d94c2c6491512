"""`manage.py erase`: the texts are gone from the database and from all pages, the calls stay, and
the log stays valid."""

from __future__ import annotations

import json
import re

import pytest

from tests.capture.ledger.test_log import chat, read_log
from tests.reports.verification.test_verify_ledger import run, verify
from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider

SECRET = "swordfish"
TOOL_CALL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "look", "arguments": json.dumps({"for": SECRET})},
}


def answer_with_tool(provider: Provider) -> None:
    message = {"role": "assistant", "content": SECRET, "tool_calls": [TOOL_CALL]}
    choices = [{"index": 0, "message": message, "finish_reason": "tool_calls"}]
    usage = {"prompt_tokens": 3, "completion_tokens": 7, "total_tokens": 10}
    body = {"model": "gpt-4o", "choices": choices, "usage": usage}
    provider.response(*canned.as_json(body))


def erase(ledger: Ledger, *arguments: str) -> str:
    done = ledger.command("erase", *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def tables_with(ledger: Ledger, text: str) -> list[str]:
    """The columns of the database in which this text stands, packed or not."""
    found: list[str] = run(ledger, f"print_columns_with({text!r})")
    return found


def test_texts_of_a_session_are_erased_and_its_log_stays_valid(
    stack: Ledger, provider: Provider
) -> None:
    answer_with_tool(provider)
    names = {"session_id": "erased", "agent_name": "a", "user_id": "u-swordfish"}
    ids = [chat(stack, f"{SECRET} number {n}", **names) for n in range(3)]
    kept = chat(stack, f"{SECRET} of another session", session_id="kept", user_id="u-swordfish")
    stack.calls("erased", count=3)
    stack.explain(kept)
    before = stack.calls("erased", count=3)
    wait_until(lambda: len(stack.get("/api/search", params={"q": SECRET}).json()) == 4)
    assert erase(stack, "--session", "erased").startswith("Would erase (--yes does it)")
    assert stack.calls("erased", count=3) == before
    fields = "request,response,texts,user_id,error_detail,path"
    told = erase(stack, "--session", "erased", "--fields", fields, "--yes")
    assert re.match("Erased .* of 3 calls: session erased", told)
    after = stack.calls("erased", count=3)
    assert SECRET not in json.dumps(after)
    for call, earlier in zip(after, before, strict=True):
        assert call["cost_usd"] == earlier["cost_usd"]
        assert call["tokens_in"] == earlier["tokens_in"] == 3
        assert call["request_sha256"] is None and call["user_id"] is None
        assert any("erased: " in note for note in call["notes"])
    found = verify(stack)
    assert (found["ok"], found["findings"]) == (True, [])
    erasures = [one for one in read_log(stack)["log"] if one and one["kind"] == "erasure"]
    assert sorted(one["action_id"] for one in erasures) == sorted(ids)
    assert all("request,response,texts" in one["fields"] for one in erasures)
    wait_until(lambda: len(stack.get("/api/search", params={"q": SECRET}).json()) == 1)
    for id_ in ids:
        for page in (f"/dashboard/calls/{id_}/", f"/dashboard/calls/{id_}/?view=raw"):
            shown = stack.get(page, headers={"accept": "text/html"})
            assert shown.status_code == 200 and SECRET not in shown.text
            assert "erased: " in shown.text
    for path in ("/dashboard/sessions/erased/", "/export/erased", "/dashboard/trace/"):
        shown = stack.get(path, params={"session": "erased"} if "trace" in path else {})
        assert shown.status_code == 200 and SECRET not in shown.text
    exported = stack.folder / "erased.zip"
    for command in (
        ("export_session", "erased", "--format", "bundle", "-o", str(exported)),
        ("verify_export", str(exported)),
    ):
        done = stack.command(*command)
        assert done.returncode == 0, done.stdout + done.stderr
    again = erase(stack, "--session", "erased", "--yes")
    assert "of 3 calls" in again and verify(stack)["ok"]


def test_a_user_is_forgotten_everywhere(stack: Ledger, provider: Provider) -> None:
    user = "jane-roe"
    for session in ("one", "two"):
        chat(stack, "hello", session_id=session, user_id=user)
        stack.calls(session)
    fields = "request,response,texts,user_id"
    erase(stack, "--user", user, "--fields", fields, "--yes")
    assert verify(stack)["ok"]

    def left() -> bool:
        tables = tables_with(stack, user)
        # What was erased, and for whom, is in the audit log; a budget's spending, for a day.
        return set(tables) <= {"access_auditentry.object", "capture_spend.key"}

    wait_until(left)
    assert "jane" not in stack.get("/api/sessions").text


@pytest.mark.parametrize("arguments", [(), ("--session", "s", "--fields", "session_id")])
def test_what_cannot_be_erased_is_refused(stack: Ledger, arguments: tuple[str, ...]) -> None:
    done = stack.command("erase", *arguments)
    assert done.returncode != 0 and done.stdout == ""


def test_old_texts_are_erased_by_age(stack: Ledger) -> None:
    chat(stack, "young", session_id="young")
    [before] = stack.calls("young")
    assert "of 0 calls" in erase(stack, "--before", "90d", "--yes")
    assert stack.calls("young") == [before]
