from __future__ import annotations

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.template.defaultfilters import filesizeformat

from capture.spool import quarantine
from capture.spool.folder import Folder, SpoolError
from capture.spool.quarantine import SetAside


class Command(BaseCommand):
    help = (
        "Have calls that were set aside read again: those that the recorder could not record in"
        " full, of which the ledger has the raw facts only. Try it after an upgrade, or with more"
        " memory. Without arguments it lists them."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "action_ids", nargs="*", type=UUID, metavar="ID", help="the action_id of a call"
        )
        parser.add_argument(
            "--all", action="store_true", dest="is_all", help="all calls that were set aside"
        )
        parser.add_argument(
            "--list", action="store_true", dest="is_list", help="only list them (the default)"
        )
        parser.add_argument(
            "--drop",
            action="store_true",
            help="remove their bytes for ever instead; the ledger keeps the raw facts",
        )

    def handle(
        self, *, action_ids: list[UUID], is_all: bool, is_list: bool, drop: bool, **options: Any
    ) -> None:
        folder = Folder(settings.AGENTLEDGER.spool_path)
        calls = {call.action_id: call for call in quarantine.set_aside_calls(folder)}
        if is_all and action_ids:
            raise CommandError("name calls, or use --all")
        if unknown := [str(one) for one in action_ids if one not in calls]:
            raise CommandError(f"not set aside: {', '.join(unknown)}")
        if is_list or not (is_all or action_ids):
            self._list([calls[one] for one in action_ids or calls], folder)
            return
        chosen = list(calls) if is_all else action_ids
        move = quarantine.remove if drop else quarantine.put_back
        try:
            for one in chosen:
                move(folder, one)
        except OSError as error:
            raise CommandError(f"the spool cannot be written: {error}") from None
        except SpoolError as error:
            raise CommandError(str(error)) from None
        folder.ring_doorbell()
        self.stdout.write(_done(len(chosen), drop=drop))

    def _list(self, calls: list[SetAside], folder: Folder) -> None:
        if not calls:
            self.stdout.write("No call is set aside.")
            return
        for call in calls:
            self.stdout.write(_describe(call))
        self.stdout.write(
            f"{_count(len(calls))} set aside in {folder.quarantine}."
            " `manage.py requeue --all` has them read again."
        )


def _describe(call: SetAside) -> str:
    at = datetime.fromtimestamp(call.at, UTC).strftime("%Y-%m-%d %H:%M:%S") if call.at else "—"
    # Plain spaces: the filter's own is not in every terminal's character set.
    size = filesizeformat(call.size).replace("\xa0", " ")
    return f"{call.action_id}  {at}  {size:>9}  {call.reason}"


def _count(n_calls: int) -> str:
    return f"{n_calls} call is" if n_calls == 1 else f"{n_calls} calls are"


def _done(n_calls: int, *, drop: bool) -> str:
    if drop:
        return f"{_count(n_calls)} removed from the quarantine; the ledger keeps the raw facts."
    return f"{_count(n_calls)} back in the spool, and will be recorded by the proxy's recorder."
