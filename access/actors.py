"""Who acts: shown in the audit log, and asked for what it may."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from typing import Any, Literal

from django.http import HttpRequest

from access.roles import Role

Known = Literal["header", "parameter", "form", "cookie", "place", "nothing"]
"""How an actor is known: by what it showed, or by the place from which it asks."""


@dataclass(frozen=True, slots=True)
class Actor:
    name: str  # as the audit log tells it
    role: Role | None  # None: may nothing
    address: str | None = None
    known_by: Known = "nothing"
    token_id: int | None = None

    def may(self, needed: Role) -> bool:
        return self.role is not None and self.role.includes(needed)


AGENTLEDGER = Actor("agentledger", None)


def nobody(address: str | None) -> Actor:
    return Actor("unknown", None, address)


def with_the_key(address: str | None, known_by: Known) -> Actor:
    return Actor("key", Role.ADMIN, address, known_by)


def local_operator(address: str | None) -> Actor:
    return Actor("local operator", Role.ADMIN, address, "place")


def on_the_command_line() -> Actor:
    name = system_user()
    return Actor(f"command of {name}" if name else "command", Role.ADMIN)


def system_user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return None


def actor_of(request: HttpRequest | Any) -> Actor:
    """Of Django's requests and of those of the REST framework."""
    actor: Actor = getattr(request, "actor", None) or nobody(None)
    return actor
