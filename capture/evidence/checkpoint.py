"""Checkpoints (c2sp.org/tlog-checkpoint): a log's size and root, as the text of a signed note, and
proofs that an entry is in it (c2sp.org/tlog-proof)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from capture.evidence.note import (
    MAX_NOTE,
    InvalidNote,
    check_name,
    decode,
    encode,
    parse_number,
)
from capture.evidence.tree import EMPTY_ROOT, HASH_SIZE

PROOF_HEADER = "c2sp.org/tlog-proof@v1"
# No proof is longer: a tree has fewer than 2^63 entries.
MAX_HASHES = 63
MAX_EXTRA = 64 * 1024


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The head of a log. `extensions` are lines that the log adds, which ours does not."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def text(self) -> str:
        lines = (self.origin, str(self.size), encode(self.root), *self.extensions)
        return "".join(f"{line}\n" for line in lines)

    @classmethod
    def parse(cls, text: str) -> Checkpoint:
        """Raises InvalidNote."""
        lines = text.split("\n")
        if len(lines) < 4 or lines.pop() != "" or not all(lines):
            raise InvalidNote("a checkpoint has an origin, a size and a root, each on a line")
        origin, size, root, *extensions = lines
        check_name(origin)
        found = cls(origin, parse_number(size), decode_hash(root), tuple(extensions))
        if found.size == 0 and found.root != EMPTY_ROOT:
            raise InvalidNote("a checkpoint of an empty log has a root of another")
        return found


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """What shows that an entry is in a log. `checkpoint` is the whole signed note; `extra` is not
    covered by the proof."""

    index: int
    hashes: Sequence[bytes]
    checkpoint: str
    extra: bytes | None = None

    def text(self) -> str:
        extra = f"extra {encode(self.extra)}\n" if self.extra is not None else ""
        lines = "".join(f"{encode(one)}\n" for one in self.hashes)
        return f"{PROOF_HEADER}\n{extra}index {self.index}\n{lines}\n{self.checkpoint}"

    @classmethod
    def parse(cls, text: str) -> InclusionProof:
        """Raises InvalidNote."""
        if len(text) > MAX_NOTE + 2 * MAX_EXTRA:
            raise InvalidNote("a proof is too long")
        head, separator, checkpoint = text.partition("\n\n")
        lines = head.split("\n")
        if not separator or lines.pop(0) != PROOF_HEADER:
            raise InvalidNote(f"a proof begins with {PROOF_HEADER} and ends in a checkpoint")
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = decode(lines.pop(0).removeprefix("extra "))
        if not lines or not lines[0].startswith("index "):
            raise InvalidNote("a proof says no index")
        index = parse_number(lines.pop(0).removeprefix("index "))
        return cls(index, parse_hashes(lines), checkpoint, extra)


def parse_hashes(lines: Sequence[str]) -> list[bytes]:
    """Raises InvalidNote."""
    if len(lines) > MAX_HASHES:
        raise InvalidNote(f"a proof has more than {MAX_HASHES} hashes")
    return [decode_hash(line) for line in lines]


def decode_hash(text: str) -> bytes:
    """Raises InvalidNote."""
    found = decode(text)
    if len(found) != HASH_SIZE:
        raise InvalidNote("a hash is not of 32 bytes")
    return found
