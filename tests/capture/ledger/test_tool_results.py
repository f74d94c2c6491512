"""Tool results hang on the call that asked for them: as each agent sends them, with a session and
without one."""

from __future__ import annotations

import itertools
import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection

from tests.support import canned
from tests.support.ledger import Ledger, wait_until
from tests.support.provider import Provider
from tests.support.socket_provider import SocketProvider, hear, say

JSON = dict[str, Any]
MARK = {"cache_control": {"type": "ephemeral"}}
POINT = {"cachePoint": {"type": "default"}}
_numbers = itertools.count(1)


class Agent:
    """Sends calls of one API, each with the response that the provider is to give."""

    def __init__(self, ledger: Ledger, provider: Provider, path: str, **names: str) -> None:
        self.ledger, self.provider, self.path = ledger, provider, path
        self.headers = {f"x-agentledger-{name}-id": value for name, value in names.items()}
        self.ids: list[str] = []
        self.bodies: list[JSON] = []

    def ask(self, body: JSON, response: JSON, **headers: str) -> None:
        self.provider.response(*canned.as_json(response), times=1)
        own = {f"x-agentledger-{name.replace('_', '-')}": value for name, value in headers.items()}
        got = httpx.post(
            self.ledger.url + self.path, json=body, headers={**self.headers, **own}, timeout=60
        )
        assert got.status_code == 200, got.text
        self.ids.append(got.headers["x-agentledger-action-id"])
        self.bodies.append(body)

    def calls(self) -> list[JSON]:
        """The calls, once all are recorded."""
        return [self.ledger.explain(id_) for id_ in reversed(self.ids)][::-1]

    def results(self) -> list[list[Any]]:
        """The contents of each call's tool results."""
        return [[result["content"] for result in call["tool_results"]] for call in self.calls()]


def names(kind: str) -> dict[str, str]:
    """With a session, or without one but with an application, so that tests do not meet."""
    return {kind: f"results-{next(_numbers)}"}


BOTH = pytest.mark.parametrize("kind", ["session", "app"])


def text(words: str) -> JSON:
    return {"type": "text", "text": words}


# --- Anthropic: a marker moves with the newest message ---


def use(id_: str, name: str = "read", **arguments: Any) -> JSON:
    return {"type": "tool_use", "id": id_, "name": name, "input": arguments}


def message(*content: JSON) -> JSON:
    return {**canned.message(""), "content": list(content), "stop_reason": "tool_use"}


def marked(history: list[JSON], *, flips: bool) -> list[JSON]:
    """The history with a marker on its last message; with `flips`, a string becomes a block."""
    *earlier, last = history
    content = last["content"]
    blocks = [text(content)] if isinstance(content, str) else content
    if not flips:
        earlier = [
            {**one, "content": [text(one["content"])]} if isinstance(one["content"], str) else one
            for one in earlier
        ]
    return [*earlier, {**last, "content": [*blocks[:-1], {**blocks[-1], **MARK}]}]


@BOTH
@pytest.mark.parametrize("flips", [False, True], ids=["blocks", "strings"])
def test_a_marker_that_moves(ledger: Ledger, provider: Provider, kind: str, *, flips: bool) -> None:
    """Claude Code, its SDK and Pi make a block of a string to mark it, opencode has blocks."""
    agent = Agent(ledger, provider, "/v1/messages", **names(kind))
    history: list[JSON] = [{"role": "user", "content": "Begin."}]
    fixed = {
        "model": "claude-opus-4-5",
        "max_tokens": 9,
        "system": [{**text("You are terse."), **MARK}],
        "tools": [{"name": "read", "input_schema": {"type": "object"}, **MARK}],
    }
    for turn in range(5):
        ids = [f"toolu_01{turn}{letter * 20}" for letter in "Ab"]
        asked = [use(id_, path=f"{turn}{id_[-1]}") for id_ in ids]
        agent.ask({**fixed, "messages": marked(history, flips=flips)}, message(*asked))
        found = [
            {"type": "tool_result", "tool_use_id": id_, "content": f"file of {id_}"}
            for id_ in reversed(ids)
        ]
        history += [{"role": "assistant", "content": asked}, {"role": "user", "content": found}]
        if turn == 2:  # the human interrupts
            history[-1] = {"role": "user", "content": [*found, text("Go on.")]}
            history += [
                {"role": "assistant", "content": [text("Yes.")]},
                {"role": "user", "content": "More."},
            ]
    agent.ask({**fixed, "messages": marked(history, flips=flips)}, canned.message("Done."))
    calls = agent.calls()
    expected = [[f"file of toolu_01{turn}{letter * 20}" for letter in "Ab"] for turn in range(5)]
    assert agent.results() == [*expected, []]
    assert [call["messages"] for call in calls] == [body["messages"] for body in agent.bodies]
    assert calls[0]["tools"] == fixed["tools"]
    if kind == "session":
        counts = [call["new_messages_from"] for call in calls]
        assert counts == [0, 1, 3, 5, 9, 11]
        page = ledger.get(f"/dashboard/calls/{agent.ids[4]}/").text
        assert "9 messages unchanged since" in page
        assert "changed since #" not in page.replace("unchanged since #", "")
    raw = ledger.get(f"/dashboard/calls/{agent.ids[4]}/?view=raw").text
    assert "its bytes are not stored" not in raw and "cache_control" in raw


