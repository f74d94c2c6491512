"""Sessions as agents leave them, for the pages that draw them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import httpx
from openai import OpenAI

from tests.support.canned import as_json
from tests.support.ledger import PROJECT, Ledger, wait_until
from tests.support.provider import Provider

EXAMPLE = PROJECT / "docs" / "integrations" / "openai-agents.md"
HOSTILE = "<img src=x onerror=alert(1)><script>alert(2)</script>"


def agent(session: str, name: str | None = None, **fields: str | None) -> dict[str, str]:
    """The headers of an agent; `fields`: handoff_from, handoff_to, parent_action_id."""
    named = {"session_id": session, "agent_name": name, **fields}
    return {f"x-agentledger-{k.replace('_', '-')}": v for k, v in named.items() if v}


def ask(ledger: Ledger, session: str, name: str | None = None, **fields: str | None) -> str:
    """One call; its action_id."""
    response = httpx.post(
        f"{ledger.url}/v1/chat/completions",
        json={"model": "gpt-4o", "messages": [{"role": "user", "content": "hello"}]},
        headers=agent(session, name, **fields),
        timeout=30,
    )
    return response.headers["x-agentledger-action-id"]


def two_agents(ledger: Ledger, session: str) -> None:
    """The example of the README, with the SDK `openai`."""

    def client(headers: dict[str, str]) -> OpenAI:
        return OpenAI(base_url=f"{ledger.url}/v1", api_key="sk-test", default_headers=headers)

    orchestrator = client(agent(session, "orchestrator"))
    researcher = client(
        agent(session, "researcher", handoff_from="orchestrator", handoff_to="researcher")
    )
    message: Any = {"role": "user", "content": "What is new?"}
    with orchestrator, researcher:
        for who in (orchestrator, researcher, researcher):
            who.chat.completions.create(model="gpt-4o", messages=[message])


def four_agents(ledger: Ledger, session: str, folder: Path) -> None:
    """The example of docs/integrations/openai-agents.md."""
    found = re.search(r"```python\n(.*?)```", EXAMPLE.read_text(), re.DOTALL)
    assert found is not None
    code = found[1].replace("http://localhost:8000", ledger.url).replace("run-abc123", session)
    environment = {**os.environ, "OPENAI_API_KEY": "sk-test"}
    # In a folder of its own: the project's package `mcp` would hide the one from PyPI.
    subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, check=True, timeout=120
    )


def team(ledger: Ledger, provider: Provider, session: str, *, n_coders: int = 6) -> list[str]:
    """A lead spawns coders one after the other, the third of which fails, and a tester of whom
    only the times tell. Their action_ids."""
    ids = [ask(ledger, session, "lead")]
    for number in range(n_coders):
        if number == 2:
            provider.response(*as_json({"error": {"message": "Oh no"}}, 500), times=1)
        ids.append(ask(ledger, session, "coder", parent_action_id=ids[0]))
    ids.append(ask(ledger, session, "tester"))
    ids.append(ask(ledger, session, "lead"))
    recorded(ledger, session, len(ids))
    return ids


def spent(ledger: Ledger, provider: Provider, session: str) -> list[str]:
    """The second call comes when the budget is spent. Their action_ids."""
    usage = {"prompt_tokens": 2_000_000, "completion_tokens": 1, "total_tokens": 2_000_001}
    message = {"role": "assistant", "content": "Much."}
    response = {"model": "gpt-4o", "choices": [{"index": 0, "message": message}], "usage": usage}
    provider.response(*as_json(response), times=1)
    ids = [ask(ledger, session, "spender")]
    recorded(ledger, session, 1)
    ids.append(ask(ledger, session, "spender"))
    recorded(ledger, session, 2)
    return ids


def recorded(ledger: Ledger, session: str, count: int) -> None:
    def is_recorded() -> bool:
        return any(
            one["session_id"] == session and one["call_count"] >= count for one in ledger.sessions()
        )

    wait_until(is_recorded)


def ask_for_long(ledger: Ledger, session: str, name: str) -> threading.Thread:
    """A call that is answered after a while; the thread ends with it."""
    thread = threading.Thread(target=ask, args=(ledger, session, name))
    thread.start()
    return thread
