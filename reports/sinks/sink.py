"""The interface of sinks, which take each call of the ledger in the ledger's order."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Step:
    """A small amount of work that is ready to be done."""

    seq: int  # once it is done, all calls up to here are taken
    work: Any


class Sink(Protocol):
    """A sink gathers outside of any transaction, then takes in a short one: SQLite has one writer,
    for which the recorder waits, so `take` may last 100 ms at most."""

    @property
    def name(self) -> str: ...

    @property
    def in_transaction(self) -> bool:
        """True if `take` writes only to the database: it commits together with the cursor, and
        takes each call once. Others take a call again if they crash before the cursor is
        written."""

    def prepare(self) -> str | None:
        """Is called when this process begins to follow. Returns what the sink must do without."""

    def gather(self, after: int) -> Step | None:
        """Returns the next step after this seq; None where there are no calls."""

    def take(self, work: Any) -> None: ...

    def rest(self) -> bool:
        """Is called now and then while there is nothing to take. Returns whether it has more to do
        the next time, even if nobody writes to the database until then."""


class Companion(Protocol):
    """What follows no calls, and runs in the sinks' process beside them."""

    @property
    def name(self) -> str: ...

    def run(self, stop: threading.Event) -> None:
        """Runs in a thread of its own until `stop` is set."""

    def state(self) -> dict[str, Any]:
        """Returns what /readyz is to know of it, as JSON."""
