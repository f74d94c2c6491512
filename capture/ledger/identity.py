"""Which ledger this is, and whether it is still the one that a recorder has written to."""

from __future__ import annotations

from typing import NamedTuple
from uuid import UUID, uuid4

from django.db import OperationalError, connection, transaction

from capture.models import Ledger


class LedgerReplaced(OperationalError):
    """The database is another one, or was put back to an earlier state: what the spool still holds
    must be read again, from the positions that this one has."""


class Identity(NamedTuple):
    id: UUID
    is_unused: bool  # nothing was ever recorded in it


def identify() -> Identity:
    """Returns the identity of the ledger, which it gets when it is first asked for it: a database
    that is copied before it was used becomes two ledgers, and its backup is the same one. Raises
    DatabaseError, and Ledger.DoesNotExist while the tables are being created."""
    ledger = Ledger.objects.get(pk=1)
    if ledger.identity is None:
        with transaction.atomic():
            ledger = Ledger.objects.select_for_update().get(pk=1)
            ledger.identity = ledger.identity or uuid4()
            ledger.save(update_fields=["identity"])
    return Identity(ledger.identity, is_unused=ledger.last_seq == 0)


class LedgerState:
    """The ledger as a recorder left it: a database server that was put back to a backup, or whose
    replica took over, may have an earlier one."""

    def __init__(self) -> None:
        self._identity: UUID | None = None
        self._last_seq = 0

    def follow(self, ledger: Ledger) -> None:
        """Raises LedgerReplaced. `ledger` is locked."""
        if self._identity is not None and ledger.identity != self._identity:
            raise LedgerReplaced("the database was replaced by another ledger")
        if ledger.last_seq < self._last_seq:
            raise LedgerReplaced(
                f"the ledger went back from call {self._last_seq} to {ledger.last_seq}, as with an"
                " older backup; of the calls between, those are recorded again that the spool still"
                " holds"
            )

    def learn(self, ledger: Ledger) -> None:
        """Raises LedgerReplaced if what was committed is not in the database any more."""
        is_current = getattr(connection, "is_current", None)  # capture.sqlite has it
        if is_current is not None and not is_current():
            raise LedgerReplaced("the database file was deleted or replaced")
        self._identity, self._last_seq = ledger.identity, ledger.last_seq
