"""Markers for a provider's cache are no part of a message's identity, and its bytes stay."""

from __future__ import annotations

import json
from typing import Any

import pytest

from capture.exchange import End, Exchange, Outcome, RequestHead, ResponseHead, new_action_id
from capture.ledger.compression import pack_text, unpack_text
from capture.parsing.marks import insert_marks
from capture.parsing.parse import parse_call
from capture.parsing.parsed_call import ParsedCall
from capture.wire.binaries.references import StoredText, restore_text
from capture.wire.shared.slices import join_parts

MARK = {"type": "ephemeral"}
POINT = {"cachePoint": {"type": "default"}}
COMPACT, SPACED = (",", ":"), (", ", ": ")
JSON_TYPE = ("content-type", "application/json")
PNG = "iVBORw0KGgo" + "A" * 401


def text(words: str, **marks: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **marks}


def result(content: Any, **marks: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": "toolu_1", "content": content, **marks}


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def parse(
    body: dict[str, Any],
    wire_format: str = "anthropic_messages",
    separators: tuple[str, str] = COMPACT,
) -> tuple[bytes, ParsedCall]:
    sent = json.dumps(body, separators=separators).encode()
    head = RequestHead(
        started_ns=1,
        method="POST",
        path="/v1/messages",
        target="/v1/messages",
        wire_format=wire_format,
        upstream="http://127.0.0.1",
        upstream_name="default",
        provider="anthropic",
        headers=[JSON_TYPE],
        ledger={},
        body_size=len(sent),
        has_body_file=False,
    )
    exchange = Exchange(
        new_action_id(),
        request=head,
        body=sent,
        response=ResponseHead(200, [JSON_TYPE], 1),
        pieces=[b"{}"],
        piece_times_ns=[2],
        end=End(Outcome.COMPLETED, 3),
    )
    return sent, parse_call(exchange)


def restore(call: ParsedCall) -> bytes | None:
    """Returns the request's bytes from what the ledger stores of it."""
    assert call.frame is not None and not call.frame_is_whole
    packed = pack_text(call.frame.data, call.frame.references, marks=call.frame.marks)
    frame = unpack_text(*packed)
    stored = [StoredText(part.data, part.references) for part in call.parts]
    data = {digest: binary.data for digest, binary in call.binaries.items()}
    parts = [
        restore_text(part.data, part.references, data.get)
        for part in insert_marks(stored, frame.marks)
    ]
    return join_parts(frame.data, [part for part in parts if part is not None])


# A message as it is with a marker, and as the same agent sends it at its next call.
MOVED: dict[str, tuple[Any, Any]] = {
    "on the last block": (
        user([text("a"), text("b", cache_control=MARK)]),
        user([text("a"), text("b")]),
    ),
    "for an hour": (
        user([result("ok", cache_control={"type": "ephemeral", "ttl": "1h"})]),
        user([result("ok")]),
    ),
    "null": (user([result("ok", cache_control=None)]), user([result("ok")])),
    "within a result": (
        user([result([text("a", cache_control=MARK), text("b")])]),
        user([result([text("a"), text("b")])]),
    ),
    "as the first key": (
        user([{"cache_control": MARK, **result("ok")}, text("b")]),
        user([result("ok"), text("b")]),
    ),
    "on the message": (user("hi", cache_control=MARK), user("hi")),
    "on a block made of a string": (user([text("hi", cache_control=MARK)]), user("hi")),
    "on a block that stays": (
        user([text('say "a\\"', cache_control=MARK)]),
        user([text('say "a\\"')]),
    ),
    "with keys in another order": (
        user([{"cache_control": MARK, "text": "hi", "type": "text"}]),
        user("hi"),
    ),
    "two on one block": (
        user([text("a"), text("b", cache_control=MARK, prompt_cache_breakpoint={"mode": "x"})]),
        user([text("a"), text("b")]),
    ),
    "beside an image": (
        user([{"type": "image", "source": {"data": PNG}}, text("b", cache_control=MARK)]),
        user([{"type": "image", "source": {"data": PNG}}, text("b")]),
    ),
    "before an image": (
        user([text("b", cache_control=MARK), {"type": "image", "source": {"data": PNG}}]),
        user([text("b"), {"type": "image", "source": {"data": PNG}}]),
    ),
}


@pytest.mark.parametrize("separators", [COMPACT, SPACED], ids=["compact", "spaced"])
@pytest.mark.parametrize("name", MOVED)
def test_a_message_is_the_same_with_a_marker_and_without(
    name: str, separators: tuple[str, str]
) -> None:
    marked, plain = MOVED[name]
    first, one = parse({"model": "m", "messages": [marked]}, separators=separators)
    newest = user([text("next", cache_control=MARK)])
    second, two = parse({"model": "m", "messages": [plain, newest]}, separators=separators)
    assert one.parts[0].digest == two.parts[0].digest
    assert one.parts[0].data == two.parts[0].data
    assert (restore(one), restore(two)) == (first, second)


def test_system_prompts_and_tools_are_the_same_too() -> None:
    tool = {"name": "t", "input_schema": {"type": "object"}}
    body = {"model": "m", "system": [text("s")], "tools": [tool], "messages": [user("hi")]}
    marked = {
        **body,
        "system": [text("s", cache_control=MARK)],
        "tools": [{**tool, "cache_control": MARK}],
    }
    sent, one = parse(marked)
    _, two = parse(body)
    assert [part.digest for part in one.parts] == [part.digest for part in two.parts]
    assert restore(one) == sent


def test_bedrocks_cache_points_are_no_part_of_a_message() -> None:
    for content in ([{"text": "a"}, POINT], [POINT, {"text": "a"}], [{"text": "a"}, POINT, POINT]):
        sent, one = parse({"messages": [user(content)]}, "bedrock_converse")
        _, two = parse({"messages": [user([{"text": "a"}])]}, "bedrock_converse")
        assert one.parts[0].data == two.parts[0].data
        assert restore(one) == sent


def test_words_and_arguments_of_that_name_are_no_markers() -> None:
    use = {"type": "tool_use", "id": "x", "name": "edit", "input": {"cache_control": MARK}}
    for message in (
        user(json.dumps({"cache_control": MARK})),
        user([text('{"cache_control": {"type": "ephemeral"}}')]),
        {"role": "assistant", "content": [use]},
    ):
        sent, call = parse({"model": "m", "messages": [message]})
        assert json.loads(call.parts[0].data) == message
        assert restore(call) == sent
    schema = {"type": "object", "properties": {"cache_control": {"type": "object"}}}
    tools = [{"name": "t", "input_schema": schema}]
    sent, call = parse({"model": "m", "messages": [], "tools": tools})
    assert json.loads(call.parts[0].data) == tools
    assert restore(call) == sent


def test_other_words_are_another_message() -> None:
    digests = {
        parse({"model": "m", "messages": [user([text(words, cache_control=MARK)])]})[1]
        .parts[0]
        .digest
        for words in ("a", "b", "", '"')
    }
    assert len(digests) == 4


@pytest.mark.parametrize("n", [101, 20_000])
def test_a_message_full_of_markers_is_kept_as_it_is(n: int) -> None:
    sent, call = parse({"model": "m", "messages": [user([text("a", cache_control=MARK)] * n)]})
    assert restore(call) == sent
    assert len(call.frame.marks if call.frame else ()) == 0
