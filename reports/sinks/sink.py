"""What a sink is: something that takes each call of the ledger, in the ledger's order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Step:
    """A small piece of work, ready to be done."""

    seq: int  # all calls up to here are taken once it is done
    work: Any


class Sink(Protocol):
    """Gathers outside of any transaction, then takes in a short one: SQLite has one writer, and the
    recorder waits for it, so that `take` may last 100 ms at most."""

    @property
    def name(self) -> str: ...

    @property
    def in_transaction(self) -> bool:
        """Whether `take` writes to the database alone: then it commits with the cursor, and takes
        each call once. Others take a call again if they die before the cursor is written."""

    def prepare(self) -> str | None:
        """Called when this process begins to follow. Says what the sink must do without."""

    def gather(self, after: int) -> Step | None:
        """The next step after this seq; None where there are no calls."""

    def take(self, work: Any) -> None: ...

    def rest(self) -> None:
        """Called now and then while there is nothing to take."""
