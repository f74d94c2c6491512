"""The spool by itself: what was written is read back, whole and once, whatever happened between."""

from __future__ import annotations

import asyncio
import os
import random
import resource
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.exchange import Exchange, Outcome, RequestHead, new_action_id
from capture.spool import frames
from capture.spool.folder import Folder, SpoolError
from capture.spool.frames import Kind
from capture.spool.reader import Reader
from capture.spool.writer import CallWriter, SpoolFull, Writer
from tests.support.ledger import wait_until

pytestmark = pytest.mark.anyio

MB = 1024 * 1024
SMALL = 64 * 1024  # a segment


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def head(**changes: object) -> RequestHead:
    facts: dict[str, object] = {
        "started_ns": 1,
        "method": "POST",
        "path": "/v1/chat/completions",
        "target": "/v1/chat/completions",
        "wire_format": "openai_chat",
        "upstream": "http://localhost",
        "upstream_name": "default",
        "provider": None,
        "headers": [("content-type", "application/json")],
        "ledger": {"session_id": "s"},
        "body_size": 2,
        "has_body_file": False,
    }
    return RequestHead(**(facts | changes))  # type: ignore[arg-type]  # facts differ by field


@contextmanager
def spool() -> Iterator[Folder]:
    with tempfile.TemporaryDirectory() as path:
        folder = Folder(Path(path) / "spool")
        folder.prepare()
        yield folder


def steps_of(entry: CallWriter, pieces: list[bytes]) -> Iterator[None]:
    entry.write_head(200, [("content-type", "application/json")])
    yield
    for piece in pieces:
        entry.write_piece(piece)
        yield
    entry.end(Outcome.COMPLETED)


def write_call(entry: CallWriter, pieces: list[bytes]) -> None:
    for _ in steps_of(entry, pieces):
        pass


def read_all(folder: Folder, positions: dict[str, int] | None = None) -> list[Exchange]:
    reader = Reader(folder, positions or {})
    exchanges: list[Exchange] = []
    calls = None
    while calls != []:
        calls = reader.read(max_calls=3, max_bytes=MB)
        exchanges += [reader.load(call) for call in calls]
        reader.release(calls)
    return exchanges


Pieces = st.lists(st.binary(max_size=300), max_size=5)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.binary(max_size=500), Pieces), max_size=12), st.randoms())
def test_concurrent_calls_are_read_back_as_written(
    calls: list[tuple[bytes, list[bytes]]], order: random.Random
) -> None:
    async def run() -> None:
        with spool() as folder:
            writer = Writer(folder, max_bytes=100 * MB, segment_bytes=SMALL)
            expected, under_way = {}, []
            for body, pieces in calls:
                action_id = new_action_id()
                expected[action_id] = (body, pieces)
                under_way.append(steps_of(writer.begin(action_id, head(), body), pieces))
            while under_way:
                steps = order.choice(under_way)
                if next(steps, "ended") == "ended":
                    under_way.remove(steps)
            writer.close()
            found = {e.action_id: (e.body, e.pieces) for e in read_all(folder)}
            assert found == expected
            assert folder.segments() == []

    asyncio.run(run())


@settings(max_examples=60)
@given(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=200), st.booleans())
def test_damage_anywhere_loses_no_other_call(where: float, garbage: bytes, cut: bool) -> None:
    """Any bytes of a segment overwritten or cut off: every call whose records were not hit is read
    back as written, and a hit one is still there unless all of it was."""

    async def run() -> None:
        with spool() as folder:
            writer = Writer(folder, max_bytes=100 * MB)
            pieces = {new_action_id(): [os.urandom(60)] for _ in range(5)}
            for action_id, own in pieces.items():
                write_call(writer.begin(action_id, head(), b"{}"), own)
            writer.close()
            [segment] = folder.segments()
            path = folder.path / segment.name
            whole = path.read_bytes()
            start = int(where * len(whole))
            end = min(len(whole), start + len(garbage))
            path.write_bytes(
                whole[:start] if cut else whole[:start] + garbage[: end - start] + whole[end:]
            )
            hit = set()
            position, view = 0, memoryview(whole)
            while frame := frames.frame_at(view, position, 0):
                if frame.end > start and (cut or frame.start < end):
                    hit.add(frame.action_id)
                position = frame.end
            found = {e.action_id: e for e in read_all(folder)}
            for action_id, own in pieces.items():
                if action_id.bytes not in hit:
                    assert found[action_id].pieces == own
                    assert found[action_id].end is not None

    asyncio.run(run())


