from __future__ import annotations

from zlib import crc32

import pytest

from capture.wire.framing import aws_event_stream
from tests.capture.wire.corpus.exchanges import FRAMES, event_frame, frame

# The frames of https://github.com/boto/botocore/blob/develop/tests/unit/test_eventstream.py
EMPTY = b"\x00\x00\x00\x10\x00\x00\x00\x00\x05\xc2H\xeb}\x98\xc8\xff"
ONE_HEADER = (
    b"\x00\x00\x00=\x00\x00\x00 \x07\xfd\x83\x96\x0ccontent-type\x07\x00\x10"
    b"application/json{'foo':'bar'}\x8d\x9c\x08\xb1"
)
ALL_TYPES_OF_HEADERS = (
    b"\x00\x00\x00\x62\x00\x00\x00\x52\x03\xb5\xcb\x9c\x010\x00\x011\x01\x012\x02\x02\x013\x03\x00"
    b"\x03\x014\x04\x00\x00\x00\x04\x015\x05\x00\x00\x00\x00\x00\x00\x00\x05\x016\x06\x00\x05bytes"
    b"\x017\x07\x00\x04utf8\x018\x08\x00\x00\x00\x00\x00\x00\x00\x08\x019\x090123456789abcdef"
    b"\x63\x35\x36\x71"
)
ERROR = (
    b"\x00\x00\x00\x52\x00\x00\x00\x42\xbf\x23\x63\x7e\x0d:message-type\x07\x00\x05error"
    b"\x0b:error-code\x07\x00\x04code\x0e:error-message\x07\x00\x07message\x6b\x6c\xea\x3d"
)
KNOWN = [
    (EMPTY, {}, b""),
    (ONE_HEADER, {"content-type": "application/json"}, b"{'foo':'bar'}"),
    (ALL_TYPES_OF_HEADERS, {"7": "utf8"}, b""),
    (ERROR, {":message-type": "error", ":error-code": "code", ":error-message": "message"}, b""),
]


def read(body: bytes) -> tuple[list[aws_event_stream.EventFrame], list[str]]:
    notes: list[str] = []
    return list(aws_event_stream.frames(body, notes)), notes


@pytest.mark.parametrize(("body", "headers", "payload"), KNOWN)
def test_known_frame_is_read(body: bytes, headers: dict[str, str], payload: bytes) -> None:
    assert read(body) == ([(headers, payload, len(body))], [])


def test_frames_follow_each_other() -> None:
    found, notes = read(b"".join(body for body, _, _ in KNOWN))
    assert [(headers, payload) for headers, payload, _ in found] == [row[1:] for row in KNOWN]
    assert [end for _, _, end in found] == [16, 77, 175, 257]
    assert notes == []


def test_botocore_reads_the_frames_of_the_tests() -> None:
    assert frame(b"", message_type="error", error_code="code", error_message="message") == ERROR


def test_a_last_frame_that_is_cut_short_is_noted() -> None:
    for length in range(1, len(ONE_HEADER)):
        found, notes = read(EMPTY + ONE_HEADER[:length])
        assert [end for _, _, end in found] == [16]
        assert notes == ["the last frame is cut short"]


def test_no_byte_of_a_frame_can_change_unnoticed() -> None:
    for place in range(len(ONE_HEADER)):
        changed = bytearray(EMPTY + ONE_HEADER + EMPTY)
        changed[16 + place] ^= 0x20
        found, notes = read(bytes(changed))
        assert [end for _, _, end in found] == [16]
        assert notes == ["the frame at byte 16 is damaged"]


@pytest.mark.parametrize(
    "headers",
    [b"\x05a", b"\x01a", b"\x01a\x07", b"\x01a\x07\x00", b"\x01a\x07\x00\x05b", b"\x01a\x0a\x00"],
)
def test_headers_whose_lengths_make_no_sense_are_damage(headers: bytes) -> None:
    prelude = (16 + len(headers)).to_bytes(4) + len(headers).to_bytes(4)
    start = prelude + crc32(prelude).to_bytes(4) + headers
    assert read(start + crc32(start).to_bytes(4)) == ([], ["the frame at byte 0 is damaged"])


def test_objects_are_named_by_the_type_of_the_event() -> None:
    start = event_frame("messageStop", {"stopReason": "end_turn"}) + frame(
        b"\xff\xff", event_type="audio", message_type="event"
    )
    body = (
        start
        + frame(
            b'{"message":"Too many tokens"}',
            exception_type="throttlingException",
            message_type="exception",
        )
        + frame(b"", exception_type="internalServerException", message_type="exception")
        + ERROR
    )
    notes: list[str] = []
    found = [(name, event) for name, event, _ in aws_event_stream.read_objects(body, notes)]
    assert found == [
        ("messageStop", {"stopReason": "end_turn"}),
        ("error", {"message": "Too many tokens"}),
        ("error", {"message": "internalServerException"}),
        ("error", {"message": "message"}),
    ]
    assert notes == [f"1 frames are not JSON objects, the first ends at byte {len(start)}"]


@pytest.mark.parametrize(
    ("body", "content_type", "is_stream"),
    [
        (EMPTY, FRAMES, True),
        (EMPTY, "application/json", True),
        (b"", FRAMES, True),
        (EMPTY[:5], FRAMES, True),
        (EMPTY[:5], "", False),
        (b"damaged from the start", FRAMES, True),
        (b'{"message":"no"}', FRAMES, False),
        (b'{"message":"no, and why"}', "application/json", False),
        (b"data: {}\n\n", "text/event-stream", False),
    ],
)
def test_stream_is_recognized_by_its_first_frame_or_content_type(
    body: bytes, content_type: str, is_stream: bool
) -> None:
    assert aws_event_stream.is_stream(body, content_type) is is_stream
