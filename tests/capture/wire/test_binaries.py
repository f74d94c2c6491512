"""Binaries in JSON are found whatever stands around them, and restored from their references."""

from __future__ import annotations

import base64
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.wire.binaries import finder
from capture.wire.binaries.finder import SHORTEST, find_binaries, reference_binaries
from capture.wire.binaries.references import (
    PREFIX,
    BinaryForm,
    ReferencingText,
    insert_references,
    restore_text,
)
from capture.wire.framing import media_types

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
PDF = b"%PDF-1.7\n" + bytes(range(255, -1, -1))
PCM = bytes((n * n + 7 * n) % 256 for n in range(600))  # begins like nothing


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def url_safe(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def restore(text: ReferencingText) -> bytes | None:
    data = {binary.digest: binary.data for binary in text.binaries}
    return restore_text(text.text, text.references, data.get)


def types_in(text: bytes) -> list[tuple[str, bytes]]:
    referring = insert_references(text, find_binaries(text, exact=True))
    assert restore(referring) == text
    for binary in referring.binaries:
        assert binary.reference() in referring.text
    return [(binary.media_type, binary.data) for binary in referring.binaries]


# What the SDKs of openai 3.54, anthropic 2.12, google-genai 3.6, ollama 0.6 and botocore send and
# read.
FIELDS: list[Any] = [
    ({"image_url": {"url": "data:image/png;base64," + b64(PCM)}}, "image/png"),
    ({"image_url": "data:image/svg+xml;charset=utf-8;base64," + b64(PCM)}, "image/svg+xml"),
    ({"url": "data:;base64," + b64(PDF)}, "application/pdf"),
    ({"type": "input_file", "file_data": b64(PCM)}, "application/octet-stream"),
    ({"file": {"file_data": b64(PDF), "filename": "a.pdf"}}, "application/pdf"),
    ({"input_audio": {"data": b64(PCM), "format": "mp3"}}, "audio/mpeg"),
    ({"type": "input_audio", "input_audio": b64(PCM)}, "application/octet-stream"),
    ({"data": [{"b64_json": b64(PNG)}], "output_format": "png"}, "image/png"),
    (
        {"type": "response.image_generation_call.partial_image", "partial_image_b64": b64(PNG)},
        "image/png",
    ),
    ({"id": "ig", "type": "image_generation_call", "result": b64(PCM)}, "application/octet-stream"),
    ({"type": "response.output_audio.delta", "delta": b64(PCM)}, "application/octet-stream"),
    ({"type": "speech.audio.delta", "audio": b64(PCM)}, "application/octet-stream"),
    (
        {"choices": [{"delta": {"audio": {"id": "a", "data": b64(PCM)}}}]},
        "application/octet-stream",
    ),
    ({"type": "base64", "media_type": "image/webp", "data": b64(PCM)}, "image/webp"),
    ({"type": "base64", "data": b64(PDF), "media_type": "application/pdf"}, "application/pdf"),
    ({"inlineData": {"data": b64(PCM), "mimeType": "audio/L16;rate=24000"}}, "audio/l16"),
    ({"inline_data": {"mime_type": "image/heic", "data": url_safe(PCM)}}, "image/heic"),
    ({"type": "audio", "data": b64(PCM)}, "application/octet-stream"),
    ({"predictions": [{"bytesBase64Encoded": b64(PCM)}]}, "application/octet-stream"),
    ({"role": "user", "content": "what?", "images": [b64(PNG)]}, "image/png"),
    ({"image": {"format": "jpeg", "source": {"bytes": b64(PCM)}}}, "image/jpeg"),
    ({"document": {"format": "csv", "source": {"bytes": b64(b"a,b\n" * 99)}}}, "text/csv"),
    (
        {"tool": json.dumps({"type": "image", "data": b64(PCM), "mimeType": "image/png"})},
        "image/png",
    ),
    ({"whatever": b64(PNG)}, "image/png"),
]


@pytest.mark.parametrize(("value", "media_type"), FIELDS)
@pytest.mark.parametrize("indent", [None, 2])
def test_what_providers_send_is_found(value: Any, media_type: str, indent: int | None) -> None:
    [(found, data)] = types_in(json.dumps(value, indent=indent).encode())
    assert found == media_type
    assert data in (PNG, PDF, PCM, b"a,b\n" * 99)


@pytest.mark.parametrize(
    "value",
    [
        {"signature": b64(PNG)},
        {"thoughtSignature": b64(PNG), "text": "x"},
        {"type": "reasoning", "encrypted_content": b64(PCM)},
        {"type": "redacted_thinking", "data": b64(PCM)},
        {"embedding": b64(PCM)},
        {"bytes": b64(json.dumps({"type": "message_start", "message": "x" * 300}).encode())},
        {"type": "response.output_text.delta", "delta": b64(PCM)},
        {"type": "response.function_call_arguments.delta", "delta": "a" * 400},
        {"type": "text", "media_type": "text/plain", "data": "a" * 400},
        {"data": "deadbeef" * 40, "result": "a" * 400},
        {"content": b64(PCM)},
        {"image": b64(PNG)[: SHORTEST - 4]},
        {"image": b64(PNG) + " "},
        {"image": b64(PNG)[:-3]},
        {"text": "see data:image/png;base64," + b64(PNG)},
        {"image": b64(PNG)[:300] + "=" + b64(PNG)[300:]},
    ],
)
def test_texts_are_left_alone(value: Any) -> None:
    text = json.dumps(value).encode()
    assert find_binaries(text) == []


def test_images_in_a_list_have_the_name_of_the_list() -> None:
    value = {"images": [b64(PCM), b64(PCM[::-1]), b64(PCM)], "other": ["a", b64(PCM)]}
    for indent in (None, 8):
        assert len(types_in(json.dumps(value, indent=indent).encode())) == 3


@pytest.mark.parametrize(
    ("old", "new", "form"),
    [
        ("/", "\\/", BinaryForm.SLASHES_ESCAPED),
        ("+", "\\u002B", BinaryForm.PLUSES_ESCAPED),
        ("=", "\\u003d", BinaryForm.PADDING_ESCAPED),
        ("=", "", BinaryForm.UNPADDED),
    ],
)
def test_escaped_base64_is_found(old: str, new: str, form: BinaryForm) -> None:
    data = bytes(range(256)) * 2
    assert old in b64(data)
    text = f'{{"b64_json":"{b64(data).replace(old, new)}"}}'.encode()
    [(_, found)] = types_in(text)
    assert found == data
    assert find_binaries(text)[0].form == form


def test_base64_in_lines_is_found_but_not_exactly() -> None:
    text = json.dumps({"images": [base64.encodebytes(PNG).decode()]}).encode()
    [found] = find_binaries(text)
    assert found.binary.data == PNG
    assert find_binaries(text, exact=True) == []


def test_a_binary_that_is_cut_off_is_found_as_far_as_it_came() -> None:
    whole = json.dumps({"b64_json": b64(PCM).replace("/", "\\/")}).replace("\\\\", "\\").encode()
    for end in range(300, len(whole)):
        text = insert_references(whole[:end], find_binaries(whole[:end], exact=True))
        [binary] = text.binaries
        assert PCM.startswith(binary.data)
        assert len(binary.data) > (end - 40) * 3 // 4 - 30
        assert restore(text) == whole[:end]


@pytest.mark.parametrize("framed", ["data: {}\n\n", "{}\n", "\x1e{}\n", "[{}\n,\r\n"])
def test_binaries_are_found_in_each_framing(framed: str) -> None:
    events = [{"type": "response.audio.delta", "delta": b64(PCM[n:])} for n in range(0, 90, 9)]
    text = "".join(framed.replace("{}", json.dumps(event)) for event in events).encode()
    assert [data for _, data in types_in(text)] == [PCM[n:] for n in range(0, 90, 9)]


def test_a_text_that_looks_like_a_reference_stays_a_text() -> None:
    [found] = find_binaries(json.dumps({"image": b64(PNG)}).encode())
    fake = found.binary.reference().decode()
    text = json.dumps({"a": fake, "image": b64(PNG), "b": fake}).encode()
    referring = insert_references(text, find_binaries(text))
    assert len(referring.references) == 1
    assert restore(referring) == text


def test_offsets_are_converted_to_the_original() -> None:
    text = json.dumps({"x": 1, "image": b64(PNG), "mask": b64(PDF), "end": 2}).encode()
    referring = insert_references(text, find_binaries(text))
    for word in (b'"x"', b'"mask"', b'"end"'):
        assert referring.original_offset(referring.text.index(word)) == text.index(word)
    assert referring.original_offset(len(referring.text)) == len(text)
    start = referring.text.index(b'"mask"')
    [reference] = referring.references_between(start, len(referring.text))
    assert referring.text[start + reference.offset :].startswith(PREFIX.encode())


def test_the_files_of_a_form_are_found() -> None:
    head = '--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n'
    form = f"{head}Content-Type: audio/mpeg\r\n\r\n".encode() + PCM + b"\r\n--b--"
    text = reference_binaries(form, "multipart/form-data; boundary=b", exact=True)
    assert [(found.media_type, found.data) for found in text.binaries] == [("audio/mpeg", PCM)]
    assert restore(text) == form


@pytest.mark.parametrize(
    ("body", "content_type", "media_type"),
    [
        (PCM, "audio/mpeg", "audio/mpeg"),
        (PNG, "application/octet-stream", "image/png"),
        (PCM, "Application/Octet-Stream", "application/octet-stream"),
        (PDF, "", "application/pdf"),
        (PCM, "", None),
        (b'{"error": "no"}' * 30, "audio/mpeg", None),
        ("<svg>é</svg>".encode() * 500, "image/svg+xml", None),
    ],
)
def test_a_body_that_is_a_binary(body: bytes, content_type: str, media_type: str | None) -> None:
    text = reference_binaries(body, content_type)
    assert [found.media_type for found in text.binaries] == ([media_type] if media_type else [])
    assert restore(text) == body


def test_media_types_of_names_and_first_bytes() -> None:
    assert media_types.sniff(b"RIFF\0\0\0\0WEBPVP8 ") == "image/webp"
    assert media_types.sniff(b"\0\0\0\x18ftypmp42") == "video/mp4"
    assert media_types.sniff(b"\xff\xfb\x90\0") is None
    assert media_types.from_format_name("Image/PNG") == "image/png"
    assert media_types.from_format_name("json_schema") is None


# --- any JSON -------------------------------------------------------------------------------------

_data = st.one_of(
    st.binary(min_size=190, max_size=2000),
    st.builds(lambda data: PNG + data, st.binary(max_size=500)),
)
_base64 = st.builds(
    lambda data, form: form(data),
    _data,
    st.sampled_from([b64, url_safe, lambda data: "data:image/png;base64," + b64(data)]),
)
_texts = st.one_of(
    _base64,
    st.text(max_size=40),
    st.text('ABab09+/-_=\\"{}:, \n', max_size=600),
    st.just(f"{PREFIX}image/png;bytes=3;sha256={'0' * 64}"),
)
_keys = st.sampled_from(
    "data b64_json images image delta result type mimeType signature audio bytes text".split()
)
_json = st.recursive(
    st.one_of(_texts, st.integers(), st.none()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(_keys, inner, max_size=4)),
    max_leaves=12,
)


@settings(max_examples=400)
@given(_json, st.sampled_from([None, 1]), st.integers(0, 200), st.booleans(), st.booleans())
def test_a_text_is_restored_from_its_references(
    value: Any, indent: int | None, cut: int, slashes: bool, nested: bool
) -> None:
    written = json.dumps(value, indent=indent, ensure_ascii=False)
    if nested:
        written = json.dumps(written)
    if slashes:
        written = written.replace("/", "\\/")
    whole = written.encode("utf-8", "surrogatepass")
    for text in (whole, whole[: max(len(whole) - cut, 0)]):
        referring = insert_references(text, find_binaries(text, exact=True))
        assert restore(referring) == text
    if not slashes and not nested:
        json.loads(insert_references(whole, find_binaries(whole)).text)


@settings(max_examples=300)
@given(
    st.binary(max_size=3000),
    st.sampled_from(["", "application/json", "audio/mpeg", "multipart/x; boundary=b"]),
)
def test_any_bytes_are_restored(body: bytes, content_type: str) -> None:
    assert restore(reference_binaries(body, content_type, exact=True)) == body


@pytest.mark.parametrize(
    "piece",
    [
        b'"A',
        b"A",
        b"\\n",
        b'"data:',
        b'"data:;base64,',
        b'"data:' + b"a" * 140,
        b'"data' + b"A" * 250 + b",",
        b"\\n" * 120 + b'"',
        b"\\u002B",
        b"\\u002",
        b'"x":"' + b"A" * 300 + b'",',
        b'{"type":"' + b"." * 240 + b'","data":"' + b"A" * 260 + b'"',
        b"=" * 7 + b"A",
    ],
)
def test_hostile_texts_take_linear_time(piece: bytes) -> None:
    def seconds(size: int) -> float:
        text = b'{"image":"' + piece * (size // len(piece))
        started = time.process_time()
        finder.find_binaries(text)
        return time.process_time() - started

    assert seconds(4_000_000) < 2
