"""Refusals are recorded one by one until they become a flood: then one record stands for many."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

from capture.admission.decision import Refused
from capture.exchange import RequestHead

RECORDED_ONE_BY_ONE = 1000  # in a window
WINDOW_S = 10.0
# Agents choose the keys of refusals. Beyond this number of keys, all others share one.
MAX_KEYS = 1000

Key = tuple[str, str | None]


@dataclass(slots=True)
class _Window:
    began: float
    n_recorded: int = 0
    n_more: int = 0  # those that were only counted
    refused: Refused | None = None  # the last of them
    head: RequestHead | None = None  # the fields that all of them share


@dataclass(frozen=True, slots=True)
class Flood:
    """`head` says how many calls it stands for, and has the fields that they all share."""

    message: str
    head: RequestHead


class Floods:
    def __init__(self) -> None:
        self._windows: dict[Key, _Window] = {}

    def absorbs(self, refused: Refused, head: RequestHead) -> bool:
        """Returns true if this refusal is part of a flood: it is counted, and needs no record of
        its own."""
        now = time.monotonic()
        window = self._window(self._key(refused), now)
        if window.n_recorded < RECORDED_ONE_BY_ONE:
            window.n_recorded += 1
            return False
        window.n_more += 1
        window.refused = refused
        window.head = _common(window.head, head)
        return True

    def pop_finished(self, *, all_: bool = False) -> list[Flood]:
        """Returns the floods whose window is over, or all of them. Must be called every few
        seconds, and at the end for all."""
        now = time.monotonic()
        over = [k for k, w in self._windows.items() if all_ or now - w.began >= WINDOW_S]
        windows = [self._windows.pop(key) for key in over]
        return [flood for window in windows if (flood := _flood_of(window)) is not None]

    def _key(self, refused: Refused) -> Key:
        subject = refused.facts.get("key")
        key = (refused.code, str(subject) if subject is not None else None)
        if key not in self._windows and len(self._windows) >= MAX_KEYS:
            return (refused.code, None)
        return key

    def _window(self, key: Key, now: float) -> _Window:
        window = self._windows.get(key)
        if window is None:
            window = self._windows[key] = _Window(now)
        elif now - window.began >= WINDOW_S and not window.n_more:
            window.began, window.n_recorded = now, 0
        return window


def _common(one: RequestHead | None, other: RequestHead) -> RequestHead:
    if one is None:
        return other
    same = {name: value for name, value in one.ledger.items() if other.ledger.get(name) == value}
    return replace(one, ledger=same)


def _flood_of(window: _Window) -> Flood | None:
    refused, head = window.refused, window.head
    if refused is None or head is None or head.refusal is None:
        return None
    refusal = replace(head.refusal, n_calls=window.n_more, body_sha256=None)
    message = f"{refused.message} (one record for {window.n_more} calls)"
    return Flood(message, replace(head, refusal=refusal, body_size=0, headers=[]))
