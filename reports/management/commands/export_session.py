from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.utils.timezone import now

from access.management.database_errors import describe_database_error
from reports.chunks import in_chunks
from reports.export.evidence import CannotExport
from reports.export.files import whole_file
from reports.export.formats import FORMATS, REPORTS
from reports.export.pdf import PdfUnavailable
from reports.export.session import find_export
from reports.management.progress import ProgressBar


class Command(BaseCommand):
    help = "Export a session with all its calls, to standard output or to a file."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("session_id", metavar="SESSION")
        parser.add_argument("-o", "--output", type=Path, metavar="FILE")
        parser.add_argument("--format", choices=[*FORMATS, *REPORTS], default="json")
        parser.add_argument(
            "--checkpoint",
            type=int,
            metavar="SIZE",
            help="the checkpoint to use; default: the newest, or a new one",
        )

    def handle(
        self,
        *,
        session_id: str,
        output: Path | None,
        format: str,
        checkpoint: int | None,
        **options: Any,
    ) -> None:
        try:
            export = find_export(session_id, checkpoint)
            if export is None:
                raise CommandError(f"there is no session {session_id!r}")
            with ProgressBar(export.session.call_count, "calls") as progress:
                chunks = in_chunks({**FORMATS, **REPORTS}[format].write(export, now(), progress))
                if output is None:
                    for chunk in chunks:
                        sys.stdout.buffer.write(chunk)
                    sys.stdout.buffer.flush()
                else:
                    with whole_file(output) as file:
                        file.writelines(chunks)
        except CannotExport as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(describe_database_error(error)) from None
        except PdfUnavailable as error:
            raise CommandError(f"the PDF was not made: {error}") from None
        except OSError as error:  # the reader of a pipe left, a disk is full
            raise CommandError(f"the session was not exported: {error}") from None
