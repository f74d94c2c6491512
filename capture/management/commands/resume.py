from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from access.actors import command_line_operator
from access.management.database_errors import describe_database_error
from capture.management.stop_arguments import add_arguments, describe_scope, scope_of
from capture.operations.stops import resume


class Command(BaseCommand):
    help = "Lift the stop of all calls, or of the calls of one session, agent or user."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        add_arguments(parser)

    def handle(
        self, *, session: str | None, agent: str | None, user: str | None, **options: Any
    ) -> None:
        scope, value = scope_of(session, agent, user)
        try:
            n_lifted = resume(command_line_operator(), scope, value)
        except DatabaseError as error:
            raise CommandError(describe_database_error(error)) from None
        what = describe_scope(scope, value)
        self.stdout.write(f"Resumed {what}" if n_lifted else f"No stop of {what} was in force")
