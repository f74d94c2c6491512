"""Roles. Each role except `ingest` includes the one before it."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    INGEST = "ingest"  # sends calls, reads nothing
    VIEWER = "viewer"  # reads
    EDITOR = "editor"  # labels, stops, deletes
    ADMIN = "admin"  # tokens, the audit log, settings

    def includes(self, needed: Role) -> bool:
        if Role.INGEST in (self, needed):
            return self is needed
        return RISING.index(self) >= RISING.index(needed)


RISING = (Role.VIEWER, Role.EDITOR, Role.ADMIN)