async def test_a_restarted_reader_finds_what_was_not_committed() -> None:
    with spool() as folder:
        writer = Writer(folder, max_bytes=100 * MB)
        long = writer.begin(new_action_id(), head(), b"long")
        for number in range(4):
            write_call(writer.begin(new_action_id(), head(), b"%d" % number), [b"x"])
        reader = Reader(folder, {})
        assert len(reader.read(max_calls=9, max_bytes=MB)) == 4
        positions = reader.positions()
        write_call(long, [b"after"])
        writer.close()
        bodies = [exchange.body for exchange in read_all(folder, positions)]
        # The short ones come again, since they lie behind the long one's beginning; the ledger
        # knows them. The long one is whole.
        assert b"long" in bodies


async def test_a_call_that_stays_open_does_not_keep_its_segments() -> None:
    with spool() as folder:
        writer = Writer(folder, max_bytes=100 * MB, segment_bytes=SMALL)
        action_id = new_action_id()
        long = writer.begin(action_id, head(), b"long")
        long.write_head(200, [])
        long.write_piece(b"first ")
        for _ in range(40):
            write_call(writer.begin(new_action_id(), head(), b"x"), [bytes(10_000)])
        reader = Reader(folder, {})
        while calls := reader.read(max_calls=100, max_bytes=MB):
            reader.release(calls)
        first = folder.segment_path(writer.id, 1)
        assert first.exists()
        reader.carry_over()
        reader.release([])
        assert not first.exists()
        [carried] = [name for name in folder.segments() if name.is_carried]
        again = Reader(folder, reader.positions())  # as after a restart
        long.write_piece(b"last")
        long.end(Outcome.COMPLETED)
        for some in (reader, again):
            [call] = some.read(max_calls=9, max_bytes=MB)
            exchange = some.load(call)
            assert (exchange.body, exchange.pieces) == (b"long", [b"first ", b"last"])
            assert not exchange.is_damaged
        reader.release([call])
        reader.read(max_calls=9, max_bytes=MB)
        assert not (folder.path / carried.name).exists()
        writer.close()


async def test_a_call_that_was_carried_over_is_read_once() -> None:
    """The recorder may be killed after it has carried a call over, and before it removes the
    segments that the call was in: then each of its records is there twice."""
    with spool() as folder:
        writer = Writer(folder, max_bytes=100 * MB, segment_bytes=SMALL)
        action_id = new_action_id()
        long = writer.begin(action_id, head(), b"long")
        long.write_head(200, [])
        long.write_piece(b"first ")
        for _ in range(10):
            write_call(writer.begin(new_action_id(), head(), b"x"), [bytes(10_000)])
        reader = Reader(folder, {})
        while reader.read(max_calls=100, max_bytes=MB):
            pass
        reader.carry_over()
        reader.close()
        assert [name.is_carried for name in folder.segments()].count(True) == 1
        assert folder.segment_path(writer.id, 1).exists()
        long.write_piece(b"last")
        long.end(Outcome.COMPLETED)
        writer.close()
        [exchange] = [e for e in read_all(folder) if e.action_id == action_id]
        assert (exchange.body, exchange.pieces) == (b"long", [b"first ", b"last"])
        assert exchange.end is not None and not exchange.is_damaged


