from __future__ import annotations

import os
import signal
import sys
import threading
from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from capture.spool.folder import Folder
from reports.evidence.keeper import Keeper
from reports.search.sink import SearchIndex
from reports.sinks.follow import follow
from reports.verification.weekly import Weekly

# Nobody waits for a sink, while agents wait for the proxy. The recorder comes first, too.
NICENESS = 15


class Command(BaseCommand):
    help = (
        "Keep the search index up to date with the ledger, and make checkpoints of its log. The"
        " proxy runs this by itself; run it by hand if there is no proxy. Ctrl-C stops it."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--until-stdin-closes", action="store_true", help="end when standard input closes"
        )

    def handle(self, *, until_stdin_closes: bool, **options: Any) -> None:
        os.nice(NICENESS)
        stop = threading.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop.set())
        signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # as the recorder does
        if until_stdin_closes:
            threading.Thread(target=_wait_for_end, args=(stop,), daemon=True).start()
        folder = Folder(settings.AGENTLEDGER.spool_path)
        folder.make()
        keeper = Keeper(settings.AGENTLEDGER.anchors)
        follow([SearchIndex()], folder, stop, [keeper, Weekly()])


def _wait_for_end(stop: threading.Event) -> None:
    # Below Python's buffers: their lock, held by a daemon thread, would abort the process's end.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    stop.set()