@BOTH
def test_bedrocks_cache_point_moves(ledger: Ledger, provider: Provider, kind: str) -> None:
    agent = Agent(ledger, provider, "/model/anthropic.claude-x/converse", **names(kind))
    history: list[JSON] = [{"role": "user", "content": [{"text": "Begin."}]}]
    for turn in range(3):
        id_ = f"tooluse_{turn}kZJMlvQmRJ6eAyJE5GIl7"
        asked = {"toolUse": {"toolUseId": id_, "name": "t", "input": {}}}
        response = canned.converse("")
        response["output"]["message"]["content"] = [asked]
        *earlier, last = history
        body = [*earlier, {**last, "content": [*last["content"], POINT]}]
        agent.ask({"messages": body, "system": [{"text": "s"}, POINT]}, response)
        result = {
            "toolUseId": id_,
            "content": [{"text": f"r{turn}"}],
            "status": "success",
        }
        history += [
            {"role": "assistant", "content": [asked]},
            {"role": "user", "content": [{"toolResult": result}]},
        ]
    agent.ask({"messages": history}, canned.converse("Done."))
    assert agent.results() == [["r0"], ["r1"], ["r2"], []]


def test_a_forked_session_repeats_results_that_were_given(
    ledger: Ledger, provider: Provider
) -> None:
    """`claude --fork-session` sends the history under a new session id."""
    one = Agent(ledger, provider, "/v1/messages", **names("session"))
    ids = ["toolu_01A09q90qw90lq917835lq91", "toolu_01A09q90qw90lq917835lq92"]
    history: list[JSON] = [{"role": "user", "content": "Begin."}]
    for number, id_ in enumerate(ids):
        one.ask({"model": "m", "messages": history}, message(use(id_)))
        result = {"type": "tool_result", "tool_use_id": id_, "content": f"r{number}"}
        history = [
            *history,
            {"role": "assistant", "content": [use(id_)]},
            {"role": "user", "content": [result]},
        ]
    fork = Agent(ledger, provider, "/v1/messages", **names("session"))
    fork.ask({"model": "m", "messages": history}, canned.message("Done."))
    assert fork.results() == [[]]
    assert one.results() == [["r0"], ["r1"]]
    # What the fork brought goes with it.
    session = fork.headers["x-agentledger-session-id"]
    assert httpx.delete(f"{ledger.url}/api/sessions/{session}").status_code == 204
    assert one.results() == [["r0"], []]


