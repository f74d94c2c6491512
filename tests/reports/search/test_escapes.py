"""What tools print as JSON is searched as what it says."""

from __future__ import annotations

import json
from functools import partial

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reports.search.documents import read_escapes
from tests.reports.search.test_search import search
from tests.support.ledger import Ledger, wait_until


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (r'{"city": "M\u00fcnchen"}', '{"city": "München"}'),
        (r'{"city": "M\u00FCnchen", "rest": "cut \u00e', r'{"city": "München", "rest": "cut \u00e'),
        (r"\ud83d\ude00 \u6570\u636e", "😀 数据"),
        (r"half \ud83d and \ude00", r"half \ud83d and \ude00"),
        (r"C:\users\u12", r"C:\users\u12"),
        ("plain", "plain"),
    ],
)
def test_escapes_are_read_as_letters(text: str, read: str) -> None:
    assert read_escapes(text) == read


@given(st.text(st.characters(exclude_categories=("Cs", "Cc"), exclude_characters='"\\')))
def test_any_text_in_json_is_read(text: str) -> None:
    assert read_escapes(json.dumps(text)) == f'"{text}"'


def test_a_tools_result_with_escapes_is_found(ledger: Ledger) -> None:
    printed = r'{"town": "Z\u00fcrich-Wipkingen", "note": "\u6570\u636e\u5e93"}'
    blocks = [{"type": "tool_result", "tool_use_id": "t1", "content": printed}]
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": blocks}]}
    headers = {"x-agentledger-session-id": "escapes"}
    httpx.post(f"{ledger.url}/v1/messages", json=body, headers=headers).raise_for_status()
    for words in ("zürich-wipkingen", "数据库"):
        found = wait_until(partial(search, ledger, words))
        assert [hit["field"] for hit in found] == ["tool_results"]
