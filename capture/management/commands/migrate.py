from __future__ import annotations

from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import CommandError
from django.core.management.commands.migrate import Command as DjangoCommand
from django.db import connection
from django.db.migrations.loader import MigrationLoader

from access.redaction import redact_url
from capture.sqlite.files import create_if_missing


class Command(DjangoCommand):
    """Django's command, which refuses a database of another version instead of failing halfway.
    Proxy and recorder call it at their start."""

    def handle(self, *args: Any, **options: Any) -> None:
        create_if_missing(settings.AGENTLEDGER.sqlite_path)
        foreign = find_foreign_migration()
        if foreign is not None:
            raise CommandError(
                f"the database {redact_url(settings.AGENTLEDGER.dsn)} cannot be used: its tables"
                f" were created by another version of AgentLedger (migration {foreign}); keep it,"
                " and set AGENTLEDGER_DSN to a new database"
            )
        super().handle(*args, **options)


def find_foreign_migration() -> str | None:
    """Returns the name of a migration of our apps that was applied and that this version does not
    have. Raises DatabaseError."""
    loader = MigrationLoader(connection)
    ours = {app.label for app in apps.get_app_configs() if not app.name.startswith("django.")}
    foreign = (
        f"{app}.{name}"
        for app, name in sorted(loader.applied_migrations)
        if app in ours and (app, name) not in loader.disk_migrations
    )
    return next(foreign, None)
