"""Wrong keys: guessing is slowed down, and the audit log records who failed to sign in.

After a few wrong keys from one address the next one is checked only after a while, which doubles
each time. The first failures of a while have an audit entry each, the others share one: guessing
cannot fill the log.
"""

from __future__ import annotations

import hashlib
import ipaddress
import logging
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime

from django.db import DatabaseError
from django.utils.timezone import now

from access import audit
from access.actors import KnownBy, unknown_actor
from access.request_checks import parse_address

logger = logging.getLogger("agentledger.access")

FREE_ATTEMPTS = 5
LONGEST_WAIT_S = 60.0
FORGOTTEN_AFTER_S = 15 * 60.0
MAX_ADDRESSES = 10_000
MAX_KEYS_PER_ADDRESS = 16

OWN_ENTRIES = 50
WINDOW_S = 600.0


# --- slowing down ---


@dataclass(slots=True)
class _Address:
    n_wrong: int = 0
    last: float = 0.0
    closed_until: float = 0.0
    # Hashes of keys. A program that sends the same wrong key again and again guesses nothing, and
    # a user who was let in before is not locked out by somebody who guesses from the same address.
    wrong: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    right: OrderedDict[bytes, None] = field(default_factory=OrderedDict)


class LoginThrottle:
    """Decides how long a source waits until its next key is checked: an address, or a browser that
    is known by its device cookie."""

    def __init__(self) -> None:
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, source: str | None, secret: str) -> float:
        """Returns the seconds until this key may be checked; 0 if it may be at once."""
        with self._lock:
            known = self._addresses.get(_bucket(source))
            if known is None or _hash(secret) in known.right:
                return 0.0
            return max(0.0, known.closed_until - time.monotonic())

    def note_right(self, source: str | None, secret: str) -> None:
        with self._lock:
            is_known = _bucket(source) in self._addresses
            if is_known or len(self._addresses) < MAX_ADDRESSES:
                _remember(self._find_or_add(source).right, secret)

    def note_wrong(self, source: str | None, secret: str) -> bool:
        """Returns whether the key differs from the last wrong ones of this source."""
        with self._lock:
            known = self._find_or_add(source)
            known.right.pop(_hash(secret), None)
            if _hash(secret) in known.wrong:
                return False
            _remember(known.wrong, secret)
            at = time.monotonic()
            if at - known.last > FORGOTTEN_AFTER_S:
                known.n_wrong = 0
            known.n_wrong += 1
            known.last = at
            if known.n_wrong >= FREE_ATTEMPTS:
                wait = min(2.0 ** (known.n_wrong - FREE_ATTEMPTS), LONGEST_WAIT_S)
                known.closed_until = at + wait
            return True

    def _find_or_add(self, source: str | None) -> _Address:
        key = _bucket(source)
        known = self._addresses.setdefault(key, _Address())
        self._addresses.move_to_end(key)
        if len(self._addresses) > MAX_ADDRESSES:
            self._addresses.popitem(last=False)
        return known


def _remember(keys: OrderedDict[bytes, None], secret: str) -> None:
    keys[_hash(secret)] = None
    keys.move_to_end(_hash(secret))
    if len(keys) > MAX_KEYS_PER_ADDRESS:
        keys.popitem(last=False)


def _hash(secret: str) -> bytes:
    return hashlib.sha256(secret.encode(errors="replace")).digest()


def _bucket(source: str | None) -> str:
    """Returns the source, or the /64 network of an IPv6 address: one host has 2⁶⁴ of these."""
    ip = parse_address(source)
    if ip is None:
        return source or ""
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)


# --- the audit log ---

_lock = threading.Lock()
_window_began = float("-inf")
_since: datetime | None = None
_n_recorded = 0
_n_unrecorded = 0


def record_failure(address: str | None, known_by: KnownBy, *, is_new: bool) -> None:
    """Records a wrong key. `is_new` is false if this address just sent the same key before."""
    global _n_recorded
    record_flood()
    with _lock:
        has_own_entry = is_new and _n_recorded < OWN_ENTRIES
        _n_recorded += has_own_entry
    if not has_own_entry:
        count_failure()
        return
    try:
        audit.record(unknown_actor(address), "sign_in.failed", "", shown_as=known_by)
    except DatabaseError as error:
        logger.warning("a failed sign-in from %s is not in the audit log: %s", address, error)


def count_failure() -> None:
    """Counts a failure without an entry of its own, such as a key that was not even checked."""
    global _n_unrecorded
    with _lock:
        _n_unrecorded += 1


def record_flood(*, is_last: bool = False) -> None:
    """Records the failures without an entry of their own, once their window is over or, with
    `is_last`, at once."""
    global _window_began, _since, _n_recorded, _n_unrecorded
    with _lock:
        if not is_last and time.monotonic() - _window_began < WINDOW_S:
            return
        n_unrecorded, since = _n_unrecorded, _since
        _window_began, _since, _n_recorded, _n_unrecorded = time.monotonic(), now(), 0, 0
    if not n_unrecorded:
        return
    try:
        audit.record(unknown_actor(None), "sign_in.failed", "", n=n_unrecorded, since=since)
    except DatabaseError as error:
        with _lock:
            _n_unrecorded += n_unrecorded
        logger.warning("%d failed sign-ins wait for the audit log: %s", n_unrecorded, error)
