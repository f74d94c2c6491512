"""Failures with the status 200 are told from answers, in every wire format."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.wire.registry import by_name
from capture.wire.shared.failures import NO_ANSWER
from capture.wire.types import ParsedResponse
from tests.capture.wire.corpus import anthropic, bedrock, chat, cohere, endpoint, gemini, responses
from tests.capture.wire.corpus import ollama as ollama_exchanges
from tests.capture.wire.corpus.bedrock import exception
from tests.capture.wire.corpus.exchanges import (
    FRAMES,
    LINES,
    PLAIN,
    SSE,
    Exchange,
    data,
    event_frame,
)

JSON_FORMATS = [
    *("openai_chat", "openai_completions", "openai_responses", "anthropic_messages", "gemini"),
    *("gemini_interactions", "ollama", "cohere_chat", "bedrock_converse", "bedrock_invoke"),
    *("openai_embeddings", "openai_images", "cohere_embeddings", "gemini_embeddings"),
]
EVENT_FORMATS = [
    *("openai_chat", "openai_completions", "openai_responses", "anthropic_messages", "gemini"),
    *("gemini_interactions", "cohere_chat", "openai_images", "openai_audio"),
]


def parse(wire_format: str, body: bytes, content_type: str = PLAIN) -> ParsedResponse:
    return by_name(wire_format).parse_response(body, status=200, content_type=content_type)


FLAT = [
    ({"object": "error", "message": "Too long", "code": 400}, "Too long"),
    ({"type": "BadRequestError", "message": "Too long"}, "Too long"),
    ({"type": "error", "message": "Too long"}, "Too long"),
    ({"error": "Too long"}, "Too long"),
    ({"error": {"message": "Too long"}}, "Too long"),
    ({"message": "Too long", "code": 400}, "Too long"),
    ({"message": "Too long", "code": "InvalidParameter", "request_id": "r"}, "Too long"),
    ({"message": "Too long", "statusCode": 429}, "Too long"),
    ({"msg": "Too long", "code": "500", "success": False, "data": None}, "Too long"),
    ({"success": False, "message": "Too long"}, "Too long"),
    ({"success": False, "errors": [{"code": 7003, "message": "Too long"}]}, "Too long"),
    ({"status": 439, "msg": "Too long", "body": None}, "Too long"),
    ({"status": "error", "message": "Too long"}, "Too long"),
    ({"detail": "Too long"}, "Too long"),
    ({"detail": [{"loc": ["body"], "msg": "Too long"}]}, "body: Too long"),
    ({"error_code": 336103, "error_msg": "Too long"}, "Too long"),  # Baidu
    ({"base_resp": {"status_code": 1008, "status_msg": "Too long"}, "choices": None}, "Too long"),
    ({"Response": {"Error": {"Code": "C", "Message": "Too long"}}}, "Too long"),  # Tencent
    ({"ErrorMsg": {"Msg": "Too long", "Code": 4001}}, "Too long"),
]


@pytest.mark.parametrize(("value", "message"), FLAT)
@pytest.mark.parametrize("wire_format", JSON_FORMATS)
def test_error_object_in_place_of_an_answer(
    wire_format: str, value: dict[str, Any], message: str
) -> None:
    assert parse(wire_format, json.dumps(value).encode()).error == message


@pytest.mark.parametrize(("value", "message"), FLAT)
@pytest.mark.parametrize("wire_format", EVENT_FORMATS)
def test_error_event_in_a_stream(wire_format: str, value: dict[str, Any], message: str) -> None:
    body = b": wait\n\n" + data(value) + b"data: [DONE]\n\n"
    parsed_response = parse(wire_format, body, SSE)
    assert (parsed_response.error, parsed_response.complete) == (message, True)


@pytest.mark.parametrize(("value", "message"), FLAT)
def test_error_line_of_ollama(value: dict[str, Any], message: str) -> None:
    first = b'{"model":"m","message":{"role":"assistant","content":"Hel"},"done":false}\n'
    parsed_response = parse("ollama", first + json.dumps(value).encode() + b"\n", LINES)
    assert (parsed_response.content, parsed_response.error) == ("Hel", message)


CHUNK = {"id": "c", "choices": [{"index": 0, "delta": {"content": "Hel"}, "finish_reason": None}]}
ENDS = [
    ({"choices": [{"index": 0, "delta": {}, "finish_reason": "error"}]}, "stopped with 'error'"),
    ({"choices": [{"delta": {}, "error": {"message": "Gone", "code": 502}}]}, "Gone"),
    ({"choices": [{"delta": {}, "finish_reason": "error"}], "error": {"message": "Gone"}}, "Gone"),
    (
        # https://github.com/OleksandrChekhovskyi/hax/pull/15
        {"choices": [{"finish_reason": "stop", "native_finish_reason": "network_error"}]},
        "stopped with 'network_error'",
    ),
    (
        # https://api-docs.deepseek.com/api/create-chat-completion
        {"choices": [{"delta": {}, "finish_reason": "insufficient_system_resource"}]},
        "insufficient_system_resource",
    ),
    (
        {"choices": [{"delta": {}}], "base_resp": {"status_code": 1027, "status_msg": "Gone"}},
        "Gone",
    ),
    ({"object": "error", "message": "Gone", "code": 500}, "Gone"),
    (b"event: error\ndata: Gone\n\n", "Gone"),
]


@pytest.mark.parametrize(("end", "message"), ENDS)
def test_what_came_before_an_error_is_kept(end: dict[str, Any] | bytes, message: str) -> None:
    parsed_response = parse("openai_chat", data(CHUNK, end) + b"data: [DONE]\n\n", SSE)
    assert parsed_response.content == "Hel"
    assert message in (parsed_response.error or "")


@pytest.mark.parametrize(
    ("wire_format", "body", "message"),
    [
        ("openai_chat", {"choices": [{"finish_reason": "error", "message": {}}]}, "'error'"),
        ("openai_responses", {"status": "failed", "error": None, "output": []}, "'failed'"),
        ("openai_responses", {"status": "incomplete", "error": {"message": "Gone"}}, "Gone"),
        ("cohere_chat", {"finish_reason": "ERROR", "message": {"content": []}}, "'ERROR'"),
        ("cohere_chat", {"finish_reason": "TIMEOUT", "message": {"content": []}}, "'TIMEOUT'"),
        ("gemini_interactions", {"status": "failed", "steps": []}, "without a message"),
    ],
)
def test_a_response_may_stop_with_an_error(
    wire_format: str, body: dict[str, Any], message: str
) -> None:
    assert message in (parse(wire_format, json.dumps(body).encode()).error or "")


def test_error_of_a_realtime_response_is_in_its_details() -> None:
    details = {"type": "failed", "error": {"type": "insufficient_quota", "message": "No credit"}}
    event = {"type": "response.done", "response": {"status": "failed", "status_details": details}}
    assert parse("openai_realtime", data(event), SSE).error == "No credit"


def test_exception_of_bedrock_may_be_an_event() -> None:
    message = {"message": "Too many"}
    for make in (event_frame, exception):
        body = make("throttlingException", message)
        assert parse("bedrock_converse", body, FRAMES).error == "Too many"


@pytest.mark.parametrize(
    ("body", "content_type", "what"),
    [
        (b"", PLAIN, "the response is empty"),
        (b" \n", PLAIN, "the response is empty"),
        (b"null", PLAIN, "the response is no answer: null"),
        (b'"Too many requests"', PLAIN, 'the response is no answer: "Too many requests"'),
        (b"upstream error", PLAIN, "the response is no answer: upstream error"),
        (b"<!doctype html>\n<p>Hi", "text/html", "the response is a page: <!doctype html>\n<p>Hi"),
        (b"<html>", PLAIN, "the response is a page: <html>"),
        (b"", SSE, NO_ANSWER),
        (b"\n\n", SSE, NO_ANSWER),
        (b": ping\n\n: ping\n\n", SSE, NO_ANSWER),
        (b"event: ping\n\n", SSE, NO_ANSWER),
        (b"no healthy upstream", SSE, f"{NO_ANSWER}: no healthy upstream"),
    ],
)
@pytest.mark.parametrize("wire_format", ["openai_chat", "anthropic_messages", "gemini"])
def test_what_is_no_answer_is_named(
    wire_format: str, body: bytes, content_type: str, what: str
) -> None:
    parsed_response = parse(wire_format, body, content_type)
    assert (parsed_response.error, parsed_response.no_answer) == (None, what)


@pytest.mark.parametrize(
    ("wire_format", "body", "content_type"),
    [
        ("openai_chat", data({"choices": [{"delta": {"role": "assistant"}}]}), SSE),
        ("openai_responses", data({"type": "response.created", "response": {"id": "r"}}), SSE),
        ("anthropic_messages", data({"type": "ping"}), SSE),
        ("ollama", b"", LINES),
        ("gemini", b"[]", PLAIN),
        ("bedrock_converse", b"", FRAMES),
        ("bedrock_converse", event_frame("messageStart", {}), FRAMES),
        ("cohere_chat", data({"type": "message-start", "id": "m"}), SSE),
        ("openai_chat", data({"choices": [], "usage": {"prompt_tokens": 0}}), SSE),
    ],
)
def test_stream_without_content_usage_and_end_has_no_answer(
    wire_format: str, body: bytes, content_type: str
) -> None:
    assert parse(wire_format, body, content_type).no_answer == NO_ANSWER


@pytest.mark.parametrize(
    ("wire_format", "body", "content_type"),
    [
        ("raw", b"<html>", "text/html"),  # a path of the operator's own: any response may be right
        ("raw", b'{"message":"Hi","code":7}', PLAIN),
        ("raw", b": ping\n\n", SSE),
        ("raw", b"", PLAIN),
        ("openai_chat", b'{"message":"Hi"}', PLAIN),
        ("openai_chat", b'{"code":200,"msg":"ok","data":{"a":1}}', PLAIN),
        ("openai_chat", b'{"id":"1","choic', PLAIN),  # cut short
        ("openai_chat", b"Hi there", "text/plain"),
        ("openai_chat", b"\x1f\x8b\x08\x00\xff\xfe\x00", SSE),  # compressed, and nobody says how
        ("openai_chat", b"data: Hi\n\ndata: there\n\n", SSE),
        ("openai_chat", b"data: [DONE]\n\n", SSE),
        ("openai_chat", b'{"choices":[],"usage":{"prompt_tokens":5}}', PLAIN),
        ("openai_chat", b'{"choices":[{"finish_reason":"content_filter"}]}', PLAIN),
        ("openai_audio", b'"Hi there"', PLAIN),  # a transcript
        ("openai_audio", b"", "audio/mpeg"),
        ("openai_embeddings", b'{"data":[{"embedding":[0.5]}],"code":5,"message":"m"}', PLAIN),
        ("openai_embeddings", b"[[0.5]]", PLAIN),
        ("openai_responses", b'{"status":"queued","output":[],"error":null}', PLAIN),
        ("openai_responses", b'{"status":"in_progress","output":[]}', PLAIN),
        ("openai_responses", b'{"status":"incomplete","output":[]}', PLAIN),
        ("openai_responses", b'{"status":"cancelled","output":[]}', PLAIN),
        ("ollama", b'{"model":"m","done":true,"done_reason":"load"}', PLAIN),
        ("gemini", b'{"promptFeedback":{"blockReason":"SAFETY"}}', PLAIN),
        ("anthropic_messages", b'{"type":"message","content":[],"stop_reason":"refusal"}', PLAIN),
        ("anthropic_count_tokens", b'{"input_tokens":5}', PLAIN),
        ("openai_moderations", b'{"results":[{"flagged":false}]}', PLAIN),
    ],
)
def test_what_may_be_an_answer_is_no_failure(
    wire_format: str, body: bytes, content_type: str
) -> None:
    assert not parse(wire_format, body, content_type).has_failed


RIGHT = [
    exchange
    for exchange in [
        *chat.EXCHANGES,
        *responses.EXCHANGES,
        *anthropic.EXCHANGES,
        *endpoint.EXCHANGES,
        *cohere.EXCHANGES,
        *bedrock.EXCHANGES,
        *gemini.EXCHANGES,
        *ollama_exchanges.EXCHANGES,
    ]
    if exchange.status == 200 and not exchange.expected.has_failed and exchange.expected.complete
]
WHOLE = [
    exchange
    for exchange in RIGHT
    if exchange.content_type == PLAIN
    and exchange.body.startswith(b"{")
    and b"\n{" not in exchange.body
]
ANSWERS = [exchange for exchange in WHOLE if exchange.expected.has_output]
STREAMS = [exchange for exchange in RIGHT if exchange.content_type == SSE]

NO_ERRORS = st.sampled_from(
    [None, "", [], {}, False, 0, "none", "ok", {"code": 0, "message": "success"}]
    + [{"code": None, "message": None}, {"message": ""}]
)
HARMLESS = st.fixed_dictionaries(
    {},
    optional={
        "error": NO_ERRORS,
        "errors": st.sampled_from([None, [], {}, ""]),
        "status_code": st.sampled_from([0, 200, "200", None]),
        "code": st.sampled_from([0, 200, "0", "200", None, "", "success"]),
        "msg": st.sampled_from(["success", "ok", "", None]),
        "success": st.sampled_from([True, None]),
        "detail": st.sampled_from([None, "", [], {}]),
        "base_resp": st.sampled_from([{"status_code": 0, "status_msg": "success"}, None, {}]),
    },
)
ANYTHING = st.fixed_dictionaries(
    {},
    optional={
        "code": st.integers() | st.text(max_size=8),
        "status_code": st.integers(),
        "msg": st.text(max_size=8),
        "detail": st.text(max_size=8),
        "success": st.booleans(),
    },
)


@settings(max_examples=200)
@given(st.sampled_from(WHOLE), HARMLESS)
def test_right_answer_with_harmless_fields_is_no_failure(
    exchange: Exchange, more: dict[str, Any]
) -> None:
    body = json.dumps({**more, **json.loads(exchange.body)}).encode()
    assert not exchange.parse(body).has_failed


@settings(max_examples=200)
@given(st.sampled_from(ANSWERS), ANYTHING)
def test_answer_is_no_failure_whatever_stands_beside_it(
    exchange: Exchange, more: dict[str, Any]
) -> None:
    body = json.dumps({**more, **json.loads(exchange.body)}).encode()
    assert not exchange.parse(body).has_failed


@settings(max_examples=200)
@given(st.sampled_from(STREAMS), HARMLESS)
def test_stream_whose_events_have_harmless_fields_is_no_failure(
    exchange: Exchange, more: dict[str, Any]
) -> None:
    fields = json.dumps(more)[1:-1].encode()
    body = exchange.body.replace(b"data: {", b"data: {" + fields + (b"," if fields else b""))
    assert not exchange.parse(body).has_failed


@settings(max_examples=300)
@given(
    st.sampled_from([*JSON_FORMATS, "raw", "openai_audio", "openai_realtime", "gemini_live"]),
    st.dictionaries(
        st.sampled_from(
            "error message msg code status success detail errors base_resp choices type object "
            "Response candidates ErrorMsg reason raw loc metadata __type".split()
        ),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["message", "loc", "Error"]), inner)
            ),
            max_leaves=5,
        ),
    ),
)
def test_odd_fields_raise_nothing(wire_format: str, value: dict[str, Any]) -> None:
    text = json.dumps(value).encode()
    for body, content_type in ((text, PLAIN), (b"data: " + text + b"\n\n", SSE)):
        parsed_response = parse(wire_format, body, content_type)
        assert len(parsed_response.error or "") <= 2_000
