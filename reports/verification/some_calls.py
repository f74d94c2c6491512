"""Verifies some calls then and there, up to a checkpoint: for the pages of a call and a session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from capture.evidence.checkpoint import Checkpoint as Head
from capture.evidence.note import InvalidNote, Note, decode
from capture.evidence.tree import Tree, leaf_hash, verify_inclusion
from capture.ledger.bulk_sql import chunks
from capture.ledger.log.read import MissingTile, log_size, tree_at
from capture.models import Call
from reports.evidence.checkpoints import newest
from reports.models import Checkpoint
from reports.verification.bodies import NotKept, StoredParts
from reports.verification.calls import (
    Place,
    StoredCall,
    read_calls,
    verify_bodies,
    verify_call,
)
from reports.verification.diagnosis import Diagnosis
from reports.verification.findings import Damage, Finding


@dataclass(frozen=True, slots=True)
class Signed:
    """The newest checkpoint, and who else has signed it."""

    checkpoint: Checkpoint
    cosigners: list[str]


@dataclass(slots=True)
class Verified:
    """What was found of some calls."""

    n: int
    n_unlogged: int  # recorded before there was a log
    n_signed: int  # that the checkpoint covers
    n_not_kept: int  # of which a body is not stored as it was sent
    findings: list[Finding]
    signed: Signed | None

    @property
    def n_verified(self) -> int:
        return self.n - self.n_unlogged - len({one.action_id for one in self.findings})

    @property
    def is_intact(self) -> bool:
        return not self.findings


def verify_calls(action_ids: Sequence[UUID]) -> Verified:
    signed = newest_signed()
    found = Verified(len(action_ids), 0, 0, 0, [], signed)
    places = []
    for some in chunks(action_ids):
        rows = Call.objects.filter(pk__in=some)
        columns = ("log_index", "action_id", "request_bytes", "response_bytes")
        for index, action_id, request, response in rows.values_list(*columns):
            if index is None:
                found.n_unlogged += 1
            else:
                places.append(Place(index, action_id, (request or 0) + response))
    found.n = found.n_unlogged + len(places)  # without those that were deleted meanwhile
    places.sort(key=lambda place: place.index)
    check, parts = _Check(signed), StoredParts()
    for call in read_calls(places, parts):
        if isinstance(call, Finding):
            found.findings.append(call)
            continue
        found.findings += check.verify(call)
        found.n_signed += check.is_signed(call.index)
        try:
            found.findings += verify_bodies(call, parts)
        except NotKept:
            found.n_not_kept += 1
    return found


def newest_signed() -> Signed | None:
    checkpoint = newest()
    if checkpoint is None:
        return None
    try:
        note = Note.parse(checkpoint.note.encode())
        origin = Head.parse(note.text).origin
    except InvalidNote:
        return Signed(checkpoint, [])
    others = dict.fromkeys(one.name for one in note.signatures if one.name != origin)
    return Signed(checkpoint, list(others))


def leaf_of(index: int) -> str | None:
    """Returns the hash that the log has at this index, in hex."""
    try:
        return tree_at(log_size()).leaf(index).hex()
    except (MissingTile, IndexError):
        return None


class _Check:
    def __init__(self, signed: Signed | None) -> None:
        self._signed = signed.checkpoint if signed else None
        self._log = tree_at(log_size())
        self._signed_tree: Tree | None = tree_at(self._signed.size) if self._signed else None
        self._diagnosis = Diagnosis()

    def is_signed(self, index: int) -> bool:
        return self._signed is not None and index < self._signed.size

    def verify(self, call: StoredCall) -> list[Finding]:
        findings = list(verify_call(call))
        if findings or not call.is_complete:
            return findings
        record = call.record()
        leaf = leaf_hash(record)
        try:
            logged = self._log.leaf(call.index)
            if leaf != logged:
                return [self._diagnosis.explain(call, record, logged)]
            if not self._is_in_checkpoint(call.index, leaf):
                what = "is not in the log that the checkpoint has signed"
                return [call.finding(Damage.REWRITTEN, what)]
        except (MissingTile, IndexError) as error:
            return [call.finding(Damage.CUT, f"cannot be compared with the log: {error}")]
        return []

    def _is_in_checkpoint(self, index: int, leaf: bytes) -> bool:
        """True if none covers the call yet."""
        signed, tree = self._signed, self._signed_tree
        if signed is None or tree is None or index >= signed.size:
            return True
        proof = tree.inclusion_proof(index)
        return verify_inclusion(leaf, index, signed.size, proof, decode(signed.root))
