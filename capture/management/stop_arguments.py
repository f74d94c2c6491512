"""Whose calls `stop` and `resume` are about."""

from __future__ import annotations

from argparse import ArgumentParser

from capture.models import FIELD_LENGTH, Stop


def add_arguments(parser: ArgumentParser) -> None:
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--session", type=name, metavar="ID")
    whose.add_argument("--agent", type=name, metavar="NAME")
    whose.add_argument("--user", type=name, metavar="ID")
    whose.add_argument("--all", action="store_true", help="all calls")


def name(text: str) -> str:
    if not 0 < len(text) <= FIELD_LENGTH:
        raise ValueError
    return text


def scope_of(session: str | None, agent: str | None, user: str | None) -> tuple[str, str]:
    """Scope and value; none of them given: everything."""
    named = {"session": session, "agent": agent, "user": user}
    return next(((s, v) for s, v in named.items() if v is not None), (Stop.EVERYTHING, ""))


def describe_scope(scope: str, value: str) -> str:
    return f"{scope} {value!r}" if value else "all calls"
