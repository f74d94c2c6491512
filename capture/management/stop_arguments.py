"""The arguments of `stop` and `resume` that say whose calls they are about."""

from __future__ import annotations

from argparse import ArgumentParser, ArgumentTypeError

from capture.models import FIELD_LENGTH, Stop


def add_arguments(parser: ArgumentParser) -> None:
    whose = parser.add_mutually_exclusive_group(required=True)
    whose.add_argument("--session", type=parse_name, metavar="ID")
    whose.add_argument("--agent", type=parse_name, metavar="NAME")
    whose.add_argument("--user", type=parse_name, metavar="ID")
    whose.add_argument("--all", action="store_true", help="all calls")


def parse_name(text: str) -> str:
    """Raises ArgumentTypeError."""
    if not 0 < len(text) <= FIELD_LENGTH:
        raise ArgumentTypeError(f"it must have 1 to {FIELD_LENGTH} characters")
    return text


def scope_of(session: str | None, agent: str | None, user: str | None) -> tuple[str, str]:
    """Returns the scope and the value of a stop: everything, if none of them is given."""
    named = {"session": session, "agent": agent, "user": user}
    return next(((s, v) for s, v in named.items() if v is not None), (Stop.EVERYTHING, ""))


def describe_scope(scope: str, value: str) -> str:
    return f"{scope} {value!r}" if value else "all calls"
