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
    help = "Create, list or revoke tokens: named secrets with a role."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        subcommands = parser.add_subparsers(dest="subcommand", required=True)
        create = subcommands.add_parser("create", help="create a token and show its secret, once")
        create.add_argument("name")
        create.add_argument(
            "--role",
            required=True,
            choices=[role.value for role in Role],
            help="viewer reads; editor also labels, stops and deletes; admin also manages tokens;"
            " ingest only sends calls",
        )
        create.add_argument(
            "--expires", type=parse_expiry, metavar="WHEN", help="e.g. 12h, 90d or 2027-01-31"
        )
        create.add_argument(
            "--daily-budget", type=parse_usd, metavar="USD", help="budget of an ingest token"
        )
        list_ = subcommands.add_parser("list", help="list the tokens in force")
        list_.add_argument("--all", action="store_true", help="include revoked and expired tokens")
        revoke = subcommands.add_parser(
            "revoke", help="revoke a token, and sign out the browsers that used it"
        )
        revoke.add_argument("name")

    def handle(self, *, subcommand: str, **options: Any) -> None:
        try:
            if subcommand == "create":
                self.create(**options)
            elif subcommand == "list":
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
            token, secret = tokens.create(
                command_line_operator(),
                name,
                Role(role),
                expires_at=expires,
                daily_budget_usd=daily_budget,
            )
        except tokens.InvalidToken as error:
            raise CommandError(str(error)) from None
        self.stdout.write(secret)
        self.stderr.write(
            f"Created the {token.role} token {token.name!r}; its secret is shown once, and stored"
            " nowhere"
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
                *(_format_time(token.last_used_at), _format_time(token.expires_at)),
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
            raise CommandError(f"no token {name!r} is in force; see `token list`")
        self.stdout.write(f"Revoked the {token.role} token {name!r}")


def parse_expiry(text: str) -> datetime:
    if found := re.fullmatch(r"([1-9][0-9]{0,4})([hd])", text):
        return now() + int(found[1]) * UNITS[found[2]]
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ArgumentTypeError(
            f"{text!r} is not accepted: use hours (12h), days (90d) or a date (2027-01-31)"
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def parse_usd(text: str) -> Decimal:
    if re.fullmatch(r"[0-9]{1,8}(\.[0-9]{1,10})?", text):
        return Decimal(text)
    raise ArgumentTypeError(
        f"{text!r} is not accepted: use an amount in USD, 0 or more, e.g. 10 or 0.50"
    )


def _format_time(at: datetime | None) -> str:
    return f"{at.astimezone(UTC):{MINUTE}}" if at is not None else "-"
