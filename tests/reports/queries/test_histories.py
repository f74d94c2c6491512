"""What calls share of their histories is read once, and each still has its own."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from capture.ledger.message_refs import RefUnpacker, pack_refs
from reports.queries.histories import Histories

REF = st.integers(1, 2**40)


@st.composite
def _histories(draw: st.DrawFn) -> list[list[int]]:
    """Of calls that go on where some call before was, drop what came first, or begin anew; few
    different messages, so that some come twice."""
    known = draw(st.lists(REF, min_size=1, max_size=6))
    histories: list[list[int]] = []
    for _ in range(draw(st.integers(1, 12))):
        old = draw(st.sampled_from([[], *histories]))
        old = old[draw(st.integers(0, len(old))) : draw(st.integers(0, len(old)))]
        new = draw(st.lists(st.one_of(st.sampled_from(known), REF), min_size=1, max_size=5))
        histories.append([*old, *new])
    return histories


@given(_histories())
def test_references_read_in_turn_are_those_that_were_packed(histories: list[list[int]]) -> None:
    in_turn = RefUnpacker()
    seen: set[int] = set()
    for refs in histories:
        read, new = in_turn.unpack(pack_refs(refs))
        seen.update(new)
        assert read == refs
        assert seen.issuperset(refs)


@given(_histories())
def test_each_call_has_its_own_messages(histories: list[list[int]]) -> None:
    texts = {ref: b'"%d"' % ref for ref in itertools.chain(*histories)}
    of_session = Histories(texts.__getitem__)
    pieces = [of_session.add(refs) for refs in histories]
    for refs, piece in zip(histories, pieces, strict=True):
        assert bytes(piece.json) == b",".join(map(texts.__getitem__, refs))
        assert piece.n_messages == len(refs)


def test_a_growing_history_that_loses_its_beginning_is_joined_once() -> None:
    reads: list[int] = []

    def text(ref: int) -> bytes:
        reads.append(ref)
        return b"{}"

    of_session = Histories(text)
    pieces = [of_session.add([*range(max(0, n - 5), n)]) for n in range(1, 50)]
    assert all(bytes(piece.json) for piece in pieces)
    assert reads == list(range(49))
