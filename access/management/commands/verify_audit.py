from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from access import audit
from access.management.database_errors import describe_database_error


class Command(BaseCommand):
    help = "Verify that the audit log is intact; name the first entry that was changed or removed."
    requires_system_checks: list[str] = []

    def handle(self, **options: Any) -> None:
        try:
            n_entries = audit.verify()
        except audit.BrokenChain as broken:
            raise CommandError(f"the audit log is broken: {broken}") from None
        except DatabaseError as error:
            raise CommandError(describe_database_error(error)) from None
        self.stdout.write(f"The audit log is intact: {n_entries} entries, none changed or missing")
