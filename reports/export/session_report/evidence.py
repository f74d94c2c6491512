"""What a report says of its evidence: each call's place in the log, and whether both agree."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.db.models import Max, Q

from capture.evidence.leaf import Kind, moment
from capture.evidence.note import Note, decode, encode
from capture.evidence.tree import Tree, leaf_hash, verify_inclusion
from capture.ledger.log.read import (
    MissingTile,
    StoredRecord,
    deletions_of,
    facts_of,
    log_size,
    read_entries,
    read_records,
    tree_at,
)
from capture.ledger.tombstones import session_digest
from capture.models import Call, DeletedSession, LogEntry, Session
from reports.evidence.checkpoints import covering
from reports.evidence.key import CannotSign, verifier_keys
from reports.export.session_report.texts import at_utc
from reports.models import Checkpoint
from reports.queries import records
from reports.queries.records import Record

CALLS_AT_ONCE = 100
# Of a log, the last deletions are searched for those of a session.
MAX_DELETIONS = 20_000
MAX_RANGES = 20

Lines = list[tuple[str, str]]


@dataclass
class ReportEvidence:
    """`of_calls` has the lines of each call."""

    of_calls: list[Lines]
    gaps: list[str]
    verification: dict[str, Any]
    checkpoint: Checkpoint | None = None


@dataclass
class _Check:
    """The comparison of calls with the log's tree."""

    tree: Tree
    root: bytes
    n_verified: int = 0
    n_without: int = 0  # calls that are not in the log
    differing: list[tuple[str, str]] = field(default_factory=list)

    def lines(self, number: int, stored: StoredRecord | None) -> Lines:
        if stored is None:
            self.n_without += 1
            return [("Log entry", "none")]
        leaf = leaf_hash(stored.record)
        problem = self._problem(stored.log_index, leaf)
        if problem is None:
            self.n_verified += 1
        else:
            self.differing.append((f"Call {number}", problem))
        shown = "verified" if problem is None else problem
        return [
            ("Log entry", f"{stored.log_index} ({shown})"),
            ("Leaf, SHA-256", leaf.hex()),
        ]

    def _problem(self, index: int, leaf: bytes) -> str | None:
        try:
            if self.tree.leaf(index) != leaf:
                return "the call differs from what was recorded"
            proof = self.tree.inclusion_proof(index)
        except MissingTile as error:
            return str(error)
        except IndexError:
            return "the log is shorter than the call's place in it"
        if not verify_inclusion(leaf, index, self.tree.size, proof, self.root):
            return "the log's tree was changed"
        return None


def evidence_of(
    session: Session, found: list[Record], first_number: int, checkpoint_size: int | None
) -> ReportEvidence:
    """Makes the record of each call anew from what the ledger has, and looks for it in the log as
    the checkpoint has it that covers the session."""
    checkpoint, why_none = _checkpoint(session, checkpoint_size)
    tree = tree_at(checkpoint.size if checkpoint else log_size())
    try:
        check = _Check(tree, decode(checkpoint.root) if checkpoint else tree.root())
    except MissingTile as error:
        return ReportEvidence([[] for _ in found], _gaps(session), _failed(str(error)))
    of_calls = []
    for begin in range(0, len(found), CALLS_AT_ONCE):
        ids = [record.row["action_id"] for record in found[begin : begin + CALLS_AT_ONCE]]
        stored, entries = read_records(ids), read_entries(ids)
        for place, action_id in enumerate(ids, begin):
            lines = check.lines(first_number + place, stored.get(action_id))
            about = [entry for entry in entries if entry.action_id == action_id]
            of_calls.append(lines + [_entry_line(entry) for entry in about])
    verification = _verification(check, len(found))
    verification["facts"] += _checkpoint_facts(checkpoint, why_none)
    return ReportEvidence(of_calls, _gaps(session), verification, checkpoint)


def _checkpoint(session: Session, size: int | None) -> tuple[Checkpoint | None, str]:
    """Returns the checkpoint that covers the session; None, and the reason, if there is none."""
    if size is not None:
        found = Checkpoint.objects.filter(size=size).first()
        return found, f"none of {size} entries"
    newest = records.calls_of(session).aggregate(newest=Max("log_index"))["newest"]
    if newest is None:
        return None, "none: no call is in the log"
    try:
        return covering(newest + 1), ""
    except CannotSign as error:
        return None, f"none: {error}"


