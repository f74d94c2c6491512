from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from access.actors import command_line_operator, system_user
from access.management.database_errors import describe_database_error
from capture.management.stop_arguments import add_arguments, describe_scope, scope_of
from capture.operations.stops import stop


class Command(BaseCommand):
    help = "Refuse all calls, or those of one session, agent or user, until they are resumed."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_arguments(parser)
        parser.add_argument("--reason", required=True, help="the reason, which the agents receive")

    def handle(
        self,
        *,
        session: str | None,
        agent: str | None,
        user: str | None,
        reason: str,
        **options: Any,
    ) -> None:
        scope, value = scope_of(session, agent, user)
        try:
            made, is_new = stop(
                command_line_operator(), scope, value, reason=reason, who=system_user()
            )
        except DatabaseError as error:
            raise CommandError(describe_database_error(error)) from None
        verb = "Stopped" if is_new else "Already stopped"
        self.stdout.write(f"{verb} {describe_scope(scope, value)}: {made.reason}")
