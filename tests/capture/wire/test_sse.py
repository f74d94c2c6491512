from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from capture.wire.framing import sse


@pytest.mark.parametrize(
    ("body", "events"),
    [
        (b"", []),
        (b"data: a\n\n", [(b"", b"a", 9)]),
        (b"data:a\n\ndata:  b\n\n", [(b"", b"a", 8), (b"", b" b", 18)]),
        # One space belongs to the field, whichever way the lines end; more are data.
        (b"data:  b", [(b"", b" b", 8)]),
        (b"data:  a\r\n\r\ndata:   b\r\n\r\n", [(b"", b" a", 12), (b"", b"  b", 25)]),
        (b"event:  e\ndata:  a\ndata: \t b\n\n", [(b" e", b" a\n\t b", 30)]),
        (b"event: e\ndata: a\n\nevent:f\ndata:\n\n", [(b"e", b"a", 18), (b"f", b"", 33)]),
        (b"event: e\r\ndata: a\r\n\r\nevent:f\r\ndata:b", [(b"e", b"a", 21), (b"f", b"b", 36)]),
        (b"data: a", [(b"", b"a", 7)]),
        (b"data: a\ndata: b\n\n", [(b"", b"a\nb", 17)]),
        (b"data\ndata:\n\n", [(b"", b"\n", 12)]),
        (b"event: e\ndata: a\nid: 1\nretry: 5\n\n", [(b"e", b"a", 33)]),
        (b": ping\n\n: pong\ndata: a\n\n", [(b"", b"a", 24)]),
        (b"\n\n\n\n\ndata: a\n\n\n\ndata: b\n\n\n", [(b"", b"a", 14), (b"", b"b", 25)]),
        (b"event: e\n\ndata: a\n\n", [(b"", b"a", 19)]),
        (b"\xef\xbb\xbfdata: a\n\n", [(b"", b"a", 12)]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [(b"", b"a", 11), (b"", b"b", 22)]),
        (b"data: a\r\rdata: b\r\r", [(b"", b"a", 9), (b"", b"b", 18)]),
        (
            b"data: a\r\n\ndata: b\n\r\ndata: c\r",
            [(b"", b"a", 10), (b"", b"b", 20), (b"", b"c", 28)],
        ),
        (b"data: a\r\ndata: b\r\n\r", [(b"", b"a\nb", 19)]),
        ("data: a\u2028b\x0bc\x85\n\n".encode(), [(b"", "a\u2028b\x0bc\x85".encode(), 17)]),
    ],
)
def test_body_is_split_into_events(body: bytes, events: list[sse.Event]) -> None:
    assert list(sse.split_events(body)) == events


lines = st.sampled_from([b"data: a", b"data:b", b"data", b"event: e", b": c", b"id: 1", b""])


@given(st.lists(lines), st.sampled_from([b"\r\n", b"\r"]))
def test_all_line_ends_mean_the_same(some: list[bytes], line_end: bytes) -> None:
    expected = [event[:2] for event in sse.split_events(b"\n".join(some))]
    assert [event[:2] for event in sse.split_events(line_end.join(some))] == expected


@given(st.lists(st.tuples(lines, st.sampled_from([b"\n", b"\r\n", b"\r"])), max_size=8))
def test_events_are_those_of_a_reader_that_goes_line_by_line(
    some: list[tuple[bytes, bytes]],
) -> None:
    body = b"".join(line + line_end for line, line_end in some)
    expected: list[tuple[bytes, bytes]] = []
    name, data = b"", list[bytes]()
    # An empty line after a line end of \r is that line end's \n.
    for line in [*body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n"), b""]:
        if line.startswith(b"data"):
            data.append(line.removeprefix(b"data").removeprefix(b":").removeprefix(b" "))
        elif line.startswith(b"event: "):
            name = line.removeprefix(b"event: ")
        elif not line:
            if data:
                expected.append((name, b"\n".join(data)))
            name, data = b"", []
    assert [event[:2] for event in sse.split_events(body)] == expected


def test_unreadable_events_are_noted() -> None:
    body = b'data: {"type":"a"}\n\ndata: 7\n\ndata: {"a\n\nevent: b\ndata: {}\n\ndata: [DONE]\n\n'
    unread: list[int] = []
    objects = [(name, value) for name, value, _ in sse.read_objects(body, unread)]
    assert objects == [("a", {"type": "a"}), ("b", {}), (sse.DONE, {})]
    assert sse.note(unread, body) == "2 events are not JSON objects, the first ends at byte 29"


@pytest.mark.parametrize(
    ("body", "content_type", "is_stream"),
    [
        (b"data: {}", "text/event-stream", True),
        (b"data: {}", "application/json", True),
        (b": ping", "", True),
        (b"event: x", "text/plain", True),
        (b"\n{}", "text/event-stream", False),
        (b"{}", "", False),
        (b"", "Text/Event-Stream; charset=utf-8", True),
        (b"", "application/json", False),
        (b"dat", "text/event-stream", True),
        (b"<html>", "text/html", False),
    ],
)
def test_streams_are_distinguished_from_plain_responses(
    body: bytes, content_type: str, is_stream: bool
) -> None:
    assert sse.is_stream(body, content_type) is is_stream
