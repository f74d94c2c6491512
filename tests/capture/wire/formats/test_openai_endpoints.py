from __future__ import annotations

import hashlib

import pytest

from capture.wire.formats.anthropic import count_tokens as anthropic_count_tokens
from capture.wire.formats.openai import audio as openai_audio
from capture.wire.formats.openai import completions as openai_completions
from capture.wire.formats.openai import decisions as openai_decisions
from capture.wire.formats.openai import embeddings as openai_embeddings
from capture.wire.formats.openai import images as openai_images
from capture.wire.formats.openai import input_tokens as openai_input_tokens
from capture.wire.formats.openai import moderations as openai_moderations
from capture.wire.types import ParsedRequest, ParsedToolResult
from tests.capture.wire.corpus.endpoint import EXCHANGES
from tests.capture.wire.corpus.exchanges import Exchange


def parts(parsed_request: ParsedRequest, body: bytes) -> list[tuple[str, bytes]]:
    return [(part.kind, body[part.start : part.end]) for part in parsed_request.parts]


@pytest.mark.parametrize(
    "exchange", EXCHANGES, ids=lambda exchange: f"{exchange.wire_format}: {exchange.name}"
)
def test_response_is_read(exchange: Exchange) -> None:
    assert exchange.parse() == exchange.expected_with_first_content()


@pytest.mark.parametrize(
    ("prompt", "messages"),
    [
        (b'"Say hi"', [b'"Say hi"']),
        (b'["Say", "hi"]', [b'"Say"', b'"hi"']),
        (b"[1, 2,3]", [b"[1, 2,3]"]),
        (b"[[1,2],[3]]", [b"[1,2]", b"[3]"]),
        (b"[]", []),
        (b"null", []),
    ],
)
def test_prompt_is_a_text_or_several_or_tokens(prompt: bytes, messages: list[bytes]) -> None:
    body = b'{"n":[0],"model":"m","prompt":' + prompt + b',"max_tokens":5,"suffix":"]"}'
    parsed_request = openai_completions.parse_request(body)
    assert (parsed_request.model_id, parsed_request.max_tokens) == ("m", 5)
    assert parsed_request.params == {"n": [0], "suffix": "]"}
    assert parts(parsed_request, body) == [("message", message) for message in messages]


def test_embedding_of_tokens_is_one_message() -> None:
    body = b'{"input":[\n15339, 1917 ],"model":"e","encoding_format":"base64"}'
    parsed_request = openai_embeddings.parse_request(body)
    assert parts(parsed_request, body) == [("message", b"[\n15339, 1917 ]")]
    assert (parsed_request.model_id, parsed_request.params) == ("e", {"encoding_format": "base64"})


def test_image_is_requested_by_json() -> None:
    body = b'{"model":"gpt-image-1","prompt":"A fox","n":2,"stream":true}'
    parsed_request = openai_images.parse_request(body, content_type="application/json")
    assert (parsed_request.model_id, parsed_request.stream, parsed_request.params) == (
        "gpt-image-1",
        True,
        {"n": 2},
    )
    assert parts(parsed_request, body) == [("message", b'"A fox"')]


def test_image_is_edited_by_a_form() -> None:
    image = b"\x89PNG\r\n\x1a\n\r\n--bc\r\n--bold"
    described = {
        "filename": "fox.png",
        "content_type": "image/png",
        "bytes": len(image),
        "sha256": hashlib.sha256(image).hexdigest(),
    }
    file = (
        b'--b\r\nContent-Disposition: form-data; name="image[]"; filename="fox.png"\r\n'
        b"Content-Type: image/png\r\n\r\n" + image + b"\r\n"
    )
    body = (
        b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\nIn red\r\n'
        + file
        + file
        + b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\ngpt-image-1\r\n--b--\r\n'
    )
    parsed_request = openai_images.parse_request(
        body, content_type="multipart/form-data; boundary=b"
    )
    assert parsed_request == ParsedRequest(
        model_id="gpt-image-1", params={"prompt": "In red", "image[]": [described, described]}
    )


def test_speech_is_billed_by_its_characters() -> None:
    body = '{"model":"tts-1","input":"Grüße 😀","voice":"alloy"}'.encode()
    parsed_request = openai_audio.parse_request(body, content_type="application/json")
    assert parsed_request.units == {"input_characters": 7}
    assert (parsed_request.model_id, parsed_request.params) == ("tts-1", {"voice": "alloy"})
    assert parts(parsed_request, body) == [("message", '"Grüße 😀"'.encode())]


def test_transcription_is_requested_by_a_form() -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n'
        b"Content-Type: audio/mpeg\r\n\r\nID3\r\n"
        b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nwhisper-1\r\n'
        b'--b\r\nContent-Disposition: form-data; name="temperature"\r\n\r\n0.2\r\n'
        b'--b\r\nContent-Disposition: form-data; name="stream"\r\n\r\ntrue\r\n--b--\r\n'
    )
    parsed_request = openai_audio.parse_request(
        body, content_type='multipart/form-data; boundary="b"'
    )
    assert (parsed_request.model_id, parsed_request.temperature, parsed_request.stream) == (
        "whisper-1",
        0.2,
        True,
    )
    assert parsed_request.params["file"]["bytes"] == 3
    assert (parsed_request.parts, parsed_request.units, parsed_request.note) == ([], {}, None)


def test_moderation_of_texts_and_images() -> None:
    body = b'{"input":[{"type":"text","text":"x"},{"type":"image_url"}],"model":"omni"}'
    parsed_request = openai_moderations.parse_request(body)
    assert parts(parsed_request, body) == [
        ("message", b'{"type":"text","text":"x"}'),
        ("message", b'{"type":"image_url"}'),
    ]


def test_decision_has_a_history_and_questions() -> None:
    body = (
        b'{"model":"gpt-6-luna","input":[{"role":"system","content":"Be strict."},'
        b'{"type":"function_call_output","call_id":"c","output":"x"}],"questions":[{"a":1}]}'
    )
    parsed_request = openai_decisions.parse_request(body)
    assert (parsed_request.system_prompt, parsed_request.params) == (
        "Be strict.",
        {"questions": [{"a": 1}]},
    )
    [_, (_, item)] = parts(parsed_request, body)
    assert openai_decisions.tool_results(item) == [ParsedToolResult("c", None, "x", False)]


def test_counts_read_the_request_but_take_no_results_from_the_call_that_brings_them() -> None:
    body = (
        b'{"model":"c","system":"Be brief.","messages":[{"role":"user","content":'
        b'[{"type":"tool_result","tool_use_id":"t","content":"x"}]}]}'
    )
    parsed_request = anthropic_count_tokens.parse_request(body)
    assert (parsed_request.model_id, parsed_request.system_prompt) == ("c", "Be brief.")
    [_, (_, message)] = parts(parsed_request, body)
    assert anthropic_count_tokens.tool_results(message) == []
    body = b'{"model":"m","input":"hi","instructions":"Be brief."}'
    assert openai_input_tokens.parse_request(body).system_prompt == "Be brief."
