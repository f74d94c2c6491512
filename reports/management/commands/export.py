from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError
from django.http import QueryDict
from rest_framework.exceptions import ValidationError

from access.management.database_errors import describe_database_error
from reports.export.folder import SUFFIXES, ExportFolder, OtherExport
from reports.export.many import ManyParameters, call_lines, find_calls
from reports.management.progress import ProgressBar

FILTERS = [name for name in ManyParameters.names() if name != "cursor"]


class Command(BaseCommand):
    help = (
        "Export many calls as JSON Lines into a folder. Run again, it adds the calls that were"
        " recorded since, also after it was interrupted."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        for name in FILTERS:
            parameter = ManyParameters.base_filters[name]
            option = f"--{name.replace('_', '-')}"
            parser.add_argument(option, help=f"only {parameter.extra['help_text']}")
        parser.add_argument("-o", "--output", type=Path, metavar="DIR", required=True)
        parser.add_argument("--compress", choices=[name for name in SUFFIXES if name])

    def handle(self, *, output: Path, compress: str | None, **options: Any) -> None:
        given = {name: options[name] for name in FILTERS if options[name] is not None}
        query = QueryDict(mutable=True)
        query.update(given)
        try:
            values = ManyParameters.parse(query)
            folder = ExportFolder(output, given, compress)
            calls = find_calls({**values, "cursor": folder.cursor()})
            with ProgressBar(calls.count(), "calls") as progress:
                n_calls = folder.write(call_lines(calls), progress)
        except ValidationError as error:
            raise CommandError(_sentence(error.detail)) from None
        except OtherExport as error:
            raise CommandError(str(error)) from None
        except DatabaseError as error:
            raise CommandError(describe_database_error(error)) from None
        except OSError as error:
            raise CommandError(f"not all calls were exported: {error}") from None
        self.stdout.write(f"Exported {n_calls:,} calls to {output}")


def _sentence(detail: Any) -> str:
    return "; ".join(
        f"--{name.replace('_', '-')}: {', '.join(why)}" for name, why in detail.items()
    )
