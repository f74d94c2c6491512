"""The tree, against the definitions in RFC 6962 as they stand there."""

from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from capture.evidence.tree import (
    EMPTY_ROOT,
    TILE_WIDTH,
    ReadTile,
    Tree,
    leaf_hash,
    tile_root,
    verify_consistency,
    verify_inclusion,
)

MAX = 70_000
LEAVES = [leaf_hash(b"%d" % number) for number in range(MAX)]


def mth(leaves: list[bytes]) -> bytes:
    """The Merkle tree hash of section 2.1."""
    if len(leaves) < 2:
        return leaves[0] if leaves else EMPTY_ROOT
    k = 1 << ((len(leaves) - 1).bit_length() - 1)
    return hashlib.sha256(b"\1" + mth(leaves[:k]) + mth(leaves[k:])).digest()


def tiles() -> ReadTile:
    levels = [LEAVES]
    while len(levels[-1]) >= TILE_WIDTH:
        below = levels[-1]
        full = range(0, len(below) - TILE_WIDTH + 1, TILE_WIDTH)
        levels.append([tile_root(b"".join(below[i : i + TILE_WIDTH])) for i in full])

    def read(level: int, index: int) -> bytes:
        return b"".join(levels[level][index * TILE_WIDTH : (index + 1) * TILE_WIDTH])

    return read


READ = tiles()
SIZES = st.one_of(st.integers(1, 600), st.integers(1, MAX), st.sampled_from([256, 65_536, 65_537]))


def test_the_root_is_that_of_the_rfc() -> None:
    assert Tree(0, READ).root() == hashlib.sha256(b"").digest()
    for size in (1, 2, 3, 7, 8, 255, 256, 257, 511, 513, 65_535, 65_536, 65_793, MAX):
        assert Tree(size, READ).root() == mth(LEAVES[:size]), size


@given(SIZES, st.data())
def test_a_proof_of_inclusion_holds_for_its_entry_alone(size: int, data: st.DataObject) -> None:
    index = data.draw(st.integers(0, size - 1))
    tree = Tree(size, READ)
    proof, root = tree.inclusion_proof(index), tree.root()
    assert tree.leaf(index) == LEAVES[index]
    assert verify_inclusion(LEAVES[index], index, size, proof, root)
    other = data.draw(st.integers(0, size).filter(lambda one: one != index))
    assert not verify_inclusion(LEAVES[index], other, size, proof, root)
    assert not verify_inclusion(leaf_hash(b"another"), index, size, proof, root)
    assert not verify_inclusion(LEAVES[index], index, size, [*proof, root], root)
    assert not verify_inclusion(LEAVES[index], index, size, proof, leaf_hash(root))
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        bit = data.draw(st.integers(0, 255))
        flipped = int.from_bytes(proof[at]) ^ (1 << bit)
        changed = [*proof[:at], flipped.to_bytes(32), *proof[at + 1 :]]
        assert not verify_inclusion(LEAVES[index], index, size, changed, root)
        assert not verify_inclusion(LEAVES[index], index, size, proof[:-1], root)


@given(SIZES, st.data())
def test_a_proof_of_consistency_holds_for_a_beginning_alone(size: int, data: st.DataObject) -> None:
    old = data.draw(st.integers(0, size))
    tree = Tree(size, READ)
    proof, root, old_root = tree.consistency_proof(old), tree.root(), Tree(old, READ).root()
    assert verify_consistency(old, size, old_root, root, proof)
    assert not verify_consistency(old, size, leaf_hash(old_root), root, proof)
    if old != 0:
        assert not verify_consistency(old, size, old_root, leaf_hash(root), proof)
    assert not verify_consistency(old, size, old_root, root, [*proof, root])
    if proof:
        assert not verify_consistency(old, size, old_root, root, proof[:-1])
        assert not verify_consistency(old, size, old_root, root, [leaf_hash(proof[0]), *proof[1:]])


@given(
    st.binary(min_size=32, max_size=32),
    st.integers(-2, 2**70),
    st.integers(-2, 2**70),
    st.lists(st.binary(max_size=32), max_size=80),
)
def test_proofs_from_strangers_are_no_errors(
    leaf: bytes, index: int, size: int, proof: list[bytes]
) -> None:
    assert not verify_inclusion(leaf, index, size, proof, b"")
    assert not verify_consistency(index, size, b"before", b"after", proof)