def _checkpoint_facts(checkpoint: Checkpoint | None, why_none: str) -> Lines:
    if checkpoint is None:
        return [("Checkpoint", why_none)]
    note = Note.parse(checkpoint.note.encode())
    keys = verifier_keys()
    ours = note.signers(keys)
    names = dict.fromkeys(signature.name for signature in note.signatures)
    others = [name for name in names if name not in {key.name for key in keys}]
    signed = f"signed by {', '.join(key.text() for key in ours)}" if ours else "not signed"
    return [
        ("Checkpoint", f"of {at_utc(checkpoint.at)}, {signed}"),
        ("Cosigned by", ", ".join(others) or "nobody"),
    ]


def _entry_line(entry: LogEntry) -> tuple[str, str]:
    facts = facts_of(entry)
    what = {
        Kind.CORRECTION: f"corrected: {facts.get('reason')}",
        Kind.REPLACEMENT: "what could not be understood at first was recorded later",
        Kind.ERASURE: f"erased: {facts.get('fields')}",
    }.get(Kind(entry.kind), entry.kind)
    return (f"Log entry {entry.index}", f"{at_utc(moment(facts['at']))}, {what}")


def _verification(check: _Check, n_calls: int) -> dict[str, Any]:
    sentences = [f"{check.n_verified:,} of {n_calls:,} calls are verified: they are in the log"]
    sentences[0] += " as they were recorded."
    if check.differing:
        sentences.append(f"{len(check.differing):,} differ.")
    if check.n_without:
        sentences.append(f"{check.n_without:,} are not in the log.")
    is_whole = check.n_verified == n_calls
    return {
        "tone": "bad" if check.differing else "ok" if is_whole else "warn",
        "result": " ".join(sentences),
        "facts": [
            ("Entries of the log", f"{check.tree.size:,}"),
            ("Root of its tree", encode(check.root)),
        ],
        "differing": check.differing,
    }


def _failed(reason: str) -> dict[str, Any]:
    return {
        "tone": "bad",
        "result": f"No call is verified: {reason}.",
        "facts": [],
        "differing": [],
    }


def _gaps(session: Session) -> list[str]:
    """Returns what is missing of the session, and why, as far as the log tells."""
    lines = [_missing(session)]
    being_deleted = Call.objects.filter(session_id=session.pk, deleted_at__isnull=False).count()
    if being_deleted:
        lines.append(f"{being_deleted:,} of them are being deleted.")
    lines += _deletions(session)
    before = DeletedSession.objects.filter(pk=session_digest(session.session_id)).first()
    if before is not None:
        lines.append(
            f"A session with this id was deleted before, the last time at"
            f" {at_utc(before.deleted_at)}: its calls are no part of this one."
        )
    return lines


def _missing(session: Session) -> str:
    """Compares the numbers that the log gave to the session's calls with those that are here."""
    calls = records.calls_of(session).order_by()
    numbered = calls.exclude(session_call=None)
    n_here = numbered.count()
    if n_here == session.n_logged:
        return f"Nothing is missing: the log counts {n_here:,} calls, and all of them are here."
    here = numbered.order_by("session_call").values_list("session_call", flat=True)
    ranges, last = [], 0
    for number in [*here.iterator(chunk_size=2000), session.n_logged + 1]:
        if number is not None and number > last + 1:
            ranges.append(f"{last + 1}" if number == last + 2 else f"{last + 1}–{number - 1}")
        last = number or last
    shown = ", ".join(ranges[:MAX_RANGES]) + (", …" if len(ranges) > MAX_RANGES else "")
    return (
        f"The log counts {session.n_logged:,} calls, of which {session.n_logged - n_here:,} are"
        f" not here, by number: {shown}."
    )


def _deletions(session: Session) -> list[str]:
    """Returns a sentence for each entry of the log on a deletion from this session."""
    entries = LogEntry.objects.filter(Q(kind=Kind.DELETION), salt__isnull=False)
    newest = entries.order_by("-index")[:MAX_DELETIONS].iterator(chunk_size=2000)
    lines = [
        f"{facts['count']:,} calls were deleted at {at_utc(moment(facts['at']))}: log entry"
        f" {entry.index}."
        for entry, facts in deletions_of(session.session_id, newest)
    ]
    return lines[::-1]
