"""Signed notes and their keys: what is written is read again, and no other bytes are accepted."""

from __future__ import annotations

from contextlib import suppress

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.evidence.note import (
    MAX_NOTE,
    MAX_SIGNATURES,
    InvalidNote,
    KeyType,
    Note,
    Signer,
    VerifierKey,
)

# The example of c2sp.org/signed-note; its key is that of golang.org/x/mod/sumdb/note's tests.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETERS = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
    "\n"
    "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXg"
    "KvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)

IN_NAMES = st.characters(exclude_categories=("Cs", "Cc", "Z"), exclude_characters="+")
NAMES = st.text(IN_NAMES, min_size=1, max_size=40)
IN_TEXTS = st.characters(exclude_categories=("Cs", "Cc"))
TEXTS = st.text(IN_TEXTS, max_size=80).map(lambda text: text + "\n")
ANYTHING = st.binary(max_size=300) | st.text(max_size=300).map(lambda t: t.encode(errors="replace"))


def signer(name: str = "example.org/log", seed: int = 1) -> Signer:
    return Signer(name, Ed25519PrivateKey.from_private_bytes(bytes([seed]) * 32))


def test_a_note_of_another_program_is_valid() -> None:
    key = VerifierKey.parse(PETER)
    assert key.text() == PETER
    note = Note.parse(PETERS.encode())
    assert list(note.signers([key])) == [key]
    assert str(note) == PETERS


@pytest.mark.parametrize(
    "text",
    [
        *("", "a", "a+b", "a+00000000+AA==", PETER.replace("c74f", "c74e"), PETER[:-4]),
        *(PETER.replace("+ARpc", "+Arpc"), PETER.replace("Peter", "Pe ter"), PETER + "="),
        "a\ud800" + PETER,
    ],
)
def test_a_key_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidNote):
        VerifierKey.parse(text)


@settings(max_examples=60)
@given(NAMES, TEXTS, st.integers(0, 2**63 - 1))
def test_a_note_is_read_as_it_was_written(name: str, text: str, time_s: int) -> None:
    one = signer(name)
    note = Note(text, (one.sign(text), one.cosign(text, time_s)))
    read = Note.parse(str(note).encode())
    assert read == note
    signed = read.signers([one.key, one.cosigner])
    assert signed[one.cosigner].time_s == time_s
    assert VerifierKey.parse(one.key.text()) == one.key
    assert one.cosigner.type == KeyType.COSIGNATURE and one.cosigner.id != one.key.id


@settings(max_examples=200)
@given(st.data())
def test_no_bit_of_a_note_can_be_changed(data: st.DataObject) -> None:
    one = signer()
    text = "example.org/log\n3\nAAAA\n"
    whole = str(Note(text, (one.sign(text), one.cosign(text, 1_700_000_000)))).encode()
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    changed = bytearray(whole)
    changed[bit // 8] ^= 1 << bit % 8
    with suppress(InvalidNote):
        found = Note.parse(bytes(changed)).signers([one.key, one.cosigner])
        # A changed name or id is an unknown key's line: the other key's is still there.
        assert len(found) < 2 and Note.parse(bytes(changed)).text == text


def test_a_signature_by_another_key_of_the_same_name_is_not_valid() -> None:
    one, other = signer(), signer(seed=2)
    assert Note("t\n", (other.sign("t\n"),)).signers([one.key]) == {}


def test_two_signatures_of_one_key_are_refused() -> None:
    one = signer()
    with pytest.raises(InvalidNote, match="two signatures"):
        Note("t\n", (one.sign("t\n"), one.sign("t\n"))).signers([one.key])


def test_a_later_cosignature_takes_the_place_of_an_earlier_one() -> None:
    one = signer()
    note = Note("t\n", (one.sign("t\n"), one.cosign("t\n", 1)))
    later = note.with_signatures([one.cosign("t\n", 2)])
    assert later.signers([one.key, one.cosigner])[one.cosigner].time_s == 2
    assert len(later.signatures) == 2


@settings(max_examples=500)
@given(ANYTHING)
def test_whatever_strangers_send_is_read_or_refused(sent: bytes) -> None:
    with suppress(InvalidNote):
        assert str(Note.parse(sent)).encode() == sent
    with suppress(InvalidNote):
        assert str(Note.parse(b"a\n\n" + sent)).encode() == b"a\n\n" + sent


def test_hostile_notes_are_refused_at_once() -> None:
    line = signer().sign("t\n").line()
    assert len(Note.parse(("t\n\n" + line * MAX_SIGNATURES).encode()).signatures) >= 16
    for hostile in (
        "t\n\n" + line * (MAX_SIGNATURES + 1),
        "t" * MAX_NOTE + "\n\n" + line,
        "\n" * MAX_NOTE,
        "t\t\n\n" + line,
        "t\n\n" + line.replace("— ", "- "),
        "t\n\n" + line.rstrip("\n"),
        "t\n\n— a b c\n",
        "t\n\n— a+b AAAAAAAA\n",
        "t\n\n— a AAAA\n",
    ):
        with pytest.raises(InvalidNote):
            Note.parse(hostile.encode())
