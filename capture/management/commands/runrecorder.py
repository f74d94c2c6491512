from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from capture.recorder.recorder import Recorder
from capture.spool.folder import Folder, SpoolError
from capture.sqlite.files import create_if_missing


class Command(BaseCommand):
    help = (
        "Record the calls in the spool, and new ones as they arrive. The proxy starts this command"
        " by itself; run it by hand to record a spool that was left behind. Ctrl-C stops it."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--until-stdin-closes",
            action="store_true",
            help="when standard input closes, drain the spool and exit",
        )

    def handle(self, *, until_stdin_closes: bool, **options: Any) -> None:
        folder = Folder(settings.AGENTLEDGER.spool_path)
        try:
            folder.make()
            if not until_stdin_closes:  # else its proxy has done so
                create_if_missing(settings.AGENTLEDGER.sqlite_path)
            # One recorder a folder: another may still be draining it for a proxy that stopped.
            while folder.lock("recorder", wait_s=60) is None:
                pass
            Recorder(folder, until_stdin_closes=until_stdin_closes).run()
        except (SpoolError, OSError) as error:
            raise CommandError(str(error)) from None