async def test_an_unfinished_record_is_awaited_and_a_torn_one_is_set_aside() -> None:
    with spool() as folder:
        writer = Writer(folder, max_bytes=100 * MB)
        write_call(writer.begin(new_action_id(), head(), b"whole"), [b"x"])
        [segment] = folder.segments()
        with (folder.path / segment.name).open("ab") as file:
            file.write(frames.encode_header(Kind.PIECE, bytes(16), 0, b"never all of it")[:20])
        reader = Reader(folder, {})
        assert len(reader.read(max_calls=9, max_bytes=MB)) == 1
        assert reader.n_damaged == 0
        writer.close()
        assert reader.read(max_calls=9, max_bytes=MB) == []
        assert reader.n_damaged == 1


async def test_calls_of_a_dead_writer_are_interrupted_and_of_a_live_one_are_not() -> None:
    with spool() as folder:
        writer = Writer(folder, max_bytes=100 * MB)
        entry = writer.begin(new_action_id(), head(), b"{}")
        entry.write_head(200, [])
        entry.write_piece(b"half")
        reader = Reader(folder, {})
        assert reader.read(max_calls=9, max_bytes=MB) == []
        assert reader.has_open_calls()
        writer.close()
        [call] = reader.read(max_calls=9, max_bytes=MB)
        exchange = reader.load(call)
        assert (exchange.end, exchange.pieces) == (None, [b"half"])


