"""Calls in the shapes of coding agents: what identifies them is kept, their previews are what the
human said, and secrets are never kept."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.support import canned
from tests.support.ledger import Ledger
from tests.support.provider import Provider

SESSION = "0b9f1c6e-2f1b-4a57-8a44-0e9d6bb8a001"
SECRET = "sk-ant-oat01-0123456789abcdefghijkl"
REMINDER = {"type": "text", "text": "<system-reminder>\nToday is Tuesday.\n</system-reminder>"}
CLAUDE = {
    "x-claude-code-session-id": SESSION,
    "x-claude-code-agent-id": "a0123456789abcdef",
    "x-claude-code-parent-agent-id": "afedcba9876543210",
    "x-app": "cli",
    "x-client-request-id": "11111111-2222-3333-4444-555555555555",
    "anthropic-version": "2023-06-01",
}
CODEX = {
    "session-id": SESSION,
    "session_id": SESSION,
    "thread-id": "0199-thread",
    "x-client-request-id": "0199-thread",
    "x-codex-window-id": "0199-thread:0",
    "x-codex-parent-thread-id": "0199-parent",
    "x-openai-subagent": "collab_spawn",
    "x-codex-turn-metadata": '{"turn_id":"t1","agent_name":"/root","sandbox":"none"}',
    "originator": "codex_exec",
}
OPENCODE = {
    "x-opencode-session": "ses_1",
    "x-opencode-request": "msg_1",
    "x-opencode-project": "p",
    "x-opencode-client": "cli",
    "x-session-affinity": "ses_1",
    "x-session-id": "ses_1",
    "x-parent-session-id": "ses_0",
}
GEMINI = {
    "x-gemini-api-privileged-user-id": "u1",
    "x-activity-request-id": "a1",
    "session_id": "s1",
    "user_prompt_id": "s1########0",
    "x-goog-api-client": "google-genai-sdk/1.0",
}


def answers(provider: Provider, value: Any) -> None:
    headers = [*canned.JSON_TYPE, ("request-id", "req_1"), ("x-request-id", "req_2")]
    headers += [("apim-request-id", "req_3"), ("x-amzn-requestid", "req_4"), ("x-empty", "")]
    provider.response(*canned.as_json(value, headers=headers))


def ask(
    ledger: Ledger, path: str, body: Any, headers: dict[str, str], session: str | None
) -> dict[str, Any]:
    """The call as the ledger has it, with the preview that lists show."""
    own = {"x-agentledger-session-id": session} if session else {}
    secrets = {"authorization": f"Bearer {SECRET}", "cookie": SECRET, "x-other": ""}
    response = httpx.post(ledger.url + path, json=body, headers={**headers, **own, **secrets})
    assert response.status_code == 200
    call = ledger.explain(response.headers["x-agentledger-action-id"])
    listed = httpx.get(f"{ledger.url}/dashboard/calls.json").json()
    [preview] = [one["preview"] for one in listed if one["action_id"] == call["action_id"]]
    return {**call, "preview": preview}


@pytest.mark.parametrize("session", ["claude", None])
def test_claude_code(ledger: Ledger, provider: Provider, session: str | None) -> None:
    answers(provider, canned.message("Done."))
    human = {"role": "user", "content": [REMINDER, {"type": "text", "text": "Mend the test"}]}
    tool = {"type": "tool_use", "id": "toolu_1", "name": "Read", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "12 lines"}
    history: list[Any] = [human]
    previews = []
    for more in (
        [],
        [{"role": "assistant", "content": [tool]}, {"role": "user", "content": [result, REMINDER]}],
        [
            {"role": "assistant", "content": "Done."},
            {"role": "user", "content": [{"type": "text", "text": "Thanks"}, REMINDER]},
        ],
    ):
        history += more
        body = {"model": "claude-opus-5-5", "max_tokens": 9, "messages": history}
        call = ask(ledger, "/v1/messages", body, CLAUDE, session)
        previews.append(call["preview"])
        kept = dict(call["request_headers"])
        assert CLAUDE.items() <= kept.items()
        assert (kept["authorization"], kept["cookie"], kept["x-other"]) == (None, None, None)
        assert SECRET not in json.dumps(call)
        assert call["stop_reason"] == "end_turn"
    assert previews == ["Mend the test", "Mend the test", "Thanks"]


@pytest.mark.parametrize("session", ["codex", None])
def test_codex(ledger: Ledger, provider: Provider, session: str | None) -> None:
    answers(provider, canned.response("Done."))

    def said(*words: str) -> dict[str, Any]:
        content = [{"type": "input_text", "text": one} for one in words]
        return {"type": "message", "role": "user", "content": content}

    agents = "# AGENTS.md instructions for /w\n\n<INSTRUCTIONS>\nBe brief\n</INSTRUCTIONS>"
    environment = "<environment_context>\n<cwd>/w</cwd>\n</environment_context>"
    history: list[Any] = [said(agents, environment), said("List the files")]
    call = ask(ledger, "/v1/responses", {"model": "gpt-5", "input": history}, CODEX, session)
    assert (call["preview"], call["stop_reason"]) == ("List the files", "completed")
    assert CODEX.items() <= dict(call["request_headers"]).items()
    history += [
        {"type": "function_call", "call_id": "c", "name": "shell", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "a.txt"},
        said(environment),
    ]
    call = ask(ledger, "/v1/responses", {"model": "gpt-5", "input": history}, CODEX, session)
    assert call["preview"] == "List the files"


@pytest.mark.parametrize("session", ["gemini", None])
def test_gemini_cli(ledger: Ledger, provider: Provider, session: str | None) -> None:
    answers(provider, canned.gemini("Done."))
    context = "This is the Gemini CLI. We are setting up the context for our chat.\nToday is …"
    result = {"functionResponse": {"name": "ls", "response": {"output": "a.txt"}}}
    contents: list[Any] = [
        {"role": "user", "parts": [{"text": context}]},
        {"role": "model", "parts": [{"text": "Got it. Thanks for the context!"}]},
        {"role": "user", "parts": [{"text": "List the files"}]},
    ]
    path = "/v1beta/models/gemini-2.5-pro:generateContent"
    call = ask(ledger, path, {"contents": contents}, GEMINI, session)
    assert (call["preview"], call["stop_reason"]) == ("List the files", "STOP")
    assert GEMINI.items() <= dict(call["request_headers"]).items()
    contents += [
        {"role": "model", "parts": [{"functionCall": {"name": "ls", "args": {}}}]},
        {"role": "user", "parts": [result]},
    ]
    assert ask(ledger, path, {"contents": contents}, GEMINI, session)["preview"] == "List the files"


@pytest.mark.parametrize("session", ["opencode", None])
def test_opencode_and_what_only_looks_like_an_identity(
    ledger: Ledger, provider: Provider, session: str | None
) -> None:
    answers(provider, {**canned.chat("Done."), "choices": [choice("a_new_reason")]})
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    odd = {
        "x-agent-id": SECRET,
        "x-trace-id": "Bearer abcdefghijkl",
        "baggage": "session.id=s1",
        "x-conversation-id": "",
        "x-codex-turn-metadata": '{"origin":"https://me:ghp_abc@github.com/me/it"}',
    }
    call = ask(ledger, "/v1/chat/completions", body, {**OPENCODE, **odd}, session)
    kept = dict(call["request_headers"])
    assert OPENCODE.items() <= kept.items()
    assert (kept["x-agent-id"], kept["x-trace-id"], kept["x-codex-turn-metadata"]) == (None,) * 3
    assert (kept["baggage"], kept["x-conversation-id"]) == ("session.id=s1", "")
    assert call["stop_reason"] == "a_new_reason"
    answered = dict(call["response_headers"])
    ids = ("request-id", "x-request-id", "apim-request-id", "x-amzn-requestid")
    assert [answered[name] for name in ids] == ["req_1", "req_2", "req_3", "req_4"]
    assert answered["x-empty"] is None
    page = httpx.get(f"{ledger.url}/dashboard/calls/{call['action_id']}/?view=raw").text
    assert ">not stored<" in page and ">empty<" in page


def choice(reason: str) -> dict[str, Any]:
    message = {"role": "assistant", "content": "Done."}
    return {"index": 0, "message": message, "finish_reason": reason}
