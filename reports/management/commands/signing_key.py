from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from access.actors import command_line_operator
from access.management.database_errors import describe_database_error
from capture.models import Ledger
from reports.evidence import checkpoints, key
from reports.evidence.key import CannotSign


class Command(BaseCommand):
    help = (
        "Show the verifier key of the ledger's log, and the key of its cosignatures. --rotate puts"
        " another key in force; the old and the new one sign one checkpoint together."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--rotate", action="store_true", help="put another key in force")
        parser.add_argument(
            "--new", type=Path, metavar="FILE", help="the new key (PEM); made if not given"
        )
        parser.add_argument(
            "--lost", action="store_true", help="the old key is lost: the new one signs alone"
        )

    def handle(self, *, rotate: bool, new: Path | None, lost: bool, **options: Any) -> None:
        if (new or lost) and not rotate:
            raise CommandError("--new and --lost are for --rotate")
        try:
            if rotate:
                signer = checkpoints.rotate(command_line_operator(), new, is_lost=lost)
            else:
                signer = key.signer()
        except (CannotSign, OSError) as error:
            raise CommandError(str(error)) from None
        except Ledger.DoesNotExist:
            raise CommandError("there is no ledger yet: start AgentLedger first") from None
        except DatabaseError as error:
            raise CommandError(describe_database_error(error)) from None
        self.stdout.write(f"log       {signer.key.text()}")
        self.stdout.write(f"cosigner  {signer.cosigner.text()}")
