"""Stops the parsing of a body that takes too long, or too much memory, wherever it is by then.

The limits of `capture.wire.limits` bound what is known to take long. This bounds the rest: a timer
that counts CPU time interrupts Python's main thread with an exception. One call into C, such as the
decoding of a JSON text, ends before that; its length is bounded.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import FrameType

from capture.wire.limits import MB

CHECK_EVERY_S = 0.02  # of CPU time


class Stopped(BaseException):
    """Parsing was stopped: the message says why. No `except Exception` on the way may catch it."""

    def __init__(self, reason: str) -> None:
        # Codecs reword exceptions that come through them, but not one with its own initializer.
        super().__init__(reason)


Guard = Callable[[], AbstractContextManager[None]]
"""Makes the context in which one side of a call is parsed. It may raise Stopped anywhere."""

unguarded: Guard = nullcontext


class ResourceGuard:
    """Gives each call some CPU time, of which one context may use half, and the process
    `max_memory` bytes in all.

    Only one context is open at a time, and only in the main thread: others get no signals.
    """

    def __init__(self, max_memory: int) -> None:
        self._max_memory = max_memory
        self._left_s = self._most_s = 0.0
        self._end: float | None = None  # None: nothing is parsed
        signal.signal(signal.SIGPROF, self._check)

    def begin_call(self, cpu_s: float) -> None:
        self._left_s, self._most_s = cpu_s, cpu_s / 2

    @contextmanager
    def __call__(self) -> Iterator[None]:
        began = time.process_time()
        self._end = began + min(self._left_s, self._most_s)
        # It goes on: where an exception cannot be raised, as in a finalizer, it is lost.
        signal.setitimer(signal.ITIMER_PROF, CHECK_EVERY_S, CHECK_EVERY_S)
        try:
            try:
                yield
            finally:
                self._end = None
        finally:  # the exception may come as late as in the line above
            self._end = None
            signal.setitimer(signal.ITIMER_PROF, 0)
            self._left_s -= time.process_time() - began

    def _check(self, signum: int, frame: FrameType | None) -> None:
        if self._end is None:
            return
        if time.process_time() >= self._end:
            raise Stopped(f"more than {self._most_s:g} s of CPU time to parse (a fixed limit)")
        if _resident_bytes() > self._max_memory:
            limit = f"{self._max_memory // MB:,} MB"
            raise Stopped(f"more memory to parse than the recorder may take, {limit} in all")


def _resident_bytes() -> int:
    with open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
