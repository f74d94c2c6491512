"""This AgentLedger as the witness of other logs (c2sp.org/tlog-witness): it cosigns a checkpoint
only if that extends the one that it cosigned before, and keeps those that do not."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256

from django.conf import settings
from django.db import transaction

from capture.evidence.checkpoint import Checkpoint, decode_hash
from capture.evidence.note import InvalidNote, Note, VerifierKey, encode
from capture.evidence.tree import EMPTY_ROOT, verify_consistency
from capture.evidence.witness import SIZE_TYPE, Submission
from reports.evidence import key
from reports.evidence.key import CannotSign
from reports.models import WitnessedLog, WitnessRefusal

TEXT = "text/plain; charset=utf-8"
# A log that is rewritten again and again fills no disk.
MAX_REFUSALS = 100


@dataclass(frozen=True, slots=True)
class Verdict:
    status: int
    body: str
    content_type: str = TEXT


def add_checkpoint(body: bytes) -> Verdict:
    """Decides on a submission, and commits what was seen before it returns."""
    try:
        submission = Submission.parse(body)
        note = Note.parse(submission.checkpoint)
        head = Checkpoint.parse(note.text)
    except InvalidNote as error:
        return Verdict(400, f"{error}\n")
    keys = [one for one in settings.AGENTLEDGER.witness_for if one.name == head.origin]
    if not keys:
        return Verdict(404, "this is no witness of that log\n")
    if not _is_signed(note, keys):
        return Verdict(403, "no signature is valid by a key of that log\n")
    if submission.old_size > head.size:
        return Verdict(400, "the old size is above the checkpoint's\n")
    with transaction.atomic():
        return _decide(submission, note, head)


def _is_signed(note: Note, keys: list[VerifierKey]) -> bool:
    try:
        return bool(note.signers(keys))
    except InvalidNote:
        return False


def _decide(submission: Submission, note: Note, head: Checkpoint) -> Verdict:
    first = {"root": encode(EMPTY_ROOT)}
    WitnessedLog.objects.get_or_create(pk=head.origin, defaults=first)
    seen = WitnessedLog.objects.select_for_update().get(pk=head.origin)
    seen_root = decode_hash(seen.root)
    if head.size == seen.size and head.root != seen_root:
        _keep(seen, submission, head, "another root of the same size")
        return Verdict(409, f"{seen.size}\n", SIZE_TYPE)
    if submission.old_size != seen.size:
        return Verdict(409, f"{seen.size}\n", SIZE_TYPE)
    if not verify_consistency(seen.size, head.size, seen_root, head.root, submission.proof):
        _keep(seen, submission, head, "it does not extend the checkpoint seen before")
        return Verdict(422, "the proof does not show that the log only grew\n")
    try:
        signer = key.signer()
    except CannotSign as error:
        return Verdict(503, f"this witness cannot sign: {error}\n")
    at = datetime.fromtimestamp(time.time(), UTC)
    cosignature = signer.cosign(note.text, int(at.timestamp()))
    seen.size, seen.root, seen.at = head.size, encode(head.root), at
    seen.note = str(note.with_signatures([cosignature]))
    seen.save()
    return Verdict(200, cosignature.line())


def _keep(log: WitnessedLog, submission: Submission, head: Checkpoint, reason: str) -> None:
    if log.refusals.count() >= MAX_REFUSALS:
        return
    WitnessRefusal.objects.get_or_create(
        log=log,
        size=head.size,
        root=encode(head.root),
        defaults={
            "at": datetime.fromtimestamp(time.time(), UTC),
            "seen_size": log.size,
            "seen_root": log.root,
            "reason": reason,
            "submission": submission.body().decode(errors="replace"),
        },
    )


def latest_note(origin_digest: str) -> str | None:
    """Returns the checkpoint that was cosigned last of the log whose name has this hex SHA-256."""
    for one in settings.AGENTLEDGER.witness_for:
        if sha256(one.name.encode()).hexdigest() == origin_digest:
            seen = WitnessedLog.objects.filter(pk=one.name, size__gt=0).first()
            return seen.note if seen is not None else None
    return None
