"""Keeps what agents said from the machine's other users: closes files that an earlier version, or
somebody's umask, has left open to them."""

from __future__ import annotations

import logging
import os
import re
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from capture.spool.folder import Folder

logger = logging.getLogger("agentledger.proxy")

WORLD, GROUP = 0o007, 0o070
# Files of the spool's folder. Whoever keeps other things there sets their modes himself.
OURS = re.compile(
    r".*\.(spool|carried|requeued|body|gap|json|new|lock)"
    r"|recorded|progress|attempts|stop-asked|interrupted|doorbell"
)


def close_to_others(files: Iterable[Path]) -> None:
    """Takes all rights to these files from users who are neither their owner nor in their group.
    Logs in one line each which files the group may use, and which could not be closed."""
    open_to_group, open_to_all = [], []
    for file in files:
        try:
            mode = file.stat().st_mode
            if mode & WORLD:
                file.chmod(stat.S_IMODE(mode) & ~WORLD)
        except FileNotFoundError:  # it was never there, or has been recorded and removed
            continue
        except OSError:  # it belongs to another user
            open_to_all.append(file)
            continue
        if mode & GROUP:
            open_to_group.append(file)
    if open_to_group:
        names = _describe(open_to_group)
        logger.warning("their group may use %s: remove that with chmod g=", names)
    if open_to_all:
        names = _describe(open_to_all)
        logger.warning("every user may use %s: their owner can remove that with chmod go=", names)


def _describe(files: list[Path]) -> str:
    more = f" and {len(files) - 1} more files" if len(files) > 1 else ""
    return f"{files[0]}{more}"


def database_files(database: Path | None) -> Iterator[Path]:
    """Yields the files of a SQLite database; None: it is another's."""
    if database is not None:
        yield from (database.with_name(f"{database.name}{end}") for end in ("", "-wal", "-shm"))


def spool_files(folder: Folder) -> Iterator[Path]:
    for place in (folder.path, folder.quarantine):
        if place.is_dir():
            with os.scandir(place) as entries:
                for entry in entries:
                    if OURS.fullmatch(entry.name) and not entry.is_symlink():
                        yield Path(entry.path)
