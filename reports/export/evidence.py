"""What proves that the calls of an export are those that the log holds: the record of each, its
proof, the salts of its texts, and the exact bytes of its bodies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from capture.evidence.leaf import Kind, unpack_secret
from capture.evidence.note import Note, Signer, VerifierKey, encode
from capture.evidence.tree import Tree
from capture.ledger.bulk_sql import Row
from capture.ledger.log.read import Facts, deletions_of, facts_of, read_entries, tree_at
from capture.ledger.log.records import record_of, texts_of, undo
from capture.models import Call, LogEntry, Session, Tombstone
from reports.evidence import checkpoints, key
from reports.evidence.key import CannotSign
from reports.export.bodies import Pieces
from reports.export.verify import EVIDENCE_FORMAT, statement
from reports.models import Checkpoint
from reports.queries.records import Record

MONEY = frozenset(("cost_usd", "cache_savings_usd"))
# Entries that are read at once.
PAGE = 1000


class CannotExport(Exception):
    """The ledger cannot prove what was asked for: one sentence says why."""


class Evidence:
    """The evidence of one export, made call by call."""

    def __init__(self, session: Session, checkpoint: Checkpoint) -> None:
        self._session = session
        self.checkpoint = checkpoint
        self.verifier_key = _key_of(checkpoint)
        self._signer = _signer(self.verifier_key)
        self._tree: Tree = tree_at(checkpoint.size)
        self._pieces = Pieces()
        self._corrections: dict[UUID | None, list[Facts]] = defaultdict(list)

    def head(self) -> dict[str, Any]:
        return {
            "format": EVIDENCE_FORMAT,
            "origin": self.verifier_key.name,
            "verifier_key": self.verifier_key.text(),
            "checkpoint": self.checkpoint.note,
        }

    def rewind(self, page: Sequence[Record]) -> list[LogEntry]:
        """Makes calls what they were at the checkpoint. Returns the log's entries about them up to
        then."""
        entries = read_entries([record.row["action_id"] for record in page])
        later: dict[UUID | None, list[Facts]] = defaultdict(list)
        self._corrections.clear()
        for entry in entries:
            if entry.kind == Kind.CORRECTION:
                is_later = entry.index >= self.checkpoint.size
                found = later if is_later else self._corrections
                found[entry.action_id].append(facts_of(entry))
        for record in page:
            before = undo(later[record.row["action_id"]])
            record.row.update(
                (name, Decimal(str(value)) if name in MONEY and value is not None else value)
                for name, value in before.items()
            )
        return [entry for entry in entries if entry.index < self.checkpoint.size]

    def call(self, record: Record) -> dict[str, Any]:
        """Returns the evidence of a call of the page that was rewound last."""
        row: Row = record.row
        index, session_id = row["log_index"], row["session_id"]
        if index is None:  # it was recorded before there was a log
            return {"action_id": row["action_id"], "index": None}
        as_recorded = undo(self._corrections[row["action_id"]])
        leaf = record_of(
            row, row, record.tool_calls, session_id=session_id, as_recorded=as_recorded
        )
        texts = texts_of(row, row, record.tool_calls, session_id)
        salts = unpack_secret(bytes(row["log_secret"]))
        return {
            "action_id": row["action_id"],
            "index": index,
            "leaf": leaf.decode(),
            "salts": {
                name: salt.hex()
                for name, salt in salts.items()
                if isinstance(salt, bytes) and texts[name] is not None
            },
            "proof": self._proof(index),
            "arguments": [tool_call["arguments"] for tool_call in record.tool_calls],
            "request": self._pieces.request(record),
            "response": self._pieces.response(record),
        }

    def deletions(self) -> Iterator[dict[str, Any]]:
        """Yields what the log says of calls that were deleted from the session."""
        found = LogEntry.objects.filter(kind=Kind.DELETION, index__lt=self.checkpoint.size)
        entries = found.exclude(salt=None).order_by("index").iterator(PAGE)
        for entry, _ in deletions_of(self._session.session_id, entries):
            deleted = Tombstone.objects.filter(deletion_index=entry.index)
            indices = deleted.exclude(log_index=None).order_by("log_index")
            yield {
                **self.entry(entry),
                "salt": bytes(entry.salt or b"").hex(),
                "indices": list(indices.values_list("log_index", flat=True)),
            }

    def statement(self, session: bytes, n_calls: int, sha256: str, coerced: str) -> str:
        """Returns what the log's key says of the export, signed."""
        text = statement(self.checkpoint.note, session, n_calls, sha256, coerced)
        return str(Note(text, (self._signer.sign(text),)))

    def entry(self, entry: LogEntry) -> dict[str, Any]:
        return {"index": entry.index, "leaf": entry.record, "proof": self._proof(entry.index)}

    def _proof(self, index: int) -> list[str]:
        return [encode(one) for one in self._tree.inclusion_proof(index)]


def choose_checkpoint(log_size: int, size: int | None) -> Checkpoint:
    """Returns the checkpoint of this size, or else one that covers the log as it is. Raises
    CannotExport."""
    try:
        if size is None:
            return checkpoints.covering(log_size)
    except CannotSign as error:
        raise CannotExport(f"no checkpoint can be made: {error}") from None
    found = Checkpoint.objects.filter(size=size).first()
    if found is None:
        raise CannotExport(f"there is no checkpoint of {size} entries")
    return found


def check_covers(checkpoint: Checkpoint, session: Session, last_seq: int) -> None:
    """Raises CannotExport if the session has changed since the checkpoint."""
    calls = Call.objects.in_session(session.pk).filter(seq__lte=last_seq)
    later = LogEntry.objects.filter(index__gte=checkpoint.size)
    is_later = (
        calls.filter(log_index__gte=checkpoint.size).exists()
        or later.filter(action_id__in=calls.values("pk")).exists()
    )
    if is_later:
        raise CannotExport(f"the session has changed since the checkpoint of {checkpoint.size}")


def _key_of(checkpoint: Checkpoint) -> VerifierKey:
    """Returns the log's latest key that signed the checkpoint. Raises CannotExport."""
    signers = Note.parse(checkpoint.note.encode()).signers(key.verifier_keys())
    if not signers:
        raise CannotExport("no key of the ledger has signed the checkpoint")
    return next(iter(signers))


def _signer(verifier_key: VerifierKey) -> Signer:
    """Raises CannotExport."""
    try:
        signer = key.signer()
    except CannotSign as error:
        raise CannotExport(f"the export cannot be signed: {error}") from None
    if signer.key != verifier_key:
        raise CannotExport("the log's key has changed since the checkpoint: take a later one")
    return signer