def test_a_message_that_calls_share_outlives_the_call_that_brought_it(
    ledger: Ledger, provider: Provider
) -> None:
    """The call that brought a message with its marker is deleted; the next has it without."""
    agent = Agent(ledger, provider, "/v1/messages", **names("session"))
    history: list[JSON] = [{"role": "user", "content": "Begin."}]
    for n in range(3):
        use_n = use(f"toolu_01A09q90qw90lq917835lq5{n}")
        agent.ask({"model": "m", "messages": marked(history, flips=True)}, message(use_n))
        result = {"type": "tool_result", "tool_use_id": use_n["id"], "content": f"r{n}"}
        history += [
            {"role": "assistant", "content": [use_n]},
            {"role": "user", "content": [result]},
        ]
    assert agent.results() == [["r0"], ["r1"], []]
    deleted = agent.ids.pop(1)
    assert httpx.delete(f"{ledger.url}/api/calls/{deleted}").status_code == 204
    with closing(sqlite3.connect(ledger.folder / "agentledger.db")) as database:
        gone = "SELECT count(*) FROM capture_tombstone WHERE action_id = ?"
        wait_until(lambda: database.execute(gone, [UUID(deleted).hex]).fetchone()[0])
    del agent.bodies[1]
    calls = agent.calls()
    assert [call["messages"] for call in calls] == [body["messages"] for body in agent.bodies]
    # Its request brought the first result, and its response asked for the second.
    assert agent.results() == [[], []]
    raw = ledger.get(f"/dashboard/calls/{agent.ids[-1]}/?view=raw").text
    assert "its bytes are not stored" not in raw and "cache_control" in raw


# --- chat completions ---


