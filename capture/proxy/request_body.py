"""A call's request body, taken whole before it is forwarded: small ones in memory, large ones in a
file beside the spool."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any
from uuid import UUID

from capture.spool.folder import SpoolError
from capture.spool.writer import SpoolFull, Writer

Receive = Callable[[], Awaitable[dict[str, Any]]]

IN_MEMORY = 1024 * 1024
READ_SIZE = 256 * 1024


class AgentLeft(Exception):
    """The agent hung up before its request was complete."""


@dataclass(slots=True)
class Body:
    """What came of a body: what `file` holds where it is set, then `data`."""

    data: bytes
    size: int
    file: Path | None = None
    more: bool = False  # the rest is still to come

    @property
    def is_in_memory(self) -> bool:
        """Whether `data` is the whole body."""
        return self.file is None and not self.more

    def content(self) -> bytes | AsyncIterator[bytes]:
        return self.data if self.file is None else self._pieces(self.file)

    async def _pieces(self, path: Path) -> AsyncIterator[bytes]:
        with path.open("rb") as file:
            while piece := file.read(READ_SIZE):
                yield piece
        if self.data:
            yield self.data

    def discard(self) -> None:
        if self.file is not None:
            self.file.unlink(missing_ok=True)


class NoRoom(SpoolError):
    """The body cannot be kept. `taken` is what has come of it: the caller discards it."""

    def __init__(self, reason: SpoolError, taken: Body) -> None:
        super().__init__(str(reason))
        self.taken = taken


async def taken_whole(receive: Receive, writer: Writer, action_id: UUID) -> Body:
    """Raises AgentLeft, NoRoom."""
    message = await receive()
    if message["type"] == "http.request" and not message.get("more_body"):
        data: bytes = message.get("body", b"")
        if len(data) <= IN_MEMORY:
            return Body(data, len(data))
    pieces, size = [], 0
    while True:
        if message["type"] == "http.disconnect":
            raise AgentLeft
        piece = message.get("body", b"")
        pieces.append(piece)
        size += len(piece)
        if size > IN_MEMORY:
            more = message.get("more_body", False)
            return await _into_file(b"".join(pieces), receive, writer, action_id, more=more)
        if not message.get("more_body"):
            return Body(b"".join(pieces), size)
        message = await receive()


async def in_memory(receive: Receive) -> Body:
    """Of a body that is kept nowhere: all of a small one, the beginning of another."""
    pieces, size, more = [], 0, True
    while more and size <= IN_MEMORY:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise AgentLeft
        pieces.append(message.get("body", b""))
        size += len(pieces[-1])
        more = message.get("more_body", False)
    return Body(b"".join(pieces), size, more=more)


async def _into_file(
    data: bytes, receive: Receive, writer: Writer, action_id: UUID, *, more: bool
) -> Body:
    path = writer.folder.body_path(action_id)
    body = Body(data, 0, None, more)
    try:
        with _made(path) as file:
            body.file = path
            while True:
                _append(file, body.data, writer)
                body.size += len(body.data)
                if not body.more:
                    break
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise AgentLeft
                body.data = message.get("body", b"")
                body.more = message.get("more_body", False)
            if writer.fsync:
                await asyncio.to_thread(os.fsync, file.fileno())
    except SpoolError as error:
        writer.took(-body.size)
        raise NoRoom(error, body) from error
    except BaseException:
        writer.took(-body.size)
        body.discard()
        raise
    body.data = b""
    return body


def _made(path: Path) -> FileIO:
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
    writer.took(len(data))


async def as_it_comes(receive: Receive) -> AsyncIterator[bytes]:
    """The body piece by piece, for what is not recorded. Raises AgentLeft."""
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise AgentLeft
        piece = message.get("body", b"")
        more = message.get("more_body", False)
        if piece:
            yield piece
