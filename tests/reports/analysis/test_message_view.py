"""Each provider's message in readable form."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reports.analysis.message_view import view_message

CALL = "call_1"


@pytest.mark.parametrize(
    ("item", "blocks"),
    [
        (
            {"type": "shell_call", "call_id": CALL, "action": {"commands": ["ls"]}},
            [("tool_call", "shell", CALL)],
        ),
        (
            {"type": "apply_patch_call", "call_id": CALL, "operation": {"type": "create_file"}},
            [("tool_call", "apply_patch", CALL)],
        ),
        (
            {"type": "mcp_approval_request", "id": CALL, "name": "drop", "arguments": "{}"},
            [("tool_call", "drop", CALL)],
        ),
        (
            {"type": "mcp_call", "id": CALL, "name": "read", "arguments": "{}", "output": "a.txt"},
            [("tool_call", "read", CALL), ("tool_result", None, CALL)],
        ),
        (
            {"type": "function_call", "call_id": CALL, "name": "go", "arguments": "{}"},
            [("tool_call", "go", CALL)],
        ),
        (
            {"type": "custom_tool_call_output", "call_id": CALL, "output": "done"},
            [("tool_result", None, CALL)],
        ),
        (
            {"type": "mcp_approval_response", "approval_request_id": CALL, "approve": True},
            [("tool_result", None, CALL)],
        ),
        ({"role": "tool", "tool_call_id": CALL, "content": "done"}, [("tool_result", None, CALL)]),
    ],
)
def test_tool_calls_and_results_of_an_item(
    item: dict[str, Any], blocks: list[tuple[str, str | None, str]]
) -> None:
    view = view_message(json.dumps(item).encode())
    assert [(block.kind, block.name, block.id) for block in view.blocks] == blocks