def chat_call(id_: str | None, name: str = "go", **arguments: Any) -> JSON:
    call = {"type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}
    return {"id": id_, **call} if id_ else call


def tool(id_: str, content: str) -> JSON:
    return {"role": "tool", "tool_call_id": id_, "content": content}


def asking(*calls: JSON) -> JSON:
    return {"role": "assistant", "content": None, "tool_calls": list(calls)}


USER = {"role": "user", "content": "Begin."}


@BOTH
def test_a_supervisor_hands_over_to_an_agent_with_another_prompt(
    ledger: Ledger, provider: Provider, kind: str
) -> None:
    """As langgraph-supervisor does: a tool transfers, the next agent has the whole history."""
    agent = Agent(ledger, provider, "/v1/chat/completions", **names(kind))
    transfer, search = "call_Qm1zCk4vTqS2Yf8aUe7LxN3p", "call_Zk9sLw2mXc5Bt7RhVd4JqE1y"
    supervisor = {"role": "system", "content": "You supervise."}
    researcher = {"role": "system", "content": "You research."}
    handed = {
        **asking(chat_call(transfer, "transfer_to_researcher")),
        "name": "supervisor",
    }
    given = {**tool(transfer, "Successfully transferred"), "name": "transfer_to_researcher"}
    history = [USER, handed, given]
    agent.ask(
        {"model": "m", "messages": [supervisor, USER]},
        canned.chat("", tool_calls=handed["tool_calls"]),
        agent_name="supervisor",
    )
    asked = asking(chat_call(search, "search", q="x"))
    agent.ask(
        {"model": "m", "messages": [researcher, *history]},
        canned.chat("", tool_calls=asked["tool_calls"]),
        agent_name="researcher",
    )
    history += [asked, tool(search, "found")]
    agent.ask(
        {"model": "m", "messages": [researcher, *history]},
        canned.chat("Here."),
        agent_name="researcher",
    )
    history += [{"role": "assistant", "content": "Here.", "name": "researcher"}]
    agent.ask(
        {"model": "m", "messages": [supervisor, *history]},
        canned.chat("Done."),
        agent_name="supervisor",
    )
    assert agent.results() == [["Successfully transferred"], ["found"], [], []]


@BOTH
def test_ids_that_are_counted_anew_in_each_response(
    ledger: Ledger, provider: Provider, kind: str
) -> None:
    """vllm-project/vllm#50295: Kimi K3's ids are unique within a message only."""
    agent = Agent(ledger, provider, "/v1/chat/completions", **names(kind))
    history: list[JSON] = [USER]
    for path in ("a", "b", "c"):
        calls = [chat_call(f"list:{n}", "list", path=path, n=n) for n in range(2)]
        agent.ask({"model": "m", "messages": history}, canned.chat("", tool_calls=calls))
        results = [tool(f"list:{n}", f"{path}{n}") for n in range(2)]
        history = [*history, asking(*calls), *results]
    agent.ask({"model": "m", "messages": history}, canned.chat("Done."))
    assert agent.results() == [["a0", "a1"], ["b0", "b1"], ["c0", "c1"], []]


def test_one_id_for_all_calls_of_a_response(ledger: Ledger, provider: Provider) -> None:
    """xorbitsai/inference#4237: results come in the order of the calls."""
    agent = Agent(ledger, provider, "/v1/chat/completions", **names("session"))
    calls = [chat_call("call_same", "get", n=n) for n in range(3)]
    agent.ask({"model": "m", "messages": [USER]}, canned.chat("", tool_calls=calls))
    results = [tool("call_same", f"r{n}") for n in range(3)]
    agent.ask({"model": "m", "messages": [USER, asking(*calls), *results]}, canned.chat("Done."))
    assert agent.results() == [["r0", "r1", "r2"], []]


def test_parallel_agents_of_a_session_have_the_same_ids(ledger: Ledger, provider: Provider) -> None:
    agent = Agent(ledger, provider, "/v1/chat/completions", **names("session"))
    histories: list[list[JSON]] = [
        [{"role": "user", "content": city}] for city in ("Rome", "Oslo", "Bern")
    ]
    for history in histories:
        call = chat_call("call_0", "weather", city=history[0]["content"])
        agent.ask({"model": "m", "messages": history}, canned.chat("", tool_calls=[call]))
        history += [asking(call), tool("call_0", f"in {history[0]['content']}")]
    for history in histories:
        agent.ask({"model": "m", "messages": history}, canned.chat("Done."))
    assert agent.results()[:3] == [["in Rome"], ["in Oslo"], ["in Bern"]]


@pytest.mark.parametrize("id_", ["call_0", "call_Qm1zCk4vTqS2Yf8aUe7LxN9q"])
def test_an_id_of_two_callers_does_not_mix(ledger: Ledger, provider: Provider, id_: str) -> None:
    one, other = (Agent(ledger, provider, "/v1/chat/completions", **names("app")) for _ in range(2))
    call = chat_call(id_)
    one.ask({"model": "m", "messages": [USER]}, canned.chat("", tool_calls=[call]))
    body = {"model": "m", "messages": [USER, asking(call), tool(id_, "of another")]}
    other.ask(body, canned.chat("Done."))
    assert other.results() == [["of another"]]
    assert one.results() == [[]]


def test_a_short_id_of_another_session_does_not_mix(ledger: Ledger, provider: Provider) -> None:
    one, other = (
        Agent(ledger, provider, "/v1/chat/completions", **names("session")) for _ in range(2)
    )
    call = chat_call("call_0")
    one.ask({"model": "m", "messages": [USER]}, canned.chat("", tool_calls=[call]))
    body = {"model": "m", "messages": [USER, asking(call), tool("call_0", "of another")]}
    other.ask(body, canned.chat("Done."))
    assert (one.results(), other.results()) == ([[]], [["of another"]])


def test_a_short_id_without_a_session_needs_the_same_call(
    ledger: Ledger, provider: Provider
) -> None:
    """The history was shortened: its first message is another."""
    agent = Agent(ledger, provider, "/v1/chat/completions", **names("app"))
    call = chat_call("call_0", "go", to="x")
    agent.ask({"model": "m", "messages": [USER, USER]}, canned.chat("", tool_calls=[call]))
    summary = {"role": "user", "content": "What was said so far: …"}
    wrong = chat_call("call_0", "go", to="y")
    agent.ask(
        {"model": "m", "messages": [summary, asking(wrong), tool("call_0", "y")]},
        canned.chat("Done."),
    )
    agent.ask(
        {"model": "m", "messages": [summary, asking(call), tool("call_0", "x")]},
        canned.chat("Done."),
    )
    assert agent.results() == [["x"], ["y"], []]


def test_the_oldest_form_has_a_name_and_no_id(ledger: Ledger, provider: Provider) -> None:
    agent = Agent(ledger, provider, "/v1/chat/completions", **names("session"))
    history: list[JSON] = [USER]
    for n in range(2):
        asked = {"name": "go", "arguments": json.dumps({"n": n})}
        agent.ask({"model": "m", "messages": history}, canned.chat("", function_call=asked))
        history = [
            *history,
            {"role": "assistant", "content": None, "function_call": asked},
            {"role": "function", "name": "go", "content": f"r{n}"},
        ]
    agent.ask({"model": "m", "messages": history}, canned.chat("Done."))
    assert agent.results() == [["r0"], ["r1"], []]


# --- Responses ---


def item(kind: str, call_id: str, **fields: Any) -> JSON:
    return {"type": kind, "call_id": call_id, **fields}


def response(id_: str, *output: JSON) -> JSON:
    return canned.response("", id=id_, output=list(output))


@BOTH
def test_codex_sends_its_history(ledger: Ledger, provider: Provider, kind: str) -> None:
    agent = Agent(ledger, provider, "/v1/responses", **names(kind))
    history: list[JSON] = [
        {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": "d"}]},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Begin."}]},
    ]
    asked = [
        item("function_call", "call_Aa1zCk4vTqS2Yf8aUe7LxN3p", name="shell", arguments="{}"),
        item("custom_tool_call", "call_Bb1zCk4vTqS2Yf8aUe7LxN3p", name="apply_patch", input="p"),
    ]
    fixed = {"model": "gpt-5", "instructions": "You are Codex.", "store": False}
    for n, call in enumerate(asked):
        agent.ask({**fixed, "input": history}, response(f"resp_{kind}{n}", call))
        output = item(f"{call['type']}_output", call["call_id"], output=f"r{n}")
        history = [*history, call, output]
    agent.ask({**fixed, "input": history}, response(f"resp_{kind}9"))
    assert agent.results() == [["r0"], ["r1"], []]


