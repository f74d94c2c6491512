from __future__ import annotations

import os
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from reports.export.verify import Wrong, verify_file
from reports.management.progress import ProgressBar


class Command(BaseCommand):
    help = (
        "Verify an export of a session, JSON or a bundle, without a database and a network, as the"
        " bundle's verify.py does."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", metavar="FILE")
        parser.add_argument(
            "--key",
            action="append",
            default=[],
            metavar="VERIFIER_KEY",
            help="the log's key, or a witness's, known from elsewhere",
        )

    def handle(self, *, file: str, key: list[str], **options: Any) -> None:
        try:
            with ProgressBar(os.stat(file).st_size, "bytes", least=2**25) as progress:
                lines = verify_file(file, key, progress)
        except (Wrong, OSError) as error:
            raise CommandError(f"not verified: {error}") from None
        for line in ["VERIFIED", *(f"  {line}" for line in lines)]:
            self.stdout.write(line)
