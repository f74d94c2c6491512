"""The examples of docs/integrations run as they stand, and their calls are recorded."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ledger import PROJECT, Ledger
from tests.support.provider import Provider

PAGES = sorted((PROJECT / "docs" / "integrations").glob("*.md"))
KEYS = """OPENAI_API_KEY ANTHROPIC_API_KEY GEMINI_API_KEY OPENROUTER_API_KEY MISTRAL_API_KEY
    GROQ_API_KEY CO_API_KEY AWS_BEARER_TOKEN_BEDROCK""".split()
# The calls of each example: agents and wire formats, in order.
EXPECTED: dict[str, list[tuple[str | None, str]]] = {
    "anthropic.md python 1": [("writer", "anthropic_messages")],
    "bedrock.md python 1": [(None, "bedrock_invoke")],
    "bedrock.md sh 1": [(None, "bedrock_converse")],
    "cohere.md python 1": [(None, "cohere_chat")],
    "curl.md sh 1": [(None, "openai_chat")],
    "gateways.md python 1": [(None, "openai_chat")],
    "gateways.md python 2": [(None, "openai_chat")],
    "gemini.md python 1": [(None, "gemini")],
    "groq.md python 1": [(None, "openai_chat")],
    "langchain.md python 1": [("researcher", "openai_chat")],
    "mistral.md python 1": [(None, "openai_chat")],
    "ollama.md python 1": [(None, "ollama")],
    "openai.md python 1": [("researcher", "openai_chat")],
    "openai.md python 2": [(None, "openai_responses")] * 2,
    "openai-agents.md python 1": [
        ("PlannerAgent", "openai_responses"),
        ("SearchAgent", "openai_responses"),
        ("WriterAgent", "openai_responses"),
        ("EmailAgent", "openai_responses"),
    ],
}


def examples() -> Iterator[tuple[str, str]]:
    """Yields name and code of all blocks that send a call."""
    for page in PAGES:
        for language in ("python", "sh"):
            blocks = re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)
            calling = [
                block for block in blocks if "run-abc123" in block and "/session/" not in block
            ]
            for number, block in enumerate(calling, 1):
                yield f"{page.name} {language} {number}", block


EXAMPLES = dict(examples())


@pytest.fixture(scope="module")
def serving(_provider: Provider, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    """A proxy for agents of all providers, each of which is the stand-in."""
    names = "openai anthropic google ollama openrouter mistral groq cohere aws".split()
    env = {"AGENTLEDGER_UPSTREAMS": json.dumps(dict.fromkeys(names, _provider.url))}
    with Ledger(tmp_path_factory.mktemp("serving"), "", env=env) as ledger:
        yield ledger


def test_every_example_is_known() -> None:
    assert EXAMPLES.keys() == EXPECTED.keys()


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_example_runs(serving: Ledger, provider: Provider, tmp_path: Path, name: str) -> None:
    session = re.sub(r"\W+", "-", name)
    code = EXAMPLES[name].replace("http://localhost:8000", serving.url)
    code = code.replace("run-abc123", session)
    command = [sys.executable, "-c"] if " python " in name else ["sh", "-ec"]
    environment = {
        **os.environ,
        **dict.fromkeys(KEYS, "sk-test"),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    }
    # In a folder of its own: the project's package `mcp` would hide the one from PyPI.
    subprocess.run([*command, code], cwd=tmp_path, env=environment, check=True, timeout=120)
    calls = serving.calls(session, count=len(EXPECTED[name]))
    assert [(call["agent_name"], call["wire_format"]) for call in calls] == EXPECTED[name]
    assert {call["outcome"] for call in calls} == {"completed"}
    assert all(call["content"] and call["tokens_out"] for call in calls)


def test_the_four_agents_hand_off_to_one_another(serving: Ledger) -> None:
    calls = serving.calls("openai-agents-md-python-1", count=4)
    assert [(call["handoff_from"], call["handoff_to"]) for call in calls] == [
        (None, "SearchAgent"),
        ("PlannerAgent", "WriterAgent"),
        ("SearchAgent", "EmailAgent"),
        ("WriterAgent", None),
    ]
