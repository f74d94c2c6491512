"""Whose calls a spool holds: it names the ledger that they belong to. Segments that were left by
another ledger stay as they are until that one is back."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import msgspec

from capture.spool.folder import Folder, SpoolError, replace_file


class Ownership(msgspec.Struct):
    ledger: UUID
    database: str  # its URL, without secrets
    # The writers of segments that were left by other ledgers.
    others: dict[UUID, list[str]] = {}


class ForeignSpool(SpoolError):
    """The spool is in use for another ledger."""


def file_of(folder: Folder) -> Path:
    return folder.path / "ledger.json"


def owner(folder: Folder) -> Ownership | None:
    """Returns None for a spool that no ledger has used yet."""
    try:
        return msgspec.json.decode(file_of(folder).read_bytes(), type=Ownership)
    except (FileNotFoundError, msgspec.DecodeError):  # it was never written, or is damaged
        return None


def foreign_writers(folder: Folder) -> set[str]:
    """Returns the writers whose segments belong to other ledgers."""
    known = owner(folder)
    return {writer for left in known.others.values() for writer in left} if known else set()


def claim(folder: Folder, ledger: UUID, database: str, *, is_unused: bool) -> int:
    """Makes the spool that of `ledger`, whose URL is `database`. Returns how many segments are left
    alone because they are another ledger's. Raises ForeignSpool if a living process writes them.

    A ledger that `is_unused` takes the place of the one that had the same URL: that one is gone.
    """
    known = owner(folder) or Ownership(ledger, database)
    others = dict(known.others)
    if known.ledger != ledger and not (is_unused and known.database == database):
        left = _writers(folder) - foreign_writers(folder)
        if any(_is_alive(folder, writer) for writer in left):
            raise ForeignSpool(
                f"the spool {folder.path} is that of another ledger ({known.database}): put its"
                " database back, or restart AgentLedger, which leaves those calls alone"
            )
        others[known.ledger] = [*others.get(known.ledger, ()), *sorted(left)]
    others.pop(ledger, None)
    present = _writers(folder)
    others = {id_: kept for id_, left in others.items() if (kept := sorted(present & {*left}))}
    _save(folder, Ownership(ledger, database, others))
    foreign = {writer for left in others.values() for writer in left}
    return sum(name.writer in foreign for name in folder.segments())


def disown_if_empty(folder: Folder) -> None:
    """Makes the next ledger the owner of what is spooled from now on, while it is unknown which one
    that is, unless there are calls of another."""
    if not folder.segments():
        file_of(folder).unlink(missing_ok=True)


def _writers(folder: Folder) -> set[str]:
    return {name.writer for name in folder.segments()}


def _is_alive(folder: Folder, writer: str) -> bool:
    return any(
        folder.is_locked(name.name)
        for name in folder.segments()
        if name.writer == writer and not name.is_carried
    )


def _save(folder: Folder, ownership: Ownership) -> None:
    if ownership != owner(folder):
        replace_file(file_of(folder), msgspec.json.encode(ownership))