ASKED_AND_BROUGHT: dict[str, tuple[JSON, JSON]] = {
    "shell": (
        item("shell_call", "call_Sh1zCk4vTqS2Yf8aUe7LxN3p", action={"commands": ["ls"]}),
        item(
            "shell_call_output",
            "call_Sh1zCk4vTqS2Yf8aUe7LxN3p",
            output=[{"stdout": "a.txt", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}],
        ),
    ),
    "apply_patch": (
        item(
            "apply_patch_call", "call_Ap1zCk4vTqS2Yf8aUe7LxN3p", operation={"type": "create_file"}
        ),
        item("apply_patch_call_output", "call_Ap1zCk4vTqS2Yf8aUe7LxN3p", output="done"),
    ),
    "computer": (
        item("computer_call", "call_Co1zCk4vTqS2Yf8aUe7LxN3p", action={"type": "click"}),
        item(
            "computer_call_output",
            "call_Co1zCk4vTqS2Yf8aUe7LxN3p",
            output={"type": "computer_screenshot", "image_url": "https://example.org/a.png"},
        ),
    ),
    "tool_search": (
        item("tool_search_call", "call_Ts1zCk4vTqS2Yf8aUe7LxN3p", execution="client", arguments={}),
        item("tool_search_output", "call_Ts1zCk4vTqS2Yf8aUe7LxN3p", execution="client", tools=[]),
    ),
    "drop_table": (
        {
            "type": "mcp_approval_request",
            "id": "mcpr_68a1zCk4vTqS2Yf8aUe7LxN3p",
            "name": "drop_table",
            "arguments": "{}",
            "server_label": "db",
        },
        {
            "type": "mcp_approval_response",
            "approval_request_id": "mcpr_68a1zCk4vTqS2Yf8aUe7LxN3p",
            "approve": False,
        },
    ),
}


@pytest.mark.parametrize("name", ASKED_AND_BROUGHT)
@pytest.mark.parametrize("is_continued", [True, False])
@BOTH
def test_each_kind_of_item_brings_its_result(
    ledger: Ledger, provider: Provider, kind: str, name: str, *, is_continued: bool
) -> None:
    agent = Agent(ledger, provider, "/v1/responses", **names(kind))
    asked, brought = ASKED_AND_BROUGHT[name]
    first = f"resp_{kind}{name}{is_continued}"
    begin: JSON = {"type": "message", "role": "user", "content": f"{name} {is_continued}"}
    agent.ask({"model": "gpt-5", "input": [begin]}, response(first, asked))
    more: JSON = {"input": [begin, asked, brought]}
    if is_continued:
        more = {"previous_response_id": first, "input": [brought]}
    agent.ask({"model": "gpt-5", **more}, response(f"{first}2"))
    asking, bringing = agent.calls()
    assert [call["name"] for call in asking["tool_calls"]] == [name]
    [result] = asking["tool_results"]
    assert result["tool_call_id"] == asking["tool_calls"][0]["id"]
    assert bringing["tool_results"] == []


