"""The files of a SQLite database: which ones the path names now, and the creation of the first."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

FileId = tuple[int, int]
"""Device and inode: a file that is deleted or replaced has others at its path, or none."""


class Files(NamedTuple):
    """What the path of a database names; None: nothing, or a database without a byte, which it is
    only before it is opened the first time."""

    main: FileId | None
    wal: FileId | None  # its log, which has the latest commits
    shm: FileId | None  # the index of the log, shared by all that have the database open

    @classmethod
    def at(cls, path: str) -> Files:
        main, wal, shm = _paths(path)
        return cls(_file_id(main, or_empty=False), _file_id(wal), _file_id(shm))

    def is_part_of(self, other: Files) -> bool:
        """Returns whether `other` has these files, and perhaps more."""
        return all(mine in (None, its) for mine, its in zip(self, other, strict=True))

    def left_log_to(self, other: Files) -> bool:
        """Returns whether `other` is another database, at whose path the log is still this one's:
        SQLite would apply it to the other."""
        return self.wal is not None and self.wal == other.wal and self.main != other.main

    def lost_log_to(self, other: Files) -> bool:
        """Returns whether `other` is the same database without the log that this one has."""
        return self.main == other.main and not self.is_part_of(other)


def create_if_missing(path: Path | None) -> None:
    """Creates an empty database; None: it is not a SQLite file. Connections never do: a file that
    is missing while AgentLedger runs was moved or deleted, and an empty one must not take its place
    unasked. Raises OSError."""
    if path is None:
        return
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


@contextlib.contextmanager
def leaving(left: Files, path: str) -> Iterator[None]:
    """Within it, connections to a database that another one has replaced can be closed. Afterwards
    the path has no log of the one that was left.

    SQLite removes the log with the last connection, and by its name: this may be the name of the
    new database's log by now. So that one has a second name meanwhile. Raises OSError.
    """
    with _alone_in_folder(path):
        logs = list(zip(_paths(path)[1:], left[1:], strict=True))
        for name, id_ in logs:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(_second(name))  # of a process that died here
            if _file_id(name) not in (None, id_):
                os.link(name, _second(name))
        try:
            yield
        finally:
            for name, id_ in logs:
                if id_ is not None and _file_id(name) == id_:
                    os.unlink(name)
                with contextlib.suppress(FileNotFoundError, FileExistsError):
                    os.link(_second(name), name)
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(_second(name))


def _second(name: str) -> str:
    return f"{name}.kept"


@contextlib.contextmanager
def _alone_in_folder(path: str) -> Iterator[None]:
    """Two processes may find at once that the database was replaced."""
    descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _paths(path: str) -> tuple[str, str, str]:
    return path, f"{path}-wal", f"{path}-shm"


def _file_id(path: str, *, or_empty: bool = True) -> FileId | None:
    try:
        found = os.stat(path)
    except OSError:  # it does not exist, or its folder does not
        return None
    return (found.st_dev, found.st_ino) if or_empty or found.st_size else None
