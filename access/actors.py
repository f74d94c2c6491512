"""Actors: who sends a request or starts a command, as permissions and the audit log know it."""

from __future__ import annotations

import getpass
from dataclasses import dataclass
from typing import Any, Literal

from django.http import HttpRequest

from access.roles import Role

KnownBy = Literal["header", "parameter", "form", "cookie", "place", "nothing"]
"""What an actor is known by: something that the request carries, or the place it comes from."""


@dataclass(frozen=True, slots=True)
class Actor:
    name: str  # as the audit log shows it
    role: Role | None  # None: may do nothing
    address: str | None = None
    known_by: KnownBy = "nothing"
    token_id: int | None = None

    def may(self, needed: Role) -> bool:
        return self.role is not None and self.role.includes(needed)


AGENTLEDGER_ITSELF = Actor("agentledger", None)


def unknown_actor(address: str | None) -> Actor:
    return Actor("unknown", None, address)


def key_holder(address: str | None, known_by: KnownBy) -> Actor:
    return Actor("key", Role.ADMIN, address, known_by)


def local_operator(address: str | None) -> Actor:
    return Actor("local operator", Role.ADMIN, address, "place")


def command_line_operator() -> Actor:
    name = system_user()
    return Actor(f"command of {name}" if name else "command", Role.ADMIN)


def system_user() -> str | None:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user may have no name
        return None


def actor_of(request: HttpRequest | Any) -> Actor:
    """Returns the actor that access found for a request, Django's or the REST framework's."""
    actor: Actor = getattr(request, "actor", None) or unknown_actor(None)
    return actor