@BOTH
@pytest.mark.parametrize("id_", ["call_1", "call_Cc1zCk4vTqS2Yf8aUe7LxN3p"])
def test_a_response_is_continued_by_its_id(
    ledger: Ledger, provider: Provider, kind: str, id_: str
) -> None:
    agent = Agent(ledger, provider, "/v1/responses", **names(kind))
    tag = f"resp_{kind}{id_}"
    body: JSON = {"model": "gpt-5", "input": "Begin.", "instructions": "x"}
    for n in range(3):
        call = item("function_call", id_, name="go", arguments=json.dumps({"n": n}))
        agent.ask(body, response(f"{tag}_{n}", call))
        output = item("function_call_output", id_, output=f"r{n}")
        body = {"model": "gpt-5", "previous_response_id": f"{tag}_{n}", "input": [output]}
    agent.ask(body, response(f"{tag}_9"))
    assert agent.results() == [["r0"], ["r1"], ["r2"], []]


def test_a_response_of_a_session_is_continued_without_one(
    ledger: Ledger, provider: Provider
) -> None:
    agent = Agent(ledger, provider, "/v1/responses")
    call = item("function_call", "call_7", name="go", arguments="{}")
    session = names("session")["session"]
    agent.ask({"model": "gpt-5", "input": "B"}, response("resp_in", call), session_id=session)
    output = item("function_call_output", "call_7", output="late")
    body = {"model": "gpt-5", "previous_response_id": "resp_in", "input": [output]}
    agent.ask(body, response("resp_out"))
    assert agent.results() == [["late"], []]


@BOTH
def test_an_agent_hands_off_to_another(ledger: Ledger, provider: Provider, kind: str) -> None:
    """As @openai/agents does: other instructions and tools, the same input so far."""
    agent = Agent(ledger, provider, "/v1/responses", **names(kind))
    call = item(
        "function_call", f"call_{kind}1zCk4vTqS2Yf8aUe7L", name="transfer_to_b", arguments="{}"
    )
    output = item("function_call_output", call["call_id"], output='{"assistant": "B"}')
    user = {"role": "user", "content": "Begin."}
    first = {"instructions": "You are A.", "model": "gpt-5", "input": [user]}
    agent.ask(first, response(f"resp_h{kind}1", call))
    second = {"instructions": "You are B.", "model": "gpt-5", "input": [user, call, output]}
    agent.ask(second, response(f"resp_h{kind}2"))
    assert agent.results() == [['{"assistant": "B"}'], []]


def codex(connection: ServerConnection) -> None:
    """Asks for a tool in each response but the last."""
    for n in range(3):
        hear(connection)
        call = item("function_call", f"call_{n}", name="shell", arguments="{}")
        done = canned.response("", id=f"resp_ws{n}", output=[call] if n < 2 else [])
        say(connection, {"type": "response.completed", "response": done})


@BOTH
def test_codex_continues_responses_over_a_websocket(tmp_path: Path, kind: str) -> None:
    """Each `response.create` has only what is new: openai/codex#11383."""
    name = f"x-agentledger-{kind}-id"
    with SocketProvider(codex) as provider, Ledger(tmp_path, provider.url) as ledger:
        url = f"{ledger.url.replace('http', 'ws', 1)}/v1/responses"
        with connect(url, additional_headers={name: "codex"}) as socket:
            body: JSON = {"model": "gpt-5", "instructions": "You are Codex.", "input": "Begin."}
            for n in range(3):
                say(socket, {"type": "response.create", **body})
                hear(socket)
                output = item("function_call_output", f"call_{n}", output=f"r{n}")
                body = {"model": "gpt-5", "previous_response_id": f"resp_ws{n}", "input": [output]}
        with_results = wait_until(lambda: _with_results(ledger, n_calls=3))
        assert with_results == [["r0"], ["r1"], []]
        assert n_scopes(ledger) == 1


def _with_results(ledger: Ledger, *, n_calls: int) -> list[list[Any]] | None:
    with closing(sqlite3.connect(ledger.folder / "agentledger.db")) as database:
        ids = [
            row[0] for row in database.execute("SELECT action_id FROM capture_call ORDER BY seq")
        ]
    if len(ids) < n_calls:
        return None
    calls = [ledger.explain(str(UUID(id_))) for id_ in ids]
    return [[result["content"] for result in call["tool_results"]] for call in calls]


def n_scopes(ledger: Ledger) -> int:
    with closing(sqlite3.connect(ledger.folder / "agentledger.db")) as database:
        [(n,)] = database.execute("SELECT count(DISTINCT scope) FROM capture_call")
    return int(n)


