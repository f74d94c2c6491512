"""Stops the parsing of a body that takes too long, or too much memory, wherever it is by then.

The limits of `capture.wire.limits` bound what is known to take long. This bounds the rest: a timer
that counts CPU time interrupts Python's main thread with an exception. One call into C, such as the
decoding of a JSON text, ends before that; its length is bounded.
"""

from __future__ import annotations

import atexit
import os
import signal
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from types import FrameType

from capture.wire.limits import MB

CHECK_EVERY_S = 0.02  # of CPU time
_PAGE = os.sysconf("SC_PAGE_SIZE")


class Stopped(BaseException):
    """Parsing was stopped: the message says why. No `except Exception` on the way may catch it."""

    def __init__(self, reason: str) -> None:
        # Codecs reword exceptions that come through them, but not one with its own initializer.
        super().__init__(reason)


Guard = Callable[[], AbstractContextManager[None]]
"""Makes the context in which one side of a call is parsed. It may raise Stopped anywhere."""

unguarded: Guard = nullcontext


class ResourceGuard:
    """Gives each call some CPU time, of which its first context may use half, and the process
    `max_memory` bytes in all: a request leaves its response half of the time, and an answer as
    long as a model can write has nearly all of it.

    It is its own context, so only one is open at a time, and only in the main thread: others get
    no signals. The timer runs all the time, since to set it takes as long as a small call.
    """

    def __init__(self, max_memory: int) -> None:
        self._max_memory = max_memory
        self._cpu_s = self._left_s = self._most_s = 0.0
        self._here_s = 0.0  # CPU time in the open context
        self._is_open = False
        signal.signal(signal.SIGPROF, self._ring)
        self._start()
        atexit.register(signal.setitimer, signal.ITIMER_PROF, 0)  # no handler outlives Python
        os.register_at_fork(after_in_child=self._start)  # a child gets no timer

    def begin_call(self, cpu_s: float) -> None:
        self._is_open = False
        self._cpu_s = self._left_s = cpu_s
        self._most_s = cpu_s / 2

    @property
    def took_s(self) -> float:
        """The CPU time that the contexts of this call took, rounded to CHECK_EVERY_S."""
        return self._cpu_s - self._left_s

    def __call__(self) -> ResourceGuard:
        return self

    def __enter__(self) -> None:
        self._here_s = 0.0
        self._is_open = True

    def __exit__(self, *error: object) -> None:
        try:
            self._is_open = False
        finally:  # the exception may come as late as in the line above
            self._is_open = False
            self._most_s = self._left_s

    def _start(self) -> None:
        self._rang_at = time.process_time()
        self._statm = open("/proc/self/statm", "rb", buffering=0)  # noqa: SIM115  # kept open
        signal.setitimer(signal.ITIMER_PROF, CHECK_EVERY_S, CHECK_EVERY_S)

    def _ring(self, signum: int, frame: FrameType | None) -> None:
        """Counts the time since it rang last. It rings again and again: where an exception cannot
        be raised, as in a finalizer, it is lost."""
        now = time.process_time()
        took_s, self._rang_at = now - self._rang_at, now
        if not self._is_open:
            return
        self._here_s += took_s
        self._left_s -= took_s
        if self._here_s >= self._most_s or self._left_s <= 0:
            raise Stopped(f"more than {self._most_s:.1f} s of CPU time to parse (a fixed limit)")
        if self._resident_bytes() > self._max_memory:
            limit = f"{self._max_memory // MB:,} MB"
            raise Stopped(f"more memory to parse than the recorder may take, {limit} in all")

    def _resident_bytes(self) -> int:
        statm = os.pread(self._statm.fileno(), 100, 0)
        return int(statm.split()[1]) * _PAGE
