from __future__ import annotations

import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from access.management.database_errors import describe_database_error
from reports.export.files import whole_file
from reports.export.pdf import PdfUnavailable
from reports.export.period import read_report
from reports.export.period_formats import FORMATS
from reports.queries.period import PeriodParameters, ReportedPeriod, reported_period


class Command(BaseCommand):
    help = (
        "Export the report on a period, by default on the last month, as GET /export/period does."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        for name, parameter in PeriodParameters.base_filters.items():
            option, text = name.replace("_", "-"), parameter.extra["help_text"]
            parser.add_argument(f"--{option}", metavar=option.upper(), help=text)
        parser.add_argument("--format", choices=FORMATS, default="html")
        parser.add_argument("-o", "--output", type=Path, metavar="FILE")

    def handle(self, *, format: str, output: Path | None, **options: Any) -> None:
        made = FORMATS[format]
        try:
            report = read_report(_period(options), made.most_groups, with_audit=True)
            chunks = made.write(report, None)
            if output is None:
                sys.stdout.buffer.writelines(chunks)
                sys.stdout.buffer.flush()
            else:
                with whole_file(output) as file:
                    file.writelines(chunks)
        except DatabaseError as error:
            raise CommandError(describe_database_error(error)) from None
        except (PdfUnavailable, OSError) as error:  # the reader of a pipe left, a disk is full
            raise CommandError(f"the report was not exported: {error}") from None


def _period(options: dict[str, Any]) -> ReportedPeriod:
    """Raises CommandError for what cannot be read."""
    given = QueryDict(mutable=True)
    given.update({n: options[n] for n in PeriodParameters.names() if options[n] is not None})
    try:
        return reported_period(PeriodParameters.parse(given))
    except ValidationError as error:
        details: Any = error.detail
        [(name, reasons), *_] = details.items()
        raise CommandError(f"--{name.replace('_', '-')}: expected {reasons[0]}") from None
