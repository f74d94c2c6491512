"""Checkpoints, proofs and submissions to a witness: read as written, and nothing else accepted."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.evidence.checkpoint import MAX_HASHES, Checkpoint, InclusionProof
from capture.evidence.note import InvalidNote, Note
from capture.evidence.tree import EMPTY_ROOT
from capture.evidence.witness import Submission
from tests.capture.evidence.test_note import NAMES, signer

HASHES = st.binary(min_size=32, max_size=32)
SIZES = st.integers(1, 2**63 - 1)
CHECKPOINTS = st.builds(Checkpoint, NAMES, SIZES, HASHES)

# The example of c2sp.org/tlog-checkpoint.
BEHIND_THE_SOFA = (
    "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
)


def test_the_example_of_the_specification_is_read() -> None:
    found = Checkpoint.parse(BEHIND_THE_SOFA)
    assert (found.origin, found.size) == ("example.com/behind-the-sofa", 20852163)
    assert found.text() == BEHIND_THE_SOFA


@given(CHECKPOINTS)
def test_a_checkpoint_is_read_as_it_was_written(checkpoint: Checkpoint) -> None:
    assert Checkpoint.parse(checkpoint.text()) == checkpoint


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a\n1\n",
        BEHIND_THE_SOFA.rstrip("\n"),
        BEHIND_THE_SOFA + "\n",
        BEHIND_THE_SOFA.replace("20852163", "020852163"),
        BEHIND_THE_SOFA.replace("20852163", "+20852163"),
        BEHIND_THE_SOFA.replace("20852163", "٣"),
        BEHIND_THE_SOFA.replace("20852163", "9" * 19),
        BEHIND_THE_SOFA.replace("20852163", "9" * 5000),
        BEHIND_THE_SOFA.replace("20852163", "0"),
        BEHIND_THE_SOFA.replace("q2I=", "q2J="),
        BEHIND_THE_SOFA.replace("CsUY", ""),
        BEHIND_THE_SOFA.replace("behind", "be hind"),
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(InvalidNote):
        Checkpoint.parse(text)


def test_an_empty_log_has_a_checkpoint() -> None:
    empty = Checkpoint("a", 0, EMPTY_ROOT)
    assert Checkpoint.parse(empty.text()) == empty


@settings(max_examples=50)
@given(CHECKPOINTS, SIZES, st.lists(HASHES, max_size=MAX_HASHES), st.none() | st.binary())
def test_a_proof_is_read_as_it_was_written(
    checkpoint: Checkpoint, index: int, hashes: list[bytes], extra: bytes | None
) -> None:
    text = checkpoint.text()
    proof = InclusionProof(index, hashes, str(Note(text, (signer().sign(text),))), extra)
    read = InclusionProof.parse(proof.text())
    assert read == proof
    submission = Submission(index, hashes, read.checkpoint.encode())
    assert Submission.parse(submission.body()) == submission


@settings(max_examples=500)
@given(st.text(max_size=200))
def test_whatever_strangers_send_is_read_or_refused(sent: str) -> None:
    for text in (
        sent,
        f"c2sp.org/tlog-proof@v1\n{sent}",
        f"c2sp.org/tlog-proof@v1\nindex 1\n{sent}",
    ):
        with suppress(InvalidNote):
            assert InclusionProof.parse(text).text() == text
    for body in (sent.encode("utf-8", "replace"), b"old 1\n" + sent.encode("utf-8", "replace")):
        with suppress(InvalidNote):
            assert Submission.parse(body).body() == body
    with suppress(InvalidNote):
        assert Checkpoint.parse(sent).text() == sent


def test_a_proof_of_more_hashes_than_a_tree_is_high_is_refused() -> None:
    hashes = [bytes(32)] * (MAX_HASHES + 1)
    with pytest.raises(InvalidNote):
        Submission.parse(Submission(1, hashes, b"x").body())
    with pytest.raises(InvalidNote):
        InclusionProof.parse(InclusionProof(1, hashes, "x").text())
