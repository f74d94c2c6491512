"""A progress bar on the terminal of whoever runs a command."""

from __future__ import annotations

import sys
import time
from types import TracebackType

WIDTH = 30
INTERVAL_S = 0.1


class ProgressBar:
    """Shows how much is done where standard error is a terminal, and nothing elsewhere."""

    def __init__(self, total: int, what: str, *, least: int = 1000) -> None:
        """Without at least this much to do, it shows nothing either."""
        self._total, self._what = total, what
        self._is_shown = total >= least and sys.stderr.isatty()
        self._shown_at = 0.0

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")

    def __call__(self, n_done: int) -> None:
        if not self._is_shown or time.monotonic() < self._shown_at + INTERVAL_S:
            return
        self._shown_at = time.monotonic()
        filled = min(WIDTH, WIDTH * n_done // self._total)
        bar = "█" * filled + "░" * (WIDTH - filled)
        sys.stderr.write(f"\r{bar} {n_done:,} of {self._total:,} {self._what}")
        sys.stderr.flush()
