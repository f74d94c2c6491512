from __future__ import annotations

import gzip
import random
import tracemalloc
import zlib
from collections.abc import Callable
from itertools import accumulate

import brotli  # type: ignore[import-untyped]  # it has no types
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from capture.wire.framing.content_encoding import (
    ALWAYS_BYTES,
    MOST_TIMES,
    Undecodable,
    decode,
    iter_decode,
)

BODY = b"".join(b'data: {"n":%d}\n\n' % n for n in range(2_000))
NOISE = random.Random(7).randbytes(50_000)


def raw_deflate(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return compressor.compress(data) + compressor.flush()


CODINGS: dict[str, tuple[str, Callable[[bytes], bytes]]] = {
    "gzip": ("gzip", gzip.compress),
    "x-gzip in capitals": (" X-GZip ", gzip.compress),
    "deflate": ("deflate", zlib.compress),
    "deflate without container": ("deflate", raw_deflate),
    "br": ("br", lambda data: brotli.compress(data, quality=5)),
    "zstd": ("zstd", zstandard.ZstdCompressor().compress),
    "gzip, br": ("gzip, br", lambda data: brotli.compress(gzip.compress(data))),
    "zstd, deflate": (
        "zstd, identity, deflate",
        lambda data: zlib.compress(zstandard.ZstdCompressor().compress(data)),
    ),
}
codings = pytest.mark.parametrize(("encoding", "encode"), CODINGS.values(), ids=CODINGS.keys())


def in_pieces(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


@codings
@pytest.mark.parametrize("size", [1, 1_000, 10**9])
def test_body_is_decoded(encoding: str, encode: Callable[[bytes], bytes], size: int) -> None:
    for body in (BODY, NOISE, b"x"):
        pieces = in_pieces(encode(body), size)
        decoded = decode(pieces, encoding)
        assert (decoded.body, decoded.note) == (body, None)
        assert len(decoded.piece_ends) == len(pieces)
        assert decoded.piece_ends == sorted(decoded.piece_ends)
        assert decoded.piece_ends[-1] == len(body)


def test_piece_ends_say_which_piece_brought_which_bytes() -> None:
    compressor = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    events = [b"data: %d\n\n" % n for n in range(50)]
    flushed = [compressor.compress(event) + compressor.flush(zlib.Z_SYNC_FLUSH) for event in events]
    decoded = decode([*flushed, compressor.flush()], "gzip")
    ends = list(accumulate(map(len, events)))
    assert decoded.piece_ends == [*ends, ends[-1]]


@pytest.mark.parametrize("encoding", [None, "", "identity", " Identity "])
def test_body_without_encoding_is_as_it_came(encoding: str | None) -> None:
    decoded = decode([b"ab", b"", b"c"], encoding, limit=1)
    assert (decoded.body, decoded.piece_ends, decoded.note) == (b"abc", [2, 2, 3], None)


@codings
def test_empty_body_needs_no_note(encoding: str, encode: Callable[[bytes], bytes]) -> None:
    assert (decode([], encoding).body, decode([b""], encoding).note) == (b"", None)


def test_unknown_encoding_leaves_the_bytes() -> None:
    decoded = decode([b"abc"], "aws-chunked")
    assert (decoded.body, decoded.note) == (b"abc", "content-encoding 'aws-chunked' is unknown")
    decoded = decode([gzip.compress(b"abc")], "rot13, gzip")
    assert (decoded.body, decoded.note) == (b"abc", "content-encoding 'rot13' is unknown")
    decoded = decode([b"abc"], "gzip, " * 1_000)
    assert (decoded.body, decoded.note) == (b"abc", "1000 content-encodings, not decoded")


@codings
def test_body_that_compresses_well_is_whole(
    encoding: str, encode: Callable[[bytes], bytes]
) -> None:
    body = b'{"role":"user","content":"x"},' * 100_000
    for size in (10, 10**9):
        decoded = decode(in_pieces(encode(body), size), encoding)
        assert (decoded.body == body, decoded.note) == (True, None)


@codings
def test_cut_body_yields_its_beginning(encoding: str, encode: Callable[[bytes], bytes]) -> None:
    encoded = encode(NOISE)
    for cut in (1, 5, len(encoded) // 2, len(encoded) - 1):
        decoded = decode(in_pieces(encoded[:cut], 700), encoding)
        assert NOISE.startswith(decoded.body)
        assert decoded.note is not None and decoded.note.endswith("cut short")
    assert len(decode([encoded[:-30]], encoding).body) > len(NOISE) - 20_000


def test_broken_gzip_yields_all_up_to_the_wrong_byte() -> None:
    encoded = bytearray(gzip.compress(NOISE, 0))  # stored, so that a byte is in its own place
    encoded[-40_000:] = b"\xff" * 40_000
    for size in (100, 10**9):
        decoded = decode(in_pieces(bytes(encoded), size), "gzip")
        intact = len(NOISE) - 40_000 + 8
        assert decoded.body[:intact] == NOISE[:intact]
        assert decoded.note == "content-encoding gzip: broken"
        assert decoded.piece_ends[-1] == len(decoded.body)


@codings
def test_broken_body_yields_a_note(encoding: str, encode: Callable[[bytes], bytes]) -> None:
    decoded = decode([b"this is not compressed at all"], encoding)
    assert decoded.body == b""
    assert decoded.note is not None


def test_members_and_frames_may_follow_one_another() -> None:
    gzipped = gzip.compress(b"ab") + gzip.compress(b"") + gzip.compress(b"c")
    framed = b"".join(map(zstandard.ZstdCompressor().compress, (b"ab", b"c")))
    for size in (1, 10**9):
        assert decode(in_pieces(gzipped, size), "gzip").body == b"abc"
        assert decode(in_pieces(framed, size), "zstd").body == b"abc"
        trailing = decode(in_pieces(gzipped + b"\0\0junk", size), "gzip")
        assert (trailing.body, trailing.note) == (b"abc", None)


@codings
def test_bomb_is_bounded(encoding: str, encode: Callable[[bytes], bytes]) -> None:
    bomb = encode(bytes(64 * 2**20))
    limit = 2**20
    tracemalloc.start()
    try:
        decoded = decode([bomb], encoding, limit)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert decoded.body == bytes(limit)
    assert decoded.note is not None and "more than 1,048,576 bytes" in decoded.note
    assert peak_bytes < 48 * 2**20


@codings
def test_body_of_exactly_the_limit_is_whole(
    encoding: str, encode: Callable[[bytes], bytes]
) -> None:
    decoded = decode([encode(NOISE)], encoding, limit=60_000)
    assert (len(decoded.body), decoded.note) == (len(NOISE), None)
    if "," not in encoding:
        assert decode([encode(NOISE)], encoding, limit=len(NOISE)).note is None
        assert decode([encode(NOISE)], encoding, limit=len(NOISE) - 1).note is not None


@given(
    st.lists(st.binary(max_size=40), max_size=5),
    st.sampled_from(["gzip", "deflate", "br", "zstd", "br, gzip", "nope", "gzip,,x"]),
    st.sampled_from([b"", gzip.compress(b"abc"), brotli.compress(b"abc"), zlib.compress(b"abc")]),
)
def test_decoding_never_raises(pieces: list[bytes], encoding: str, head: bytes) -> None:
    decoded = decode([head, *pieces], encoding, limit=1_000)
    assert len(decoded.piece_ends) == len(pieces) + 1
    assert decoded.piece_ends[-1] == len(decoded.body)


# --- piece by piece ---


@codings
@pytest.mark.parametrize("size", [1, 1_000, 10**9])
def test_pieces_are_decoded_one_by_one(
    encoding: str, encode: Callable[[bytes], bytes], size: int
) -> None:
    for body in (BODY, NOISE, b"x"):
        assert b"".join(iter_decode(in_pieces(encode(body), size), encoding)) == body
    assert b"".join(iter_decode([], encoding)) == b""


@codings
def test_what_grows_too_much_is_decoded_no_further(
    encoding: str, encode: Callable[[bytes], bytes]
) -> None:
    bomb = encode(bytes(64 * 2**20))
    n_decoded = 0
    with pytest.raises(Undecodable, match=f"more than {MOST_TIMES} times its size"):
        for piece in iter_decode(in_pieces(bomb, 1_000), encoding):
            assert len(piece) <= 2**18
            n_decoded += len(piece)
    assert n_decoded <= max(ALWAYS_BYTES, MOST_TIMES * len(bomb))


def test_a_coding_within_that_makes_nothing_is_bounded_too() -> None:
    compressor = zlib.compressobj(9, wbits=zlib.MAX_WBITS | 16)
    nothing = b"\0\0\0\xff\xff" * 4_000_000  # blocks of deflate without content
    bomb = compressor.compress(nothing) + compressor.flush()
    pieces = []
    with pytest.raises(Undecodable, match="grows to more"):
        for piece in iter_decode([bomb], "deflate, gzip"):
            pieces.append(piece)
    assert not any(pieces)


@codings
def test_a_body_that_is_cut_or_broken_says_so(
    encoding: str, encode: Callable[[bytes], bytes]
) -> None:
    encoded = encode(NOISE)
    got = b""
    with pytest.raises(Undecodable, match="cut short"):
        for piece in iter_decode([encoded[:-20]], encoding):
            got += piece
    assert len(got) > len(NOISE) - 20_000 and NOISE.startswith(got)
    with pytest.raises(Undecodable):
        list(iter_decode([b"this is not compressed at all"], encoding))


def test_an_unknown_coding_is_not_decoded() -> None:
    for encoding in ("aws-chunked", "rot13, gzip", "gzip, " * 1_000):
        with pytest.raises(Undecodable, match="unknown|1000 content-encodings"):
            list(iter_decode([gzip.compress(b"abc")], encoding))
