"""The Merkle tree of RFC 6962 over the entries of a log, kept as tiles.

A tile of level 0 has the hashes of up to 256 entries, one of the next level the roots of up to 256
full tiles, and so on, as in C2SP's tlog-tiles: to append rewrites one tile, and a proof reads one
tile a level, three at ten million entries.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

HASH_SIZE = 32
TILE_HEIGHT = 8
TILE_WIDTH = 1 << TILE_HEIGHT
TILE_SIZE = TILE_WIDTH * HASH_SIZE
EMPTY_ROOT = hashlib.sha256(b"").digest()

ReadTile = Callable[[int, int], bytes]
"""Returns the hashes of a tile, by its level and index within the level."""

# A cache of all hashes in that many tiles takes 16 KB for each.
MAX_CACHED = 256


def leaf_hash(record: bytes) -> bytes:
    return hashlib.sha256(b"\0" + record).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()


def tile_root(tile: bytes) -> bytes:
    """Returns the root over the hashes of a full tile."""
    return _rows_of(tile)[TILE_HEIGHT][0]


class Tree:
    """A tree of `size` entries, which reads the tiles that it needs."""

    def __init__(self, size: int, read_tile: ReadTile) -> None:
        self.size = size
        self._read_tile = read_tile
        self._rows: dict[tuple[int, int], list[list[bytes]]] = {}

    def root(self) -> bytes:
        return self._hash(0, self.size) if self.size else EMPTY_ROOT

    def leaf(self, index: int) -> bytes:
        """Returns the hash of an entry."""
        return self._complete(0, index)

    def inclusion_proof(self, index: int) -> list[bytes]:
        """Returns the hashes that lead from an entry to the root. Raises IndexError beyond the
        tree's size."""
        if not 0 <= index < self.size:
            raise IndexError(index)
        proof = []
        start, end = 0, self.size
        while end - start > 1:
            middle = start + _split(end - start)
            if index < middle:
                proof.append(self._hash(middle, end))
                end = middle
            else:
                proof.append(self._hash(start, middle))
                start = middle
        return proof[::-1]

    def consistency_proof(self, old: int) -> list[bytes]:
        """Returns the hashes that show that the tree of the first `old` entries is the beginning of
        this one. Raises IndexError beyond the tree's size."""
        if not 0 <= old <= self.size:
            raise IndexError(old)
        if old in (0, self.size):
            return []
        proof = []
        start, end, is_known = 0, self.size, True
        while old != end:
            middle = start + _split(end - start)
            if old <= middle:
                proof.append(self._hash(middle, end))
                end = middle
            else:
                proof.append(self._hash(start, middle))
                start, is_known = middle, False
        if not is_known:
            proof.append(self._hash(start, end))
        return proof[::-1]

    def _hash(self, start: int, end: int) -> bytes:
        """Returns the root over the entries from `start` up to `end`. `start` is aligned to the
        largest power of two that is not above their number."""
        n = end - start
        if n & (n - 1) == 0:
            height = n.bit_length() - 1
            return self._complete(height, start >> height)
        middle = start + _split(n)
        return node_hash(self._hash(start, middle), self._hash(middle, end))

    def _complete(self, height: int, index: int) -> bytes:
        """Returns the root over 2^height entries, the `index`-th of such ranges."""
        level, row = divmod(height, TILE_HEIGHT)
        tile, place = divmod(index, TILE_WIDTH >> row)
        rows = self._rows.get((level, tile))
        if rows is None:
            if len(self._rows) >= MAX_CACHED:
                self._rows.clear()
            rows = self._rows[level, tile] = _rows_of(self._read_tile(level, tile))
        return rows[row][place]


def _split(n: int) -> int:
    """Returns the largest power of two below `n`."""
    return 1 << ((n - 1).bit_length() - 1)


def _rows_of(tile: bytes) -> list[list[bytes]]:
    """Returns the hashes of a tile, then those over two of them, over four, and so on."""
    row = [tile[i : i + HASH_SIZE] for i in range(0, len(tile), HASH_SIZE)]
    rows = [row]
    while len(row) > 1:
        row = [node_hash(row[i], row[i + 1]) for i in range(0, len(row) - 1, 2)]
        rows.append(row)
    return rows


def verify_inclusion(
    leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes
) -> bool:
    """Returns whether the entry with this hash has this index in the tree (RFC 9162, 2.1.3.2)."""
    if not 0 <= index < size:
        return False
    at, last, found = index, size - 1, leaf
    for one in proof:
        if last == 0:
            return False
        if at & 1 or at == last:
            found = node_hash(one, found)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, one)
        at, last = at >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Returns whether the tree of size `old` is the beginning of that of size `new` (RFC 9162,
    2.1.4.2)."""
    if old == new or old == 0:
        is_same = old_root == (new_root if old == new else EMPTY_ROOT)
        return is_same and not proof
    if not 0 < old < new or not proof:
        return False
    hashes = list(proof)
    if old & (old - 1) == 0:
        hashes.insert(0, old_root)
    at, last = old - 1, new - 1
    while at & 1:
        at, last = at >> 1, last >> 1
    before = after = hashes[0]
    for one in hashes[1:]:
        if last == 0:
            return False
        if at & 1 or at == last:
            before, after = node_hash(one, before), node_hash(one, after)
            while at and not at & 1:
                at, last = at >> 1, last >> 1
        else:
            after = node_hash(after, one)
        at, last = at >> 1, last >> 1
    return last == 0 and before == old_root and after == new_root
