"""Guessing is slowed down: after a few wrong keys from one address, the next is looked at only
after a while, twice as long each time."""

from __future__ import annotations

import hashlib
import ipaddress
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

FREE_ATTEMPTS = 5
LONGEST_WAIT_S = 60.0
FORGOTTEN_AFTER_S = 15 * 60.0
MAX_ADDRESSES = 10_000
REMEMBERED = 16  # keys of one address


@dataclass(slots=True)
class _Address:
    n_wrong: int = 0
    last: float = 0.0
    closed_until: float = 0.0
    # Hashes. Programs that show one wrong key again and again guess nothing, and who was let in
    # before is not locked out by a guesser beside him.
    wrong: OrderedDict[bytes, None] = field(default_factory=OrderedDict)
    right: OrderedDict[bytes, None] = field(default_factory=OrderedDict)


class Attempts:
    def __init__(self) -> None:
        self._addresses: OrderedDict[str, _Address] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, address: str | None, shown: str) -> float:
        """How long until this key may be looked at; 0: now."""
        with self._lock:
            one = self._addresses.get(_network(address))
            if one is None or _hash(shown) in one.right:
                return 0.0
            return max(0.0, one.closed_until - time.monotonic())

    def was_right(self, address: str | None, shown: str) -> None:
        with self._lock:
            one = self._addresses.get(_network(address))
            if one is not None or len(self._addresses) < MAX_ADDRESSES:
                _remember(self._of(address).right, shown)

    def was_wrong(self, address: str | None, shown: str) -> bool:
        """Whether it is another one than those before."""
        with self._lock:
            one = self._of(address)
            one.right.pop(_hash(shown), None)
            if _hash(shown) in one.wrong:
                return False
            _remember(one.wrong, shown)
            now = time.monotonic()
            if now - one.last > FORGOTTEN_AFTER_S:
                one.n_wrong = 0
            one.n_wrong += 1
            one.last = now
            if one.n_wrong >= FREE_ATTEMPTS:
                wait = min(2.0 ** (one.n_wrong - FREE_ATTEMPTS), LONGEST_WAIT_S)
                one.closed_until = now + wait
            return True

    def _of(self, address: str | None) -> _Address:
        key = _network(address)
        one = self._addresses.setdefault(key, _Address())
        self._addresses.move_to_end(key)
        if len(self._addresses) > MAX_ADDRESSES:
            self._addresses.popitem(last=False)
        return one


def _remember(keys: OrderedDict[bytes, None], shown: str) -> None:
    keys[_hash(shown)] = None
    keys.move_to_end(_hash(shown))
    if len(keys) > REMEMBERED:
        keys.popitem(last=False)


def _hash(shown: str) -> bytes:
    return hashlib.sha256(shown.encode(errors="replace")).digest()


def _network(address: str | None) -> str:
    """An IPv6 guesser has 2⁶⁴ addresses: they count as one."""
    try:
        ip = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return ""
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is None:
        return str(ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)
