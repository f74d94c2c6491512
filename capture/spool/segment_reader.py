"""The reading of one segment: frame by frame, past damaged bytes, while it may still grow."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from capture.spool import frames
from capture.spool.folder import SegmentName
from capture.spool.frames import Frame

BLOCK = 1024 * 1024


class SegmentReader:
    """`set_aside` gets the offset and the bytes of each damaged gap."""

    def __init__(
        self,
        path: Path,
        name: SegmentName,
        offset: int,
        set_aside: Callable[[SegmentName, int, bytes], None],
        *,
        is_at_end: bool,
    ) -> None:
        """Raises FileNotFoundError."""
        self.name = name
        self.offset = offset  # everything before it has been read
        self.is_at_end = is_at_end  # everything was read, and the file grows no more
        self._set_aside = set_aside
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def frames(self, *, may_grow: bool) -> Iterator[Frame]:
        """Yields the frames from the offset on, and moves the offset past each."""
        need = BLOCK
        while True:
            block = os.pread(self._fd, need, self.offset)
            view = memoryview(block)
            base, position = self.offset, 0
            while (frame := frames.frame_at(view, position, base)) is not None:
                position = frame.end - base
                self.offset = frame.end
                yield frame
            if position > 0:
                need = BLOCK
                continue
            if not block:
                return
            size = frames.size_of_frame_at(view, 0)
            if len(block) < size and len(block) == need:  # the frame is longer than a block
                need = size
                continue
            if not self._skip_damage(may_grow=may_grow):
                return
            need = BLOCK

    def payload(self, offset: int, length: int) -> bytes:
        return os.pread(self._fd, length, offset)

    def close(self) -> None:
        os.close(self._fd)

    def _skip_damage(self, *, may_grow: bool) -> bool:
        """Returns true if reading can go on after the bytes at the offset.

        While the segment may grow, a bad frame without a good one after it is being written.
        """
        rest = os.pread(self._fd, frames.MAX_PAYLOAD * 2, self.offset)
        # From the offset itself on: what was half written before may be whole by now.
        following = frames.next_frame(rest, 0, self.offset)
        if following is None and may_grow:
            return False
        gap = rest[: following.start - self.offset] if following else rest
        if gap:
            self._set_aside(self.name, self.offset, gap)
            self.offset += len(gap)
        return following is not None
