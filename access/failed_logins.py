"""Failed log-ins in the audit log: one by one, until they are a flood; then one entry tells of
many. Whoever guesses cannot fill the log."""

from __future__ import annotations

import logging
import threading
import time
from datetime import datetime

from django.db import DatabaseError
from django.utils.timezone import now

from access import audit
from access.actors import Known, nobody

logger = logging.getLogger("agentledger.access")

AT_ONCE = 50
WINDOW_S = 600.0

_lock = threading.Lock()
_began = float("-inf")
_since: datetime | None = None
_n_recorded = 0
_n_more = 0


def failed(address: str | None, known_by: Known, *, is_new: bool) -> None:
    """`is_new`: not the same wrong key as before, from the same address."""
    global _n_recorded
    tell()
    with _lock:
        own_entry = is_new and _n_recorded < AT_ONCE
        _n_recorded += own_entry
    if not own_entry:
        slowed()
        return
    try:
        audit.record(nobody(address), "sign_in.failed", "", shown_as=known_by)
    except DatabaseError as error:
        logger.warning("a failed log-in from %s is not in the audit log: %s", address, error)


def slowed() -> None:
    global _n_more
    with _lock:
        _n_more += 1


def tell(*, all_: bool = False) -> None:
    """Record those that had no entry of their own, once their time is over."""
    global _began, _since, _n_recorded, _n_more
    with _lock:
        if not all_ and time.monotonic() - _began < WINDOW_S:
            return
        n_more, since = _n_more, _since
        _began, _since, _n_recorded, _n_more = time.monotonic(), now(), 0, 0
    if not n_more:
        return
    try:
        audit.record(nobody(None), "sign_in.failed", "", n=n_more, since=since)
    except DatabaseError as error:
        with _lock:
            _n_more += n_more
        logger.warning("%d failed log-ins wait for the audit log: %s", n_more, error)
