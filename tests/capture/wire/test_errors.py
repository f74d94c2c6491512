from __future__ import annotations

import orjson
import pytest

from capture.wire import errors
from capture.wire.registry import by_name

FORMATS = [
    "openai_chat",
    "openai_responses",
    "anthropic_messages",
    "gemini",
    "gemini_embeddings",
    "gemini_interactions",
    "ollama",
    "raw",
]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"Bad key","type":"t","code":"c"}}', "Bad key"),
        (b'{"error":"model \'x\' not found"}', "model 'x' not found"),
        (b'{"object":"error","message":"too long","type":"BadRequestError"}', "too long"),
        (b'{"detail":"Not Found"}', "Not Found"),
        (
            b'{"detail":[{"loc":["body","model"],"msg":"Field required"},{"msg":"Bad"}]}',
            "body.model: Field required; Bad",
        ),
        (b'[{"error":{"code":429,"message":"Quota","status":"RESOURCE_EXHAUSTED"}}]', "Quota"),
        (b'{"error":{"code":"content_filter","innererror":{}}}', "content_filter"),
        (b'{"error":{"status":500}}', '{"status":500}'),
        (b'{"error":true}', "true"),
        (b'{"oops":1}', '{"oops":1}'),
        (b'"just text"', "just text"),
        (b"{}", None),
        (b"", None),
        (b" \n", None),
        (b"upstream connect error\n", "upstream connect error"),
        (b"<html>" + b"x" * 5_000, "<html>" + "x" * 1_994),
        ("ü".encode() * 5_000, "ü" * 2_000),
        (b"a\0\xff", "a\ufffd\ufffd"),
    ],
)
@pytest.mark.parametrize("wire_format", FORMATS)
def test_error_is_read_whatever_its_shape(
    wire_format: str, body: bytes, message: str | None
) -> None:
    parsed_response = by_name(wire_format).parse_response(body, status=500, content_type="")
    assert parsed_response.error == message
    assert parsed_response.content is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        # OpenRouter: https://openrouter.ai/docs/api-reference/errors
        (
            b'{"error":{"message":"Provider returned error","code":429,"metadata":{"raw":'
            b'"{\\"error\\":{\\"message\\":\\"Rate limit reached for \\\\u00fc\\"}}",'
            b'"provider_name":"X"}}}',
            "Provider returned error; Rate limit reached for ü",
        ),
        (
            b'{"error":{"message":"Provider returned error","metadata":{"raw":"{cut off"}}}',
            "Provider returned error; {cut off",
        ),
        (
            b'{"error":{"message":"Flagged","metadata":{"reasons":["violence","self-harm"]}}}',
            "Flagged; violence; self-harm",
        ),
        # Groq
        (
            b'{"error":{"message":"Failed to call a function.","code":"tool_use_failed",'
            b'"failed_generation":"<function=f>{}"}}',
            "Failed to call a function.; <function=f>{}",
        ),
        # Google, by a proxy that passes the error on as a text; the reason is a code.
        (
            b'{"error":{"code":400,"message":"{\\n  \\"error\\": {\\"code\\": 400, \\"message\\":'
            b' \\"API key not valid.\\", \\"details\\": [{\\"reason\\": \\"API_KEY_INVALID\\"},'
            b' {\\"fieldViolations\\": [{\\"description\\": \\"Too short\\"}]}'
            b']}}"}}',
            "API key not valid.; Too short",
        ),
        (b'{"error":{"message":"A","cause":{"message":"B","cause":{"message":"C"}}}}', "A; B; C"),
        (b'{"error":{"message":"Overloaded"},"message":"Overloaded"}', "Overloaded"),
        (b'{"error":{"message":"No","details":"No: it is late"}}', "No: it is late"),
        (
            b'{"error":"Unauthorized","message":"Bad token","statusCode":401}',
            "Unauthorized; Bad token",
        ),
        (b'{"error":true,"message":"Bad token"}', "Bad token"),
        (b'{"error":{"type":"overloaded_error"}}', "overloaded_error"),
        (b'"{\\"error\\":{\\"message\\":\\"twice encoded\\"}}"', "twice encoded"),
    ],
)
def test_reasons_within_an_error_are_read(body: bytes, message: str) -> None:
    assert errors.message_of_body(body) == message


def test_words_of_an_error_are_bounded() -> None:
    deep = '{"error":' * 50 + '{"message":"deep"}' + "}" * 50
    wide = {"error": {"message": "m", "errors": [{"message": f"n. {i}"} for i in range(100_000)]}}
    long = {"error": {"message": "m", "metadata": {"raw": "x" * 1_000_000}}}
    for body in (deep.encode(), orjson.dumps(wide), orjson.dumps(long)):
        assert 0 < len(errors.message_of_body(body) or "") <= 2_000


def test_our_own_error_bodies_take_any_text() -> None:
    for wire_format in FORMATS:
        body = by_name(wire_format).error_body("\ud800\0", type="t", code="c", request_id="r")
        assert errors.message_of_body(body) == "\ufffd\ufffd"
