"""A TCP connection that writes at once what its socket takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from twisted.internet import tcp


class AgentConnection(tcp.Server):
    """Twisted waits for the reactor to report that the socket takes more, which for each chunk of a
    response are two calls of epoll_ctl and a turn of the loop."""

    # With Twisted's 128 KiB a chunk of a long response takes four system calls and as many turns.
    SEND_LIMIT = 1024 * 1024
    _corked = False

    @contextmanager
    def cork(self) -> Iterator[None]:
        """Holds back what is written within this context, and sends it at once at the end."""
        self._corked = True
        try:
            yield
        finally:
            self._corked = False
            if self.connected and self._tempDataLen and not self._send_now():
                self.startWriting()

    def _send_now(self) -> bool:
        """Returns whether all was sent. If not, the reactor sends what is left, or finds out what
        is wrong."""
        if self.dataBuffer or self.disconnecting:
            return False
        return self.doWrite() is None and not (self.dataBuffer or self._tempDataLen)

    def startWriting(self) -> None:
        if not self._corked:
            super().startWriting()
