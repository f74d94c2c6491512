"""What logs and witnesses say to each other (c2sp.org/tlog-witness): a log shows its new checkpoint
with a proof that it extends the one that the witness saw last."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from capture.evidence.checkpoint import MAX_HASHES, parse_hashes
from capture.evidence.note import MAX_NOTE, InvalidNote, encode, parse_number

# Of what strangers send: the old size, the hashes, and a note.
MAX_BODY = MAX_NOTE + 64 * (MAX_HASHES + 2)
SIZE_TYPE = "text/x.tlog.size"


@dataclass(frozen=True, slots=True)
class Submission:
    """The body of `add-checkpoint`. `checkpoint` is a signed note."""

    old_size: int
    proof: Sequence[bytes]
    checkpoint: bytes

    def body(self) -> bytes:
        lines = (f"old {self.old_size}", *map(encode, self.proof), "")
        return "".join(f"{line}\n" for line in lines).encode() + self.checkpoint

    @classmethod
    def parse(cls, body: bytes) -> Submission:
        """Raises InvalidNote."""
        head, separator, checkpoint = body.partition(b"\n\n")
        if len(body) > MAX_BODY or not separator or not head.startswith(b"old "):
            raise InvalidNote("a submission is an old size, a proof, an empty line, a checkpoint")
        try:
            old, *hashes = head.decode("ascii").split("\n")
        except UnicodeDecodeError:
            raise InvalidNote("a proof is not ASCII") from None
        return cls(parse_number(old.removeprefix("old ")), parse_hashes(hashes), checkpoint)
