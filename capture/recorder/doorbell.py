"""The recorder's doorbell: wakes it for new calls, for a signal, and when its proxy is gone."""

from __future__ import annotations

import fcntl
import os
import selectors
import signal
import sys

from capture.spool.folder import Folder


class Doorbell:
    """A FIFO in the spool's folder that the proxy writes to, together with what ends the recorder:
    signals and, if wanted, the end of standard input."""

    def __init__(self, folder: Folder, *, until_stdin_closes: bool) -> None:
        self.is_stopping = False  # by a signal: the recorder ends after this batch
        self.is_proxy_gone = False  # standard input closed: it ends when the spool is empty
        self._folder = folder
        path = folder.doorbell
        if not path.exists():
            os.mkfifo(path, 0o600)
        self._fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        # With a writer of our own the FIFO never reports that its last writer is gone.
        self._writer = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._fd, selectors.EVENT_READ)
        self._stdin = sys.stdin.fileno() if until_stdin_closes else None
        if self._stdin is not None:
            fcntl.fcntl(self._stdin, fcntl.F_SETFL, os.O_NONBLOCK)
            self._selector.register(self._stdin, selectors.EVENT_READ)

    def catch_signals(self) -> None:
        """Makes SIGTERM and SIGINT set `is_stopping` and end the wait. A recorder that ends with
        its proxy survives SIGHUP, too: its terminal may be closed before the spool is drained."""
        woken, wakes = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        self._selector.register(woken, selectors.EVENT_READ)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop())
        # A terminal with `stty tostop` would stop what logs in the background.
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)
        if self._stdin is not None:
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def _stop(self) -> None:
        self.is_stopping = True
        self._folder.ask_to_stop()

    def wait(self, timeout_s: float | None) -> None:
        """Returns when it rings, when a signal arrives, when standard input closes, or after the
        time-out; None: there is none."""
        for key, _ in self._selector.select(timeout_s):
            data = os.read(key.fd, 65536)
            if key.fd == self._stdin and not data:
                self._selector.unregister(key.fd)
                self.is_proxy_gone = True
