"""What an anchor holds, and whether the log still is what it was then."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Protocol

from capture.evidence.checkpoint import Checkpoint as Head
from capture.evidence.note import InvalidNote, Note, VerifierKey, encode
from reports.evidence.checkpoints import check_holds
from reports.evidence.key import CannotSign
from reports.models import Checkpoint


class AnchorFailed(Exception):
    """An anchor did not take a checkpoint: one sentence says why. It is tried again."""


class Anchor(Protocol):
    @property
    def takes_all(self) -> bool:
        """False if the newest checkpoint is enough."""

    def take(self, checkpoints: Sequence[Checkpoint], held_size: int) -> None:
        """Brings checkpoints to the anchor, in the log's order. It has taken those up to
        `held_size` before. Raises AnchorFailed, or OSError."""

    def notes(self) -> Iterator[Note]:
        """Yields the checkpoints that it holds. Raises AnchorFailed, or OSError."""


def newer(
    checkpoints: Sequence[Checkpoint], held: Iterable[Note], keys: Sequence[VerifierKey]
) -> list[Checkpoint]:
    """Returns those that come after the ones that an anchor holds. Raises AnchorFailed if the log
    is not what it was at the last of these."""
    last = max(read_heads(held, keys), key=lambda head: head.size, default=None)
    if last is None:
        return list(checkpoints)
    try:
        check_holds(last.size, encode(last.root), checkpoints[-1].size)
    except CannotSign as error:
        raise AnchorFailed(f"it holds another past of this log: {error}") from None
    return [one for one in checkpoints if one.size > last.size]


def read_heads(notes: Iterable[Note], keys: Sequence[VerifierKey]) -> Iterator[Head]:
    """Yields the checkpoints that one of these keys has signed."""
    for note in notes:
        try:
            if note.signers(keys):
                yield Head.parse(note.text)
        except InvalidNote:
            continue


def split_notes(lines: Iterable[str]) -> Iterator[Note]:
    """Yields the notes of a file, in which empty lines are between them, without anything that is
    none: a signature belongs to the paragraph before it."""
    text, paragraph = "", ""
    for line in (*lines, "\n"):
        if line != "\n":
            paragraph += line
            continue
        if paragraph.startswith("\u2014 "):
            with suppress(InvalidNote):
                yield Note.parse(f"{text}\n{paragraph}".encode(errors="replace"))
        text, paragraph = paragraph or text, ""
