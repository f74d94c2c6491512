from __future__ import annotations

import hashlib
import time

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.wire.framing import multipart
from capture.wire.framing.multipart import (
    FIELD_BYTES,
    FIELDS_BYTES,
    MOST_PARTS,
    read_form,
    read_request,
)

FORM = "multipart/form-data; boundary=b"


def part(name: str, value: bytes, more: str = "") -> bytes:
    head = f'--b\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + value + b"\r\n"


def described(
    content: bytes, filename: str | None = None, content_type: str | None = None
) -> dict[str, object]:
    return {
        "filename": filename,
        "content_type": content_type,
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }


@pytest.mark.parametrize("content", [b"", b"\r\n", b"--b", b"\r\n--bb\r\n--b-", bytes(range(256))])
def test_what_a_client_sends_is_read(content: bytes) -> None:
    request = httpx.Request(
        "POST",
        "http://x",
        data={
            "model": "whisper-1",
            "temperature": "0",
            "language": "grüßisch",
            "tags[]": ["a", "b"],
        },
        files={"file": ('a "b" ü.mp3', content, "audio/mpeg")},
    )
    parsed_request = read_request(request.read(), request.headers["content-type"])
    assert (parsed_request.model_id, parsed_request.temperature, parsed_request.note) == (
        "whisper-1",
        0.0,
        None,
    )
    [filename] = [parsed_request.params["file"].pop("filename")]
    assert filename in ('a "b" ü.mp3', "a %22b%22 ü.mp3")
    file = described(content, content_type="audio/mpeg")
    del file["filename"]
    assert parsed_request.params == {"language": "grüßisch", "tags[]": ["a", "b"], "file": file}


@pytest.mark.parametrize(
    ("body", "entries", "note"),
    [
        (b"", [], "empty"),
        (b"x", [], "the multipart body is cut short"),
        (b"--b--", [], None),
        (b"--b--\r\nepilogue", [], None),
        (b"preamble\r\n" + part("a", b"1") + b"--b--", [("a", "1")], None),
        (part("a", b"1"), [("a", "1\r\n")], "the multipart body is cut short"),
        (part("a", b"1") + b"--b \t\r\n\r\n2\r\n--b--", [("a", "1"), ("", "2")], None),
        (part("a", b"1").replace(b"\r\n", b"\n") + b"--b--", [("a", "1")], None),
        (part("a", b"\xff\0") + b"--b--", [("a", "\ufffd\ufffd")], None),
        (part("a", b"", "; filename=x") + b"--b--", [("a", described(b"", "x"))], None),
        (
            part("a", b"", "; filename*=UTF-8''%C3%BC.png") + b"--b--",
            [("a", described(b"", "ü.png"))],
            None,
        ),
        (part(r"q\"\\", b"1") + b"--b--", [('q"\\', "1")], None),
        (b"--b\r\n--b\r\n--b--", [("", ""), ("", "")], None),
        (
            part("a", b"x" * (FIELD_BYTES + 1)) + b"--b--",
            [("a", described(b"x" * (FIELD_BYTES + 1)))],
            None,
        ),
    ],
)
def test_form_is_read(body: bytes, entries: list[tuple[str, object]], note: str | None) -> None:
    form = read_form(body, FORM)
    assert (form.entries, form.note) == (entries, note)


def test_boundary_of_the_first_line_counts_when_the_header_has_none() -> None:
    body = part("a", b"1") + b"--b--"
    assert read_form(body, "multipart/form-data").entries == [("a", "1")]
    assert read_form(b"no form", "multipart/form-data").note == "multipart without a boundary"
    assert read_form(body, 'multipart/form-data; boundary="b"; charset=x').entries == [("a", "1")]
    assert read_form(body, "multipart/form-data; boundary=" + "b" * 300).entries == []


def test_all_fields_together_are_bounded() -> None:
    values = [
        value for _, value in read_form(part("a", b"x" * FIELD_BYTES) * 20 + b"--b--", FORM).entries
    ]
    kept = [value for value in values if isinstance(value, str)]
    assert len(kept) == FIELDS_BYTES // FIELD_BYTES
    assert len(values) == 20


def test_parts_are_bounded() -> None:
    form = read_form(part("a", b"1") * (MOST_PARTS + 1) + b"--b--", FORM)
    assert len(form.entries) == MOST_PARTS
    assert form.note == "more than 1,000 parts"


@pytest.mark.parametrize(
    "body",
    [
        part("file", b"\n--" * 2_000_000, "; filename=x"),
        part("file", b"\r\n--bx" * 1_000_000, "; filename=x"),
        b"--b" + b" " * 6_000_000,
        b"--b\r\n" + b"\r" * 6_000_000,
        b"--b\r\nContent-Disposition: " + b"; " * 3_000_000,
        b'--b\r\nContent-Disposition: a; name="' + b"\\" * 15_000 + b"\r\n\r\n",
    ],
)
def test_hostile_forms_take_linear_time(body: bytes) -> None:
    started = time.process_time()
    read_form(body, FORM)
    assert time.process_time() - started < 5


@given(st.lists(st.sampled_from([b"--b", b"\r\n", b"\n", b"--", b'name="a"', b"; ", b":", b"x"])))
def test_fragments_of_a_form_never_raise(pieces: list[bytes]) -> None:
    for content_type in (FORM, ""):
        multipart.read_request(b"--b\r\n" + b"".join(pieces), content_type)
