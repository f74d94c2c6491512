"""The quarantine: a folder in the spool's with the calls that could not be recorded in full, each
with all its bytes, and with damaged bytes of segments, which are in files of their own.

A call has up to three files, which have its id in their names: `….carried` with its records, which
comes last when it is set aside, `….body` and `….json`, which says why.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from capture.spool import ownership
from capture.spool.folder import CARRIED, Folder, SpoolError, new_writer


@dataclass(frozen=True, slots=True)
class SetAside:
    """A call in quarantine."""

    action_id: UUID
    reason: str
    at: float | None  # seconds since 1970; None: it is not known
    size: int  # bytes of its files


def add_call(
    folder: Folder, action_id: UUID, reason: str, writer: str, records: Iterable[bytes]
) -> None:
    """Copies a call: `records` are the bytes of a segment with its records alone. Adding it again
    replaces it. Raises OSError."""
    folder.quarantine.mkdir(mode=0o700, exist_ok=True)
    paths = _Paths(folder, action_id)
    with contextlib.suppress(FileNotFoundError, FileExistsError):
        os.link(folder.body_path(action_id), paths.body)
    said = {"reason": reason, "at": time.time(), "ledger": _ledger(folder)}
    paths.reason.write_text(json.dumps(said))
    target = folder.quarantine / folder.carried_path(writer, action_id.bytes).name
    unnamed = target.with_suffix(".new")
    with unnamed.open("wb") as file:
        for data in records:
            file.write(data)
        file.flush()
        os.fdatasync(file.fileno())
    for other in paths.records():  # of another writer: the call was requeued before
        other.unlink()
    unnamed.rename(target)


def add_gap(folder: Folder, name: str, gap: bytes) -> Path:
    """Keeps damaged bytes. Raises OSError."""
    folder.quarantine.mkdir(mode=0o700, exist_ok=True)
    target = folder.quarantine / f"{name}.gap"
    target.write_bytes(gap)
    return target


def count(folder: Folder) -> tuple[int, int]:
    """Returns the number of calls, and of gaps."""
    try:
        names = os.listdir(folder.quarantine)
    except FileNotFoundError:
        return 0, 0
    return sum(name.endswith(".carried") for name in names), sum(
        name.endswith(".gap") for name in names
    )


def set_aside_calls(folder: Folder) -> list[SetAside]:
    """Returns all calls, in the order in which they began."""
    return sorted(
        (_describe(folder, action_id) for action_id in _action_ids(folder)),
        key=lambda call: call.action_id,
    )


def put_back(folder: Folder, action_id: UUID) -> bool:
    """Moves a call back into the spool, so that the recorder reads it again. Returns whether there
    was such a call. May be stopped at any point and called again. Raises OSError, and SpoolError
    for a call of another ledger than the spool's."""
    paths = _Paths(folder, action_id)
    records = paths.records()
    if not records:
        return False
    if paths.said().get("ledger", _ledger(folder)) != _ledger(folder):
        raise SpoolError(f"call {action_id} is another ledger's: requeue it with that database")
    # The body first, and its name here last: without it the call would be read without its body.
    with contextlib.suppress(FileNotFoundError, FileExistsError):
        os.utime(paths.body)  # the recorder removes old files that no call refers to
        os.link(paths.body, folder.body_path(action_id))
    # Another name each time, since the ledger may know a position in the file of that name.
    writer = new_writer(time.time_ns())
    records[0].rename(folder.path / f"{writer}-{action_id.hex}.requeued")
    paths.remove()
    return True


def remove(folder: Folder, action_id: UUID) -> None:
    _Paths(folder, action_id).remove()


def _action_ids(folder: Folder) -> set[UUID]:
    try:
        names = os.listdir(folder.quarantine)
    except FileNotFoundError:
        return set()
    return {UUID(match["action_id"]) for match in map(CARRIED.fullmatch, names) if match}


def _describe(folder: Folder, action_id: UUID) -> SetAside:
    paths = _Paths(folder, action_id)
    size = sum(path.stat().st_size for path in (*paths.records(), paths.body) if path.exists())
    said = paths.said()
    return SetAside(action_id, said.get("reason", "it is not known"), said.get("at"), size)


def _ledger(folder: Folder) -> str | None:
    """Returns the ledger that the spool's calls belong to; None: it is not known yet."""
    known = ownership.owner(folder)
    return str(known.ledger) if known else None


class _Paths:
    """The files of a call in quarantine."""

    def __init__(self, folder: Folder, action_id: UUID) -> None:
        self._folder = folder.quarantine
        self._id = action_id.hex
        self.body = self._folder / f"{self._id}.body"
        self.reason = self._folder / f"{self._id}.json"

    def records(self) -> list[Path]:
        return sorted(self._folder.glob(f"*-{self._id}.carried"))

    def said(self) -> dict[str, Any]:
        """Returns what was noted as the call was set aside; nothing, if that is lost."""
        try:
            said: dict[str, Any] = json.loads(self.reason.read_text())
        except (OSError, ValueError):
            return {}
        return said

    def remove(self) -> None:
        for path in (*self.records(), self.body, self.reason):
            path.unlink(missing_ok=True)
