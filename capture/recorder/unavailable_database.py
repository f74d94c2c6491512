"""The recorder without its database: calls wait in the spool, and it tries again each second.

A call is set aside only if the call itself is the reason why it cannot be stored.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TypeVar

from django.conf import settings
from django.db import DataError, Error, IntegrityError, ProgrammingError, connection

from access.redaction import redact_error
from capture.ledger.identity import LedgerReplaced
from capture.models import Ledger
from capture.recorder.doorbell import Doorbell
from capture.recorder.state_file import StateFile
from capture.spool.ownership import ForeignSpool

logger = logging.getLogger("agentledger.recorder")

DATABASE_RETRY_S = 1.0
# The ledger's row is missing from a database that was not migrated, or only in part.
DATABASE_ERRORS = (Error, Ledger.DoesNotExist)
UNAVAILABLE = (*DATABASE_ERRORS, ForeignSpool)

T = TypeVar("T")


class StoppedWaiting(Exception):
    """The recorder has to end while the database is unavailable."""


class DatabaseRetry:
    def __init__(self, doorbell: Doorbell, state: StateFile) -> None:
        self._doorbell = doorbell
        self._state = state
        self._is_waiting = False

    def run(self, work: Callable[[], T]) -> T:
        """Runs `work` until the database can do it. Raises StoppedWaiting if the recorder has to
        end first. It does not wait if its proxy is gone: what is in the spool is recorded at the
        next start. Raises LedgerReplaced."""
        while True:
            try:
                result = work()
            except LedgerReplaced:
                connection.close()
                raise
            except UNAVAILABLE as error:
                self._report(error)
                connection.close()
                if self._doorbell.is_proxy_gone or self._doorbell.is_stopping:
                    raise StoppedWaiting from None
                self._doorbell.wait(DATABASE_RETRY_S)
            else:
                if self._is_waiting:
                    self._is_waiting = False
                    logger.warning("the database is available again")
                return result

    def pause(self, reason: str) -> None:
        """Waits before work that failed elsewhere is tried again. Raises StoppedWaiting."""
        self._state.write("waiting", reason=reason)
        self._doorbell.wait(DATABASE_RETRY_S)
        if self._doorbell.is_proxy_gone or self._doorbell.is_stopping:
            raise StoppedWaiting

    def _report(self, error: Exception) -> None:
        reason = redact_error(error, settings.AGENTLEDGER.dsn)
        if not self._is_waiting:
            self._is_waiting = True
            logger.warning("the database is unavailable, calls wait in the spool: %s", reason)
        self._state.write("waiting", reason=reason)


def is_caused_by_call(error: Exception) -> bool:
    """Returns True if an error of the database may be due to what a call holds. All other errors
    are due to the database: it is unavailable, read-only or damaged, or tables or rights are
    missing."""
    if isinstance(error, ProgrammingError):
        # The server has codes for what it refuses; a driver that cannot send a value has none.
        return getattr(error.__cause__, "sqlstate", None) is None
    return not isinstance(error, DATABASE_ERRORS) or isinstance(error, DataError | IntegrityError)