async def test_a_record_that_does_not_fit_is_cut_back() -> None:
    with spool() as folder:
        writer = Writer(folder, max_bytes=100 * MB)
        entry = writer.begin(new_action_id(), head(), b"{}")
        [segment] = folder.segments()
        size = (folder.path / segment.name).stat().st_size
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, limits[1]))
        try:
            with pytest.raises(SpoolError):
                entry.write_piece(bytes(1000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert (folder.path / segment.name).stat().st_size == size
        entry.write_piece(b"fits")
        entry.end(Outcome.COMPLETED)
        writer.close()
        [exchange] = read_all(folder)
        assert exchange.pieces == [b"fits"]
        assert exchange.is_damaged  # a piece is missing


@contextmanager
def no_file_beyond(n_bytes: int) -> Iterator[None]:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def first_segment(folder: Folder) -> Path:
    return folder.path / folder.segments()[0].name


async def test_an_end_that_finds_no_room_is_written_later() -> None:
    with spool() as folder:
        writer = Writer(folder, max_bytes=100 * MB)
        entry = writer.begin(new_action_id(), head(), b"{}")
        full = first_segment(folder).stat().st_size
        with no_file_beyond(full), pytest.raises(SpoolError):
            entry.write_response(200, [], b"response")
        reader = Reader(folder, {})
        assert reader.read(max_calls=9, max_bytes=MB) == []
        writer.tidy()
        [call] = reader.read(max_calls=9, max_bytes=MB)
        end = reader.load(call).end
        assert end is not None
        assert end.outcome == Outcome.INTERRUPTED
        assert end.error is not None and "cannot be written" in end.error
        writer.close()


async def test_truncated_bytes_hide_no_later_call() -> None:
    """A reader may have read a record before it was cut off with those behind it."""
    with spool() as folder:
        writer = Writer(folder, max_bytes=100 * MB)
        reader = Reader(folder, {})
        action_id = new_action_id()
        entry = writer.begin(action_id, head(), b"{}")
        segment = first_segment(folder)
        full = segment.stat().st_size
        with no_file_beyond(full), pytest.raises(SpoolError):
            entry.write_response(200, [], b"response")
        with segment.open("ab") as file:  # for a moment this much was there
            file.write(frames.encode_header(Kind.HEAD, action_id.bytes, 1, b"{}") + b"{}")
        reader.read(max_calls=9, max_bytes=MB)
        os.truncate(segment, full)
        wait_until(writer.has_room)
        for number in range(3):
            write_call(writer.begin(new_action_id(), head(), b"%d" % number), [b"x"])
        calls = reader.read(max_calls=9, max_bytes=MB)
        assert [reader.load(call).body for call in calls] == [b"0", b"1", b"2"]
        assert reader.n_damaged == 0
        writer.close()


async def test_a_segment_that_cannot_be_created_leaves_nothing_behind() -> None:
    with spool() as folder:
        writer = Writer(folder, max_bytes=100 * MB, segment_bytes=SMALL)
        write_call(writer.begin(new_action_id(), head(), bytes(SMALL)), [b"x"])
        n_open = len(os.listdir("/proc/self/fd"))
        with no_file_beyond(1):
            for _ in range(3):
                with pytest.raises(SpoolError):
                    writer.begin(new_action_id(), head(), b"{}")
        assert len(os.listdir("/proc/self/fd")) == n_open
        assert not list(folder.path.glob("*.new"))
        write_call(writer.begin(new_action_id(), head(), b"{}"), [b"x"])
        writer.close()
        assert len(read_all(folder)) == 2


def test_a_reader_beside_a_writer_sees_every_record_whole() -> None:
    """A record of many pages becomes visible page by page."""
    response = os.urandom(60_000)
    n_calls = 600

    def write(folder: Folder) -> None:
        async def run() -> None:
            writer = Writer(folder, max_bytes=1000 * MB)
            for _ in range(n_calls):
                entry = writer.begin(new_action_id(), head(), b"{}")
                entry.write_response(200, [], response)
            writer.close()

        asyncio.run(run())

    with spool() as folder, ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write, folder)
        reader = Reader(folder, {})
        n_read = 0
        while n_read < n_calls:
            calls = reader.read(max_calls=100, max_bytes=MB)
            for call in calls:
                assert reader.load(call).pieces == [response]
            reader.release(calls)
            n_read += len(calls)
        writing.result()
        assert reader.n_damaged == 0


async def test_a_batch_is_bounded_by_its_bodies_too() -> None:
    with spool() as folder:
        writer = Writer(folder, max_bytes=1000 * MB)
        for _ in range(4):
            action_id = new_action_id()
            folder.body_path(action_id).write_bytes(bytes(MB))
            write_call(writer.begin(action_id, head(has_body_file=True), b""), [b"x"])
        writer.close()
        reader = Reader(folder, {})
        assert len(reader.read(max_calls=9, max_bytes=2 * MB)) == 2


async def test_a_full_spool_refuses_calls_but_lets_running_ones_end() -> None:
    with spool() as folder:
        writer = Writer(folder, max_bytes=MB)
        entry = writer.begin(new_action_id(), head(), b"{}")
        entry.write_piece(bytes(2 * MB))
        with pytest.raises(SpoolFull):
            writer.begin(new_action_id(), head(), b"{}")
        entry.write_piece(b"goes on")
        entry.end(Outcome.COMPLETED)
        writer.close()


async def test_with_fsync_an_end_waits_for_the_disk() -> None:
    with spool() as folder:
        writer = Writer(folder, max_bytes=100 * MB, segment_bytes=SMALL, fsync=True)

        async def call() -> None:
            entry = writer.begin(new_action_id(), head(), b"{}")
            write_call(entry, [bytes(3000)])
            await entry.sync()

        await asyncio.gather(*(call() for _ in range(60)))
        writer.close()
        assert len(read_all(folder)) == 60


def test_a_folder_that_cannot_be_written_is_named() -> None:
    with pytest.raises(SpoolError, match="/proc/spool"):
        Folder(Path("/proc/spool")).prepare()


@pytest.mark.parametrize("payload", [b"\x00\x01", b"\x7f\xff"], ids=["older", "newer"])
async def test_a_segment_of_another_version_is_left_alone(payload: bytes) -> None:
    with spool() as folder:
        name = f"{'0' * 20}-000001.spool"
        frame = frames.encode_header(Kind.SEGMENT, frames.NO_CALL, 0, payload) + payload
        (folder.path / name).write_bytes(frame)
        writer = Writer(folder, max_bytes=MB)
        write_call(writer.begin(new_action_id(), head(), b"{}"), [b"{}"])
        writer.close()
        reader = Reader(folder, {})
        calls = reader.read(max_calls=9, max_bytes=MB)
        assert len(calls) == 1
        assert name not in reader.release(calls)
        assert (folder.path / name).read_bytes() == frame
        assert reader.n_left_alone == 1
