from __future__ import annotations

import json

import pytest

from capture.wire.formats.openai import responses as openai_responses
from capture.wire.types import ParsedToolResult
from tests.capture.wire.corpus.exchanges import Exchange
from tests.capture.wire.corpus.responses import EXCHANGES


@pytest.mark.parametrize("exchange", EXCHANGES, ids=lambda exchange: exchange.name)
def test_response_is_read(exchange: Exchange) -> None:
    assert exchange.parse() == exchange.expected_with_first_content()


def test_request_with_items_is_read() -> None:
    body = (
        b'{"model":"gpt-5.4","input":[{"role":"developer","content":[{"type":"input_text",'
        b'"text":"In French."}]},{"type":"function_call_output","call_id":"c","output":"x"}],'
        b'"instructions":"Be brief.","max_output_tokens":50,"temperature":1,'
        b'"previous_response_id":"resp_0","tools":[]}'
    )
    parsed_request = openai_responses.parse_request(body)
    assert parsed_request.model_id == "gpt-5.4"
    assert parsed_request.stream is False
    assert parsed_request.system_prompt == "Be brief.\n\nIn French."
    assert (parsed_request.temperature, parsed_request.max_tokens) == (1.0, 50)
    assert parsed_request.params == {"previous_response_id": "resp_0"}
    assert [(part.kind, body[part.start : part.end]) for part in parsed_request.parts] == [
        (
            "message",
            b'{"role":"developer","content":[{"type":"input_text","text":"In French."}]}',
        ),
        ("message", b'{"type":"function_call_output","call_id":"c","output":"x"}'),
        ("system", b'"Be brief."'),
        ("tools", b"[]"),
    ]


def test_input_that_is_a_text_is_one_message() -> None:
    body = b'{"input": "Hi", "instructions": null, "prompt": {"id": "p"}}'
    parsed_request = openai_responses.parse_request(body)
    [part] = parsed_request.parts
    assert (part.kind, body[part.start : part.end]) == ("message", b'"Hi"')
    assert (parsed_request.model_id, parsed_request.system_prompt) == (None, None)
    assert parsed_request.params == {"prompt": {"id": "p"}}


@pytest.mark.parametrize(
    ("item", "results"),
    [
        (
            {"type": "function_call_output", "call_id": "c1", "output": "18 °C"},
            [ParsedToolResult("c1", None, "18 °C", False)],
        ),
        (
            {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "x"}]},
            [ParsedToolResult("c2", None, [{"type": "x"}], False)],
        ),
        (
            {"type": "computer_call_output", "call_id": "c3", "output": {"type": "screenshot"}},
            [ParsedToolResult("c3", None, {"type": "screenshot"}, False)],
        ),
        ({"type": "function_call", "call_id": "c1", "arguments": "{}"}, []),
        ({"role": "user", "content": "x"}, []),
        ("Hi", []),
    ],
)
def test_tool_results_are_read(item: object, results: list[ParsedToolResult]) -> None:
    assert openai_responses.tool_results(json.dumps(item).encode()) == results
