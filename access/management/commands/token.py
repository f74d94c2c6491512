from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils.timezone import now

from access import tokens
from access.actors import command_line_operator
from access.management.database_errors import describe_database_error
from access.models import Token
from access.roles import Role

UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1)}
MINUTE = "%Y-%m-%d %H:%M"


class Command(BaseCommand):
    help = "Make, list or revoke tokens: names with a secret and a role."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        what = parser.add_subparsers(dest="what", required=True)
        create = what.add_parser("create", help="make a token; its secret is shown this once")
        create.add_argument("name")
        create.add_argument(
            "--role",
            required=True,
            choices=[role.value for role in Role],
            help="viewer reads; editor labels, stops, deletes; admin makes tokens too; ingest only"
            " sends calls",
        )
        create.add_argument(
            "--expires", type=moment, metavar="WHEN", help="e.g. 12h, 90d or 2027-01-31"
        )
        create.add_argument("--daily-budget", type=amount, metavar="USD", help="of an ingest token")
        listed = what.add_parser("list", help="the tokens in force")
        listed.add_argument("--all", action="store_true", help="those revoked and expired too")
        revoke = what.add_parser("revoke", help="end a token, and the cookies made with it")
        revoke.add_argument("name")

    def handle(self, *, what: str, **options: Any) -> None:
        try:
            if what == "create":
                self.create(**options)
            elif what == "list":
                self.list(everything=options["all"])
            else:
                self.revoke(options["name"])
        except DatabaseError as error:
            raise CommandError(describe_database_error(error)) from None

    def create(
        self,
        *,
        name: str,
        role: str,
        expires: datetime | None,
        daily_budget: Decimal | None,
        **_: Any,
    ) -> None:
        try:
            made, secret = tokens.create(
                command_line_operator(),
                name,
                Role(role),
                expires_at=expires,
                daily_budget_usd=daily_budget,
            )
        except tokens.InvalidToken as wrong:
            raise CommandError(str(wrong)) from None
        self.stdout.write(secret)
        self.stderr.write(
            f"Made the {made.role} token {made.name!r}; this is shown once, and kept nowhere"
        )
        if role == Role.INGEST and settings.AGENTLEDGER.ingest_key is None:
            self.stderr.write(
                "note: AGENTLEDGER_INGEST_KEY is not set, so agents without a token may send calls"
                " too"
            )

    def list(self, *, everything: bool) -> None:
        at = now()
        found = Token.objects.all() if everything else Token.objects.in_force(at)
        rows = [("NAME", "ROLE", "SECRET", "STATE", "LAST USED", "EXPIRES", "DAILY BUDGET")]
        rows += [
            (
                *(token.name, token.role, f"{token.prefix}…", token.state(at)),
                *(_said(token.last_used_at), _said(token.expires_at)),
                f"${token.daily_budget_usd:.2f}" if token.daily_budget_usd is not None else "-",
            )
            for token in found.order_by("name", "id")
        ]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        for row in rows:
            cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            self.stdout.write("  ".join(cells).rstrip())

    def revoke(self, name: str) -> None:
        token = Token.objects.filter(name=name, revoked_at=None).first()
        if token is None or not tokens.revoke(command_line_operator(), token):
            raise CommandError(f"there is no token {name!r} to revoke; see `token list`")
        self.stdout.write(f"Revoked the {token.role} token {name!r}")


def moment(text: str) -> datetime:
    if found := re.fullmatch(r"([1-9][0-9]{0,4})([hd])", text):
        return now() + int(found[1]) * UNITS[found[2]]
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} is not accepted: hours as 12h, days as 90d, or a date as 2027-01-31"
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def amount(text: str) -> Decimal:
    if re.fullmatch(r"[0-9]{1,8}(\.[0-9]{1,10})?", text):
        return Decimal(text)
    raise ArgumentTypeError(
        f"{text!r} is not accepted: an amount in USD, 0 or more, e.g. 10 or 0.50"
    )


def _said(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):{MINUTE}}" if at is not None else "-"
