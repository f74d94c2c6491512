"""A call's request body, read as a whole before it is forwarded: small ones into memory, large ones
into a file beside the spool."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from uuid import UUID

from capture.proxy.asgi_types import Receive
from capture.spool.folder import SpoolError
from capture.spool.writer import SpoolFull, Writer
from capture.wire.types import Unreadable

MAX_IN_MEMORY = 1024 * 1024
READ_SIZE = 256 * 1024
PIECE = 64 * 1024


class AgentHungUp(Exception):
    """The agent hung up before its request was complete."""


@dataclass(slots=True)
class RequestBody:
    """What has been read of a body: the contents of `file`, where there is one, then `data`."""

    data: bytes
    size: int
    file: Path | None = None
    has_more: bool = False  # the rest is still to come

    @property
    def is_in_memory(self) -> bool:
        """Is true if `data` is the whole body."""
        return self.file is None and not self.has_more

    def content(self) -> bytes | AsyncIterator[bytes]:
        return self.data if self.file is None else self._read_file(self.file)

    def pieces(self) -> Iterator[bytes]:
        """Yields the body in small pieces. Raises Unreadable where the rest is still to come."""
        if self.file is not None:
            with self.file.open("rb") as file:
                while piece := file.read(PIECE):
                    yield piece
        for start in range(0, len(self.data), PIECE):
            yield self.data[start : start + PIECE]
        if self.has_more:
            raise Unreadable("only its beginning can be read while the spool is full")

    async def _read_file(self, path: Path) -> AsyncIterator[bytes]:
        with path.open("rb") as file:
            while block := file.read(READ_SIZE):
                yield block
        if self.data:
            yield self.data

    def discard(self) -> None:
        if self.file is not None:
            self.file.unlink(missing_ok=True)


class NoRoom(SpoolError):
    """The body does not fit into the spool. `received` is what has come of it; the caller discards
    it."""

    def __init__(self, reason: SpoolError, received: RequestBody) -> None:
        super().__init__(str(reason))
        self.summary = reason.summary
        self.received = received


async def read_body(receive: Receive, writer: Writer, action_id: UUID) -> RequestBody:
    """Raises AgentHungUp, NoRoom."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        data: bytes = message.get("body", b"")
        if len(data) <= MAX_IN_MEMORY:
            return RequestBody(data, len(data))
    chunks, size = [], 0
    while True:
        if message["type"] == "http.disconnect":
            raise AgentHungUp
        chunk = message.get("body", b"")
        chunks.append(chunk)
        size += len(chunk)
        has_more = message.get("more_body", False)
        if size > MAX_IN_MEMORY:
            start = RequestBody(b"".join(chunks), 0, has_more=has_more)
            return await _read_into_file(start, receive, writer, action_id)
        if not has_more:
            return RequestBody(b"".join(chunks), size)
        message = await receive()


async def read_beginning(receive: Receive) -> RequestBody:
    """Returns all of a small body, or the beginning of a large one, for a call that is not
    recorded. Raises AgentHungUp."""
    chunks, size, has_more = [], 0, True
    while has_more and size <= MAX_IN_MEMORY:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise AgentHungUp
        chunks.append(message.get("body", b""))
        size += len(chunks[-1])
        has_more = message.get("more_body", False)
    return RequestBody(b"".join(chunks), size, has_more=has_more)


async def stream_body(receive: Receive) -> AsyncIterator[bytes]:
    """Yields the body as it comes, for a call that is not recorded. Raises AgentHungUp."""
    has_more = True
    while has_more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise AgentHungUp
        chunk = message.get("body", b"")
        has_more = message.get("more_body", False)
        if chunk:
            yield chunk


async def _read_into_file(
    body: RequestBody, receive: Receive, writer: Writer, action_id: UUID
) -> RequestBody:
    """`body` is what has been read so far, in memory; its size is counted here."""
    path = writer.folder.body_path(action_id)
    try:
        with _create(path) as file:
            body.file = path
            while True:
                _append(file, body.data, writer)
                body.size += len(body.data)
                if not body.has_more:
                    break
                # What has come is there at once: other calls go on between two blocks.
                await asyncio.sleep(0)
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise AgentHungUp
                body.data = message.get("body", b"")
                body.has_more = message.get("more_body", False)
            if writer.fsync:
                await asyncio.to_thread(os.fsync, file.fileno())
    except SpoolError as error:
        writer.add_bytes(-body.size)
        raise NoRoom(error, body) from error
    except BaseException:  # the agent hung up, or the call is cancelled
        writer.add_bytes(-body.size)
        body.discard()
        raise
    body.data = b""
    return body


def _create(path: Path) -> FileIO:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    try:
        return FileIO(os.open(path, flags, 0o600), "w")
    except OSError as error:
        raise SpoolError(f"{path} cannot be written: {error}") from error


def _append(file: FileIO, data: bytes, writer: Writer) -> None:
    if not writer.has_room():
        raise SpoolFull(f"the spool {writer.folder.path} is full, or its disk is")
    view, start = memoryview(data), file.tell()
    try:
        while view:
            view = view[file.write(view) :]
    except OSError as error:
        file.truncate(start)
        raise SpoolError(f"the spool {writer.folder.path} cannot be written: {error}") from error
    writer.add_bytes(len(data))