# --- Gemini ---


def function_call(name: str, id_: str | None = None, **args: Any) -> JSON:
    call = {"name": name, "args": args}
    return {"functionCall": {**call, "id": id_} if id_ else call}


def function_response(name: str, output: str, id_: str | None = None) -> JSON:
    response = {"name": name, "response": {"output": output}}
    return {"functionResponse": {**response, "id": id_} if id_ else response}


def candidate(*parts: JSON) -> JSON:
    found = canned.gemini("")
    found["candidates"][0]["content"]["parts"] = list(parts)
    return found


@BOTH
@pytest.mark.parametrize("ids", ["none", "the provider's", "the client's"])
def test_gemini_clients_leave_out_ids(
    ledger: Ledger, provider: Provider, kind: str, ids: str
) -> None:
    path = "/v1beta/models/gemini-3-pro:generateContent"
    agent = Agent(ledger, provider, path, **names(kind))
    history: list[JSON] = [{"role": "user", "parts": [{"text": "Begin."}]}]
    for turn in range(3):
        cities = [f"Rome{turn}", f"Oslo{turn}"]
        theirs = [f"call_41627{turn}{n}" if ids == "the provider's" else None for n in range(2)]
        asked = [
            function_call("weather", id_, city=city)
            for id_, city in zip(theirs, cities, strict=True)
        ]
        agent.ask({"contents": history}, candidate(*asked, function_call("clock")))
        own = [f"weather-{turn}-{n}" if ids == "the client's" else None for n in range(2)]
        answers = [
            function_response("weather", city, id_) for id_, city in zip(own, cities, strict=True)
        ]
        echoed = [
            function_call("weather", id_, city=city) for id_, city in zip(own, cities, strict=True)
        ]
        history = [
            *history,
            {"role": "model", "parts": [*echoed, function_call("clock")]},
            {"role": "user", "parts": [function_response("clock", "noon"), *answers]},
        ]
    agent.ask({"contents": history}, canned.gemini("Done."))
    results = [[one["output"] for one in some] for some in agent.results()]
    assert results == [[f"Rome{turn}", f"Oslo{turn}", "noon"] for turn in range(3)] + [[]]


def test_a_compressed_history_of_gemini_repeats_no_result(
    ledger: Ledger, provider: Provider
) -> None:
    path = "/v1beta/models/gemini-3-pro:generateContent"
    agent = Agent(ledger, provider, path, **names("app"))
    first = {"role": "user", "parts": [{"text": "Begin."}]}
    call = function_call("clock", zone="UTC")
    asked = {"role": "model", "parts": [call]}
    answer = {"role": "user", "parts": [function_response("clock", "noon")]}
    agent.ask({"contents": [first]}, candidate(call))
    agent.ask({"contents": [first, asked, answer]}, canned.gemini("Noon."))
    summary = {"role": "user", "parts": [{"text": "So far: …"}]}
    agent.ask({"contents": [summary, asked, answer, first]}, canned.gemini("Done."))
    assert agent.results() == [[{"output": "noon"}], [], []]


# --- Ollama ---


@BOTH
@pytest.mark.parametrize("is_named", [True, False])
def test_ollama_has_names_in_place_of_ids(
    ledger: Ledger, provider: Provider, kind: str, *, is_named: bool
) -> None:
    agent = Agent(ledger, provider, "/api/chat", **names(kind))
    history: list[JSON] = [USER]
    for turn in range(2):
        calls = [
            {"function": {"name": name, "arguments": {"turn": turn}}} for name in ("a", "b", "a")
        ]
        answer = canned.ollama("")
        answer["message"]["tool_calls"] = calls
        agent.ask({"model": "m", "stream": False, "messages": history}, answer)
        results = [
            {"role": "tool", "content": f"{name}{turn}{n}", "tool_name": name}
            for n, name in enumerate(("a", "b", "a"))
        ]
        if not is_named:
            results = [{key: one[key] for key in ("role", "content")} for one in results]
        history = [
            *history,
            {"role": "assistant", "content": "", "tool_calls": calls},
            *results,
        ]
    agent.ask({"model": "m", "stream": False, "messages": history}, canned.ollama("Done."))
    assert agent.results() == [[f"a{turn}0", f"b{turn}1", f"a{turn}2"] for turn in range(2)] + [[]]
