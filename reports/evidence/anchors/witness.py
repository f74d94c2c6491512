"""A witness as an anchor (c2sp.org/tlog-witness): it cosigns a checkpoint if that extends the one
that it saw before, and so does not let a log be rewritten."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256

from capture.evidence.note import (
    InvalidNote,
    Note,
    Signature,
    VerifierKey,
    parse_number,
    parse_signatures,
)
from capture.evidence.witness import SIZE_TYPE, Submission
from capture.ledger.log.read import tree_at
from reports.evidence.anchors.held import AnchorFailed
from reports.evidence.http import Reply, Unavailable, get, post
from reports.models import Checkpoint


@dataclass(frozen=True, slots=True)
class WitnessAnchor:
    url: str
    key: VerifierKey
    origin: str  # of the log

    takes_all = False

    def take(self, checkpoints: Sequence[Checkpoint], held_size: int) -> None:
        [*_, newest] = checkpoints
        reply = self._submit(newest, held_size)
        seen = _size_of_conflict(reply)
        if seen is not None and seen != held_size:
            if seen > newest.size:
                raise AnchorFailed(
                    f"it has seen {seen} entries of this log, which has {newest.size}: the log was"
                    " cut, or put back to an older state"
                )
            reply = self._submit(newest, seen)
        if reply.status == 422 or _size_of_conflict(reply) == newest.size:
            raise AnchorFailed(
                f"it has seen another past of this log, which was rewritten: {reply.reason()}"
            )
        if reply.status != 200:
            raise AnchorFailed(f"it refuses the checkpoint: {reply.reason()}")
        note = Note.parse(newest.note.encode())
        newest.note = str(note.with_signatures([self._cosignature(reply, note)]))
        newest.save(update_fields=["note"])

    def notes(self) -> Iterator[Note]:
        """Yields the checkpoint that the witness saw last."""
        origin = sha256(self.origin.encode()).hexdigest()
        try:
            reply = get(f"{self.url}/{origin}/checkpoint")
        except Unavailable as error:
            raise AnchorFailed(str(error)) from None
        if reply.status == 200:
            with suppress(InvalidNote):
                yield Note.parse(reply.body)
        elif reply.status != 404:
            raise AnchorFailed(reply.reason())

    def _submit(self, checkpoint: Checkpoint, old_size: int) -> Reply:
        proof = tree_at(checkpoint.size).consistency_proof(old_size)
        body = Submission(old_size, proof, checkpoint.note.encode()).body()
        try:
            return post(f"{self.url}/add-checkpoint", body, "text/plain; charset=utf-8")
        except Unavailable as error:
            raise AnchorFailed(str(error)) from None

    def _cosignature(self, reply: Reply, note: Note) -> Signature:
        try:
            signatures = tuple(parse_signatures(reply.body.decode()))
            found = Note(note.text, signatures).signers([self.key])
        except (InvalidNote, UnicodeDecodeError) as error:
            raise AnchorFailed(f"its cosignature cannot be used: {error}") from None
        if not found:
            raise AnchorFailed(f"its response has no cosignature by {self.key.name}")
        return found[self.key]


def _size_of_conflict(reply: Reply) -> int | None:
    """Returns the size of the log that the witness has seen, if it says that this is another than
    was thought."""
    if reply.status != 409 or reply.content_type != SIZE_TYPE:
        return None
    try:
        return parse_number(reply.body.decode("ascii").removesuffix("\n"))
    except (InvalidNote, UnicodeDecodeError):
        return None
