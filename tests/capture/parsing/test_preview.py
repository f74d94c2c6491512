"""A preview is what the human or the parent agent said last, whatever an agent's program sends in
the name of the user."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from capture.parsing.human_text import without_program_text
from capture.parsing.parsed_call import StoredPart
from capture.parsing.preview import N_LATEST, preview_of

REMINDER = "<system-reminder>\nThe following skills are available:\n- pdf\n</system-reminder>"
ENVIRONMENT = "<environment_context>\n  <cwd>/work</cwd>\n</environment_context>"
AGENTS = "# AGENTS.md instructions for /work\n\n<INSTRUCTIONS>\nBe brief.\n</INSTRUCTIONS>"
GEMINI = "This is the Gemini CLI. We are setting up the context for our chat.\nToday is Tuesday."
COPILOT = "<context>\nThe date is …\n</context>\n<userRequest>\nMend the test\n</userRequest>"


def text(words: str, kind: str = "text") -> dict[str, Any]:
    return {"type": kind, "text": words}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def said(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


HISTORIES: dict[str, tuple[list[Any], str | None]] = {
    "plain": ([user("One"), said("Two"), user("Three")], "Three"),
    # Claude Code: reminders before and after the words, and with tool results.
    "reminders around": ([user([text(REMINDER), text("Go"), text(REMINDER)])], "Go"),
    "reminder within": ([user(f"{REMINDER}\nGo on\n{REMINDER}")], "Go on"),
    "tool result with a reminder": (
        [
            user([text(REMINDER), text("Go")]),
            said([{"type": "tool_use", "id": "t", "name": "Read", "input": {}}]),
            user([{"type": "tool_result", "tool_use_id": "t", "content": "12"}, text(REMINDER)]),
        ],
        "Go",
    ),
    "tool result alone": (
        [user([{"type": "tool_result", "tool_use_id": "t", "content": [text("12")]}])],
        None,
    ),
    "interrupted": (
        [user("Go"), said("Ok"), user([text("[Request interrupted by user for tool use]")])],
        "Go",
    ),
    "notification": (
        [user("Go"), said("Ok"), user("<task-notification>\n<id>1</id>\n</task-notification>")],
        "Go",
    ),
    # Codex
    "codex": (
        [
            {"type": "message", "role": "developer", "content": [text("Sandbox", "input_text")]},
            {
                "type": "message",
                "role": "user",
                "content": [text(AGENTS, "input_text"), text(ENVIRONMENT, "input_text")],
            },
            {"type": "message", "role": "user", "content": [text("List", "input_text")]},
            {"type": "reasoning", "summary": [text("Thinking", "summary_text")]},
            {"type": "function_call", "call_id": "c", "name": "shell", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": "a.txt"},
        ],
        "List",
    ),
    "older codex": ([user("<user_instructions>\nX\n</user_instructions>"), user("Do")], "Do"),
    "a string as input": (["Work"], "Work"),
    # Gemini CLI, older and newer
    "gemini": (
        [
            {"role": "user", "parts": [{"text": GEMINI}]},
            {"role": "model", "parts": [{"text": "Got it."}]},
            {"role": "user", "parts": [{"text": "Count"}]},
            {"role": "model", "parts": [{"functionCall": {"name": "ls", "args": {}}}]},
            {
                "role": "user",
                "parts": [{"functionResponse": {"name": "ls", "response": {"output": "12"}}}],
            },
        ],
        "Count",
    ),
    "gemini's session": (
        [
            {
                "role": "user",
                "parts": [{"text": f"<session_context>\n{GEMINI}\n</session_context>"}],
            },
            {"parts": [{"text": "Count"}]},
        ],
        "Count",
    ),
    # Chat completions, Bedrock, Cohere, Interactions
    "chat tools": (
        [
            {"role": "system", "content": "Be brief"},
            user("Weather?"),
            said(None),
            {"role": "tool", "tool_call_id": "c", "content": "Rain"},
        ],
        "Weather?",
    ),
    "bedrock": (
        [
            user([{"text": "Weather?"}]),
            user([{"toolResult": {"toolUseId": "t", "content": [{"text": "Rain"}]}}]),
        ],
        "Weather?",
    ),
    "interactions": (
        [
            {"type": "user_input", "content": [text("Weather?")]},
            {"type": "function_result", "call_id": "c", "result": "Rain"},
        ],
        "Weather?",
    ),
    # The words in a block of their own
    "copilot": ([user(COPILOT)], "Mend the test"),
    "cline": (
        [
            user(
                [
                    text("<task>\nBuild\n</task>"),
                    text("<environment_details>\nX\n</environment_details>"),
                ]
            )
        ],
        "Build",
    ),
    "opencode": (
        [user([text("Read it"), text("Called the Read tool with the following input: {}")])],
        "Read it",
    ),
    # What only looks like it
    "a tag in a question": ([user("Why <system-reminder>?")], "Why <system-reminder>?"),
    "code": ([user("Is <div>a</div> fine?")], "Is <div>a</div> fine?"),
    "an image last": (
        [user([text("What is it?"), {"type": "image", "source": {}}])],
        "What is it?",
    ),
    "nobody": ([said("Hello")], None),
    "odd": ([[], {}, 3, None, {"role": ["user"], "content": {"a": 1}}, {"type": 4}], None),
}


def parts(messages: list[Any]) -> list[StoredPart]:
    system = StoredPart.from_bytes("system", b'"Be brief"')
    return [
        system,
        *(StoredPart.from_bytes("message", json.dumps(message).encode()) for message in messages),
    ]


@pytest.mark.parametrize("name", HISTORIES)
def test_the_preview_is_what_was_said_last(name: str) -> None:
    messages, expected = HISTORIES[name]
    assert preview_of(parts(messages)) == expected


def test_it_is_found_far_back_but_not_without_end() -> None:
    result = {"role": "tool", "tool_call_id": "c", "content": "12"}
    assert preview_of(parts([user("Go"), *[result] * (N_LATEST - 1)])) == "Go"
    assert preview_of(parts([user("Go"), *[result] * N_LATEST])) is None


@pytest.mark.parametrize(
    "piece", ["<skills>", "<system-reminder x>", "<task>", "</skills><skills>"]
)
def test_hostile_texts_take_time_in_proportion(piece: str) -> None:
    began = time.process_time()
    without_program_text(piece * (256 * 1024 // len(piece)))
    assert time.process_time() - began < 1
