"""Maintenance of the database: migrations, the purge of what was deleted, SQLite's log."""

from __future__ import annotations

import contextlib
import logging
import os

from django.core.management import call_command
from django.db import OperationalError, connection
from django.db.migrations.executor import MigrationExecutor

from capture.ledger.bulk_sql import chunks
from capture.ledger.log import audit_trail
from capture.ledger.purge import purge_step
from capture.models import Tombstone
from capture.recorder.unavailable_database import DATABASE_ERRORS
from capture.spool import quarantine
from capture.spool.folder import Folder

logger = logging.getLogger("agentledger.recorder")

WAL_LIMIT = 64 * 1024 * 1024


def migrate() -> None:
    """Brings the database's tables up to date."""
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", interactive=False, verbosity=0)


class Purge:
    """Removes calls and sessions that were deleted, one step at a time, and what the quarantine has
    of them."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._has_removed = True  # the recorder before this one may have died in between

    def step(self) -> bool:
        """Returns whether there may be more to remove at once. What fails is tried again when the
        recorder wakes up next."""
        try:
            removed = purge_step()
            if self._has_removed and not removed:
                self._remove_from_quarantine()
        except DATABASE_ERRORS as error:
            connection.close()
            logger.warning("deleted calls could not be erased yet: %s", error)
            return False
        if self._has_removed and not removed:
            _truncate_wal()  # the log still has the pages as they were
        self._has_removed = removed
        return removed

    def _remove_from_quarantine(self) -> None:
        calls = [call.action_id for call in quarantine.set_aside_calls(self._folder)]
        for some in chunks(calls):
            deleted = Tombstone.objects.filter(pk__in=some).values_list("pk", flat=True)
            for action_id in deleted:
                quarantine.remove(self._folder, action_id)


class AuditTrail:
    """Copies the entries of the audit log to the ledger's log."""

    def __init__(self) -> None:
        self._known = 0

    def step(self) -> bool:
        """Returns whether there may be more to copy at once."""
        try:
            self._known, has_more = audit_trail.follow_step(self._known)
        except DATABASE_ERRORS as error:
            connection.close()
            logger.warning("the audit log could not be followed yet: %s", error)
            return False
        return has_more


def keep_wal_short() -> None:
    """Truncates SQLite's log when it is long: it only grows while somebody reads."""
    if connection.vendor != "sqlite":
        return
    try:
        size = os.stat(f"{connection.settings_dict['NAME']}-wal").st_size
    except FileNotFoundError:
        return
    if size > WAL_LIMIT:
        _truncate_wal()


def _truncate_wal() -> None:
    """Does nothing while a reader uses the log; the next time will do."""
    if connection.vendor == "sqlite":
        with contextlib.suppress(OperationalError), connection.cursor() as cursor:
            cursor.execute("PRAGMA wal_checkpoint(TRUNCATE)")
