"""The demo's run: three agents write a page together, and know nothing of AgentLedger but the
headers that they send."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from capture.demo.script import GUIDE, LINES, PLACES, PLAN, REVIEW, WEATHER

SESSION = "demo-run"
CLAUDE = "claude-opus-5-5"
TIMEOUT_S = 30.0

FORECAST_TOOL = {
    "type": "function",
    "function": {
        "name": "forecast",
        "description": "The weather of the coming days",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "examples": ["Lisbon"]},
                "days": {"type": "integer", "minimum": 2},
            },
            "required": ["place", "days"],
        },
    },
}


@dataclass
class Agent:
    """One agent's client: the proxy's URL and its own headers."""

    http: httpx.Client
    name: str
    handoff_from: str | None = None
    handoff_to: str | None = None
    parent: str | None = None  # action_id of the call that spawned this agent's
    last: str | None = field(default=None)  # action_id of its latest call

    def post(self, path: str, body: dict[str, Any]) -> httpx.Response:
        values = {
            "session-id": SESSION,
            "user-id": "user-42",
            "app-id": "travel-guide",
            "environment": "staging",
            "agent-name": self.name,
            "handoff-from": self.handoff_from,
            "handoff-to": self.handoff_to,
            "parent-action-id": self.parent,
        }
        headers = {f"x-agentledger-{name}": value for name, value in values.items() if value}
        response = self.http.post(path, json=body, headers=headers)
        self.last = response.headers["x-agentledger-action-id"]
        return response


def play(base_url: str, say: Callable[[str], None]) -> None:
    """Plays the run through the proxy at `base_url`. `say` takes lines about its progress."""
    try:
        _play(base_url, say)
    except (httpx.HTTPError, KeyError) as error:  # the proxy refused a call, or is being stopped
        say(f"  demo: ended early: {error!r}")
        return
    say(f"  demo: done; read it with: curl {base_url}/session/{SESSION}")


def _play(base_url: str, say: Callable[[str], None]) -> None:
    with httpx.Client(base_url=base_url, timeout=TIMEOUT_S, trust_env=False) as http:
        orchestrator = Agent(http, "orchestrator", handoff_to="researcher")
        say("  demo: the orchestrator plans")
        plan(orchestrator)
        researcher = Agent(http, "researcher", "orchestrator", "writer", orchestrator.last)
        say("  demo: the researcher asks for the weather, with a tool, and for places")
        research(researcher)
        writer = Agent(http, "writer", "researcher", parent=orchestrator.last)
        say("  demo: the writer writes; its first model does not exist")
        write(writer)
        say("  demo: the orchestrator checks")
        review(orchestrator)


def plan(agent: Agent) -> None:
    history = [{"role": "user", "content": PLAN}]
    agent.post("/v1/messages", _claude(history))


def research(agent: Agent) -> None:
    system = {"role": "system", "content": "You find facts. You do not guess."}
    history: list[dict[str, Any]] = [system, {"role": "user", "content": WEATHER}]
    request = {"model": "gpt-4o", "temperature": 0.2, "tools": [FORECAST_TOOL]}
    response = agent.post("/v1/chat/completions", {**request, "messages": history})
    message = response.json()["choices"][0]["message"]
    for tool_call in message["tool_calls"]:
        arguments = json.loads(tool_call["function"]["arguments"])
        result = {**arguments, "saturday": "rain until 15:00, 17 C", "sunday": "showers, 16 C"}
        history += [
            message,
            {"role": "tool", "tool_call_id": tool_call["id"], "content": json.dumps(result)},
        ]
    streamed = {"stream": True, "stream_options": {"include_usage": True}}
    agent.post("/v1/chat/completions", {**request, **streamed, "messages": history})
    history += [
        {"role": "assistant", "content": LINES[WEATHER]},
        {"role": "user", "content": PLACES},
    ]
    body = {"model": "gpt-4o-mini", "messages": history, **streamed}
    agent.post("/v1/chat/completions", body)


def write(agent: Agent) -> None:
    body = {"instructions": "You write for people who travel.", "input": GUIDE, "stream": True}
    agent.post("/v1/responses", {**body, "model": "gpt-missing"})
    agent.post("/v1/responses", {**body, "model": "gpt-4o"})


def review(agent: Agent) -> None:
    history = [
        {"role": "user", "content": PLAN},
        {"role": "assistant", "content": LINES[PLAN]},
        {"role": "user", "content": REVIEW},
    ]
    agent.post("/v1/messages", _claude(history) | {"stream": True})


def _claude(history: list[dict[str, Any]]) -> dict[str, Any]:
    system = "You lead a small editorial team. You hand work over and check it."
    return {"model": CLAUDE, "max_tokens": 1024, "system": system, "messages": history}
