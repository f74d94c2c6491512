"""Takes the markers for a provider's cache out of the parts of a request, so that a message is the
same with them and without, and puts them back: its bytes are as they were sent."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import groupby
from operator import attrgetter

from capture.parsing.parsed_call import StoredPart
from capture.wire.binaries.references import Mark, Reference, ReferencingText, StoredText
from capture.wire.shared.markers import Cut
from capture.wire.types import BodyPart

_END = Mark(0, -1, b"")


def cut_part(
    part: BodyPart, cuts: Sequence[Cut], text: ReferencingText, original: bytes
) -> StoredPart:
    """Returns a part of `text` without `cuts`; `text` has references in place of the binaries of
    `original`."""
    starts = [part.start, *(cut.end for cut in cuts)]
    ends = [*(cut.start for cut in cuts), part.end]
    pieces, originals, references = [], [], []
    size = 0
    for start, end in zip(starts, ends, strict=True):
        pieces.append(text.text[start:end])
        originals.append(original[text.original_offset(start) : text.original_offset(end)])
        references += [
            reference._replace(offset=reference.offset + size)
            for reference in text.references_between(start, end)
        ]
        size += end - start
    return StoredPart.from_referring(part.kind, b"".join(pieces), b"".join(originals), references)


def marks_of(index: int, part: BodyPart, cuts: Sequence[Cut], text: bytes) -> list[Mark]:
    """Returns what was cut out of the part with this index."""
    marks = []
    n_cut = 0
    size = part.end - part.start - sum(cut.end - cut.start for cut in cuts)
    for cut in cuts:
        offset = cut.start - part.start - n_cut
        # Markers mostly come at the same distance from the end: alike, they compress well.
        from_end = offset - size - 1
        nearer = offset if offset <= -from_end else from_end
        marks.append(Mark(index, nearer, text[cut.start : cut.end]))
        n_cut += cut.end - cut.start
    return marks


def insert_marks(parts: Sequence[StoredText], marks: Sequence[Mark]) -> list[StoredText]:
    """Returns the parts as they were sent. Raises IndexError if the marks are of other parts."""
    sent = list(parts)
    for index, some in groupby(marks, attrgetter("part")):
        sent[index] = _insert(sent[index], list(some))
    return sent


def _insert(part: StoredText, marks: Sequence[Mark]) -> StoredText:
    pieces: list[bytes] = []
    references: list[Reference] = []
    waiting = deque(part.references)
    position = n_added = 0
    for _, offset, piece in (*marks, _END):
        place = offset if offset >= 0 else offset + len(part.data) + 1
        pieces += (part.data[position:place], piece)
        while waiting and waiting[0].offset < place:
            reference = waiting.popleft()
            references.append(reference._replace(offset=reference.offset + n_added))
        position = place
        n_added += len(piece)
    return StoredText(b"".join(pieces), references)
