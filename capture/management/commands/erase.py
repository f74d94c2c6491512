from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils.dateparse import parse_date, parse_datetime
from django.utils.timezone import now

from access.actors import command_line_operator
from access.management.database_errors import describe_database_error
from capture.operations.erasure import DEFAULT, FIELDS, Selection, erase_texts

_DAYS = re.compile(r"(\d{1,6})d")


def _time(value: str) -> datetime:
    """Returns the time that `2026-01-31`, an ISO 8601 time, or an age such as `90d` means."""
    if age := _DAYS.fullmatch(value):
        return now() - timedelta(days=int(age[1]))
    try:
        day, at = parse_date(value), None
        at = datetime(day.year, day.month, day.day) if day else parse_datetime(value)
    except ValueError:
        at = None
    if at is None:
        raise ArgumentTypeError("a date, a time (ISO 8601, UTC unless it says so) or an age: 90d")
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _fields(value: str) -> list[str]:
    names = [name.strip() for name in value.split(",") if name.strip()]
    if not names or not set(names) <= set(FIELDS):
        raise ArgumentTypeError(f"a comma-separated list of {', '.join(FIELDS)}")
    return sorted(set(names))


class Command(BaseCommand):
    help = (
        "Erase texts of calls: of a session, of a user, or of all that are older. The calls stay on"
        " record, with their figures and their places in the log. Without --yes, count them only."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--session", metavar="ID", help="calls of this session")
        parser.add_argument("--user", metavar="ID", help="calls of this user")
        parser.add_argument(
            "--before", type=_time, metavar="TIME", help="calls before this date, time or age (90d)"
        )
        parser.add_argument(
            "--fields",
            type=_fields,
            default=list(DEFAULT),
            help=f"of {', '.join(FIELDS)}; {','.join(DEFAULT)} by default",
        )
        parser.add_argument("--yes", action="store_true", help="erase, for ever")

    def handle(
        self,
        *,
        session: str | None,
        user: str | None,
        before: datetime | None,
        fields: list[str],
        yes: bool,
        **options: Any,
    ) -> None:
        selection = Selection(session, user, before)
        if selection == Selection():
            raise CommandError("say which calls: --session, --user or --before")
        try:
            n_calls = selection.calls().count()
            if yes:
                n_calls = sum(erase_texts(command_line_operator(), selection, fields))
        except DatabaseError as error:
            raise CommandError(describe_database_error(error)) from None
        done = "Erased" if yes else "Would erase (--yes does it)"
        what = "call" if n_calls == 1 else "calls"
        self.stdout.write(f"{done} {', '.join(fields)} of {n_calls} {what}: {selection}")
