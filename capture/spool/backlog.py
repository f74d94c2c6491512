"""Whether calls that ended are being recorded, as the process that writes the spool can tell: from
the times of two empty files that the recorder touches, both of the monotonic clock."""

from __future__ import annotations

import time

from capture.spool.folder import Folder


class Backlog:
    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        # When the oldest call ended that is not recorded. An earlier process may have left some:
        # the recorder says when it has read all.
        self._since: float | None = time.monotonic()
        self._last_end = time.monotonic()

    def add(self) -> None:
        """A call has ended."""
        self._last_end = time.monotonic()
        if self._since is None:
            self._since = self._last_end

    def tidy(self) -> None:
        """Must be called every few seconds."""
        if self._since is not None:
            recorded_until = self._folder.recorded_until()
            is_empty = recorded_until > self._last_end
            self._since = None if is_empty else max(self._since, recorded_until)

    def waits_for_s(self) -> float:
        """Returns for how long calls have waited without any being recorded; 0: none waits."""
        self.tidy()
        if self._since is None:
            return 0.0
        now, progress_at = time.monotonic(), self._folder.progress_at()
        # A mark in the future is from before the machine was started again.
        return now - max(self._since, progress_at if progress_at <= now else 0.0)
