"""The calls that an index offers to a search."""

from __future__ import annotations

from typing import NamedTuple


class CandidateRange(NamedTuple):
    """The calls from the seq `lowest` up to where the previous range began. Only the calls in
    `seqs`, newest first, can match."""

    lowest: int
    seqs: list[int]
