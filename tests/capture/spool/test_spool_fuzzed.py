"""Whatever bytes a segment has, reading it raises nothing, and calls in whole frames are read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from capture.exchange import new_action_id
from capture.parsing.raw_facts import parse_raw_facts
from capture.spool import frames
from capture.spool.folder import Folder
from capture.spool.frames import Kind
from capture.spool.reader import Reader
from capture.spool.writer import Writer
from tests.capture.spool.test_spool import MB, head, spool, write_call

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)
HEADS = [
    {"started_ns": 2**80, "status": -1, "at_ns": 10**30, "outcome": "odd"},
    {"status": 200, "headers": [["a"]], "at_ns": 1},
    {"outcome": "completed", "at_ns": -1, "error": 5},
    {"outcome": "completed", "at_ns": 5, "error": "\ud800"},
]
Payload = st.one_of(
    st.binary(max_size=40),
    (JSON | st.sampled_from(HEADS)).map(lambda value: json.dumps(value).encode()),
    st.integers(0, 2**32 - 1).map(lambda n: n.to_bytes(4) + b"{}"),
    JSON.map(lambda value: b"\0\0\0\2" + json.dumps(value).encode()),
)
CheckedFrame = st.builds(
    lambda kind, call, number, payload: frames.encode_header(kind, call, number, payload) + payload,
    st.integers(0, 255) | st.sampled_from(list(Kind)),
    st.binary(min_size=16, max_size=16) | st.just(b"\xff" * 16),
    st.integers(0, 3) | st.integers(0, 2**32 - 1),
    Payload,
)
# A header that announces more than there is, or than there can be.
Promise = st.builds(
    lambda kind, length: frames.HEADER.pack(frames.MARK, kind, length, 0, bytes(16), 0),
    st.integers(0, 255),
    st.integers(0, 2**32 - 1),
)
GOOD = "a whole call"
Piece = st.one_of(
    st.just(GOOD), CheckedFrame, CheckedFrame, Promise, st.binary(max_size=60), st.just(frames.MARK)
)


def write_segment(folder: Folder, pieces: list[bytes | str]) -> list[UUID]:
    """One segment of these pieces; the ids of its whole calls."""
    writer = Writer(folder, max_bytes=100 * MB)
    written, ids = [frames.segment_header()], []
    [segment] = folder.segments()
    path = folder.path / segment.name
    for piece in pieces:
        if isinstance(piece, bytes):
            written.append(piece)
            continue
        ids.append(new_action_id())
        had = path.stat().st_size
        write_call(writer.begin(ids[-1], head(), b"{}"), [b"one", b"two"])
        written.append(path.read_bytes()[had:])
    writer.close()
    path.write_bytes(b"".join(written))
    return ids


@settings(max_examples=200)
@given(st.lists(Piece, max_size=12))
def test_no_bytes_in_a_segment_stop_its_reader(pieces: list[bytes | str]) -> None:
    async def run() -> None:
        with spool() as folder:
            ids = write_segment(folder, pieces)
            found = dict(read_in_every_way(folder))
            assert {id_: found.get(id_) for id_ in ids} == dict.fromkeys(ids, (b"{}", b"onetwo"))
            assert folder.segments() == []

    asyncio.run(run())


def read_in_every_way(folder: Folder) -> Iterator[tuple[UUID, tuple[bytes | None, bytes]]]:
    reader = Reader(folder, {})
    while not reader.is_caught_up:
        calls = reader.read(max_calls=3, max_bytes=MB)
        for call in calls:
            exchange = reader.load(call)
            without_bodies = parse_raw_facts(reader.load(call, max_body=0))
            assert without_bodies == parse_raw_facts(exchange)
            yield call.action_id, (exchange.body, b"".join(exchange.pieces))
        reader.positions()
        reader.release(calls)
        reader.carry_over()
    reader.close()
