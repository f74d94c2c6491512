from __future__ import annotations

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


def test_response_without_error_has_none() -> None:
    for body in (b'{"error":null}', b'{"message":"Hi"}', b'{"detail":"x"}', b"text"):
        for wire_format in FORMATS:
            parse = by_name(wire_format).parse_response
            assert parse(body, status=200, content_type="").error is None


def test_our_own_error_bodies_take_any_text() -> None:
    for wire_format in FORMATS:
        body = by_name(wire_format).error_body("\ud800\0", type="t", code="c", request_id="r")
        assert errors.message_of_body(body) == "\ufffd\ufffd"
