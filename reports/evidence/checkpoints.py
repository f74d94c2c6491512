"""Checkpoints of the log: what it was at a size, signed, so that it cannot be rewritten unnoticed
by those who hold one."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from django.conf import settings
from django.db import transaction

from access import audit
from access.actors import Actor
from capture.evidence import checkpoint as formats
from capture.evidence.leaf import Kind
from capture.evidence.note import Note, Signer, encode
from capture.ledger.log.append import append_entry
from capture.ledger.log.read import log_size, tree_at
from capture.models import Call, Ledger
from reports.evidence import key
from reports.evidence.key import CannotSign
from reports.models import Checkpoint

EVERY_S = 3600.0


def covering(size_at_least: int) -> Checkpoint:
    """Returns the latest checkpoint if the log had this size by then, else a new one. Raises
    CannotSign."""
    latest = newest()
    if latest is not None and latest.size >= size_at_least:
        return latest
    made = sign([key.signer()])
    if made.size < size_at_least:
        raise CannotSign(f"the log has {made.size} entries, not {size_at_least}")
    return made


def newest() -> Checkpoint | None:
    return Checkpoint.objects.order_by("-size").first()


def is_due(size: int, at: float | None) -> bool:
    """Says whether an hour has passed since a checkpoint was made at `at`, in seconds since 1970.
    One that is in the future was made before the clock was set back."""
    if size == 0:
        return False
    return at is None or not time.time() - EVERY_S < at <= time.time() + EVERY_S


def make_hourly() -> Checkpoint:
    """Signs the log as it is now. If it has not grown since the last time, it gets an entry that
    says so. Raises CannotSign."""
    signer = key.signer()
    latest = newest()
    if latest is not None and latest.size == log_size():
        append_heartbeat()
    return sign([signer])


def append_heartbeat() -> None:
    last_seq = Ledger.objects.values_list("last_seq", flat=True).get(pk=1)
    append_entry(Kind.HEARTBEAT, {"last_seq": last_seq, "n_calls": Call.objects.count()})


def sign(signers: Sequence[Signer]) -> Checkpoint:
    """Signs the log as it is now with all of these keys, of which the last is to be in force.
    Raises CannotSign if it does not extend the checkpoint before."""
    with transaction.atomic():
        size = Ledger.objects.select_for_update().get(pk=1).log_size
        latest = newest()
        if latest is not None and latest.size == size:
            return latest
        if latest is not None:
            check_holds(latest.size, latest.root, size)
        root = root_at(size)
        at = datetime.fromtimestamp(time.time(), UTC)
        text = formats.Checkpoint(signers[-1].name, size, root).text()
        signatures = [signer.sign(text) for signer in signers]
        cosignature = signers[-1].cosign(text, int(at.timestamp()))
        note = str(Note(text, (*signatures, cosignature)))
        return Checkpoint.objects.create(size=size, root=encode(root), at=at, note=note)


def check_holds(size: int, root: str, size_now: int) -> None:
    """Raises CannotSign if the log, which has `size_now` entries, is not what it was when it had
    `size` entries and this root."""
    if size > size_now:
        raise CannotSign(f"the log had {size} entries, of which {size_now} are left")
    if encode(root_at(size)) != root:
        raise CannotSign(f"the log is not what it was when it had {size} entries")


def root_at(size: int) -> bytes:
    """Raises CannotSign."""
    try:
        return tree_at(size).root()
    except LookupError as error:
        raise CannotSign(f"the log's tree is damaged: {error}") from None


def rotate(actor: Actor, new_file: Path | None, *, is_lost: bool) -> Signer:
    """Puts another key in force: that of a file, or a new one. The old one and the new one sign a
    checkpoint together, unless the old one is lost. Raises CannotSign."""
    is_operators = settings.AGENTLEDGER.is_given("signing_key_file")
    if new_file is None and is_operators:
        raise CannotSign("AGENTLEDGER_SIGNING_KEY_FILE is yours to change: name the new key's file")
    old = [] if is_lost else [key.registered_signer()]
    private = key.read_new(new_file)
    new = Signer(key.origin(), private)
    if new.key in key.verifier_keys():
        raise CannotSign("the log has had this key already")
    key.stage(private)
    with transaction.atomic():
        Ledger.objects.select_for_update().get(pk=1)
        append_heartbeat()  # so that there is something to sign
        sign([*old, new])
        key.replace(new, private)
        audit.record(actor, "rotate_signing_key", new.key.text(), was_lost=is_lost)
    # Reading it puts the new key's file in its place; the operator does that with his own.
    return new if is_operators else key.signer()
