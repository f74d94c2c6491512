"""Brings the anchors up to date, each on its own: one that is unavailable delays no other, and gets
what it missed when it is back."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from access.redaction import redact_url
from capture.evidence.anchor_address import AnchorAddress, AnchorKind
from capture.evidence.note import VerifierKey
from reports.evidence import key
from reports.evidence.anchors.files import FileAnchor, FolderAnchor
from reports.evidence.anchors.git import GitAnchor
from reports.evidence.anchors.held import Anchor, AnchorFailed
from reports.evidence.anchors.timestamp import TimestampAnchor
from reports.evidence.anchors.witness import WitnessAnchor
from reports.models import Anchor as AnchorRow
from reports.models import Checkpoint

logger = logging.getLogger("agentledger.evidence")

FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 600.0
CHECKPOINTS_AT_ONCE = 500
MAX_FAILURE = 500


def name_of(address: AnchorAddress) -> str:
    """Returns what it is called where it is shown: a URL may have a secret in its query."""
    return redact_url(address.name)


def open_anchor(address: AnchorAddress, keys: Sequence[VerifierKey]) -> Anchor:
    """`keys` are those that the log has had, the one in force first."""
    path = Path.cwd() / address.target
    match address.kind:
        case AnchorKind.FILE:
            return FolderAnchor(path, keys) if path.is_dir() else FileAnchor(path, keys)
        case AnchorKind.FOLDER:
            return FolderAnchor(path, keys)
        case AnchorKind.GIT:
            return GitAnchor(path, keys)
        case AnchorKind.WITNESS:
            assert address.key is not None
            return WitnessAnchor(address.target, address.key, keys[0].name)
        case AnchorKind.TIMESTAMP:
            roots = Path.cwd() / address.certificates if address.certificates else None
            return TimestampAnchor(name_of(address), address.target, roots)


@dataclass(slots=True)
class Attempt:
    """When an anchor that failed is tried again."""

    at: float = 0.0  # monotonic
    pause_s: float = FIRST_PAUSE_S

    def fail(self) -> None:
        self.at = time.monotonic() + self.pause_s
        self.pause_s = min(2 * self.pause_s, LONGEST_PAUSE_S)


class Anchors:
    """The anchors of this process, which is to have the lease for them."""

    def __init__(self, addresses: Sequence[AnchorAddress]) -> None:
        self.addresses = addresses
        self._attempts = {address.name: Attempt() for address in addresses}

    def behind(self, newest_size: int) -> list[AnchorAddress]:
        """Returns those that lack the newest checkpoint and may be tried now."""
        sizes = dict(AnchorRow.objects.values_list("name", "size"))
        return [
            address
            for address in self.addresses
            if sizes.get(name_of(address), 0) < newest_size
            and self._attempts[address.name].at <= time.monotonic()
        ]

    def advance(self, address: AnchorAddress, renew: Callable[[], None]) -> None:
        """Makes one attempt, and notes how it ended. `renew` is called before it: an attempt may
        take half a minute."""
        row, _ = AnchorRow.objects.get_or_create(pk=name_of(address))
        was_failing = row.is_failing
        try:
            while checkpoints := _missing(row.size):
                renew()
                anchor = open_anchor(address, key.verifier_keys())
                if not anchor.takes_all:
                    checkpoints = [*Checkpoint.objects.order_by("-size")[:1]]
                anchor.take(checkpoints, row.size)
                row.size, row.last_success_at, row.is_failing = checkpoints[-1].size, _now(), False
                row.save()
        except (AnchorFailed, OSError) as error:
            self._attempts[address.name].fail()
            row.failure = _reason(error)
            row.last_failure_at, row.is_failing = _now(), True
            row.save()
            if not was_failing:
                logger.warning("the anchor %s has no checkpoint: %s", row.name, row.failure)
        else:
            self._attempts[address.name] = Attempt()
            if was_failing:
                logger.warning("the anchor %s continues", row.name)


def _missing(size: int) -> list[Checkpoint]:
    return list(Checkpoint.objects.filter(size__gt=size).order_by("size")[:CHECKPOINTS_AT_ONCE])


def _reason(error: Exception) -> str:
    said = f"{error.strerror}: {error.filename}" if isinstance(error, OSError) else str(error)
    return said[:MAX_FAILURE]


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)
