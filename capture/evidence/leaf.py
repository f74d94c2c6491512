"""The records of which the log holds hashes: one for each call, and one for each thing that happens
to calls afterwards.

A record is an object of strings, integers and null alone, as compact JSON with sorted keys, which
is what RFC 8785 makes of it. Texts are in it as commitments: hex SHA-256 of 16 random bytes, the
salt, and the text. Without its salt no text can be guessed from a commitment, so erasing a text and
its salt leaves the record as it is, and tells nobody what the text was.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum

import orjson

VERSION = 1
SALT_SIZE = 16
Value = str | int | None

# In the order of their salts.
COMMITTED = (
    "agent_name",
    "error_detail",
    "handoff_from",
    "handoff_to",
    "path",
    "request",
    "response",
    "session_id",
    "texts",
    "user_id",
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SALT, _COMMITMENT = b"s", b"c"


class Kind(StrEnum):
    CALL = "call"
    AUDIT = "audit"
    HEARTBEAT = "heartbeat"
    DELETION = "deletion"
    CORRECTION = "correction"
    REPLACEMENT = "replacement"
    ERASURE = "erasure"


def call_record(
    facts: Mapping[str, Value], texts: Mapping[str, str | None], secret: bytes
) -> bytes:
    """Returns the record of a call. `texts` has each of COMMITTED: of erased ones, None."""
    commitments: dict[str, Value] = {}
    for name, one in unpack_secret(secret).items():
        text = texts[name]
        if isinstance(one, str):
            commitments[name] = one
        else:
            commitments[name] = commit(one, text) if text is not None else None
    return record({**facts, **commitments, "kind": Kind.CALL.value})


def record(facts: Mapping[str, Value]) -> bytes:
    return orjson.dumps({**facts, "v": VERSION}, option=orjson.OPT_SORT_KEYS)


def commit(salt: bytes, text: str) -> str:
    return hashlib.sha256(salt + text.encode()).hexdigest()


def unpack_secret(secret: bytes) -> dict[str, bytes | str]:
    """Returns the salt of each of COMMITTED, or the commitment of what was erased."""
    if len(secret) == SALT_SIZE:
        salts = hashlib.shake_256(secret).digest(SALT_SIZE * len(COMMITTED))
        return {
            name: salts[number * SALT_SIZE : (number + 1) * SALT_SIZE]
            for number, name in enumerate(COMMITTED)
        }
    kept: dict[str, bytes | str] = {}
    at = 0
    for name in COMMITTED:
        if secret[at : at + 1] == _COMMITMENT:
            kept[name] = secret[at + 1 : at + 33].hex()
            at += 33
        else:
            kept[name] = secret[at + 1 : at + 1 + SALT_SIZE]
            at += 1 + SALT_SIZE
    return kept


def erase(secret: bytes, texts: Mapping[str, str | None], names: Iterable[str]) -> bytes:
    """Returns what is left of a call's secret when these texts are erased: their commitments, and
    the other texts' salts. A text that is None has nothing to erase."""
    kept = unpack_secret(secret)
    for name in names:
        text, salt = texts[name], kept[name]
        if text is not None and isinstance(salt, bytes):
            kept[name] = commit(salt, text)
    return b"".join(
        _COMMITMENT + bytes.fromhex(one) if isinstance(one, str) else _SALT + one
        for one in kept.values()
    )


def microseconds(at: datetime) -> int:
    """Returns the time since 1970 in microseconds."""
    return (at - _EPOCH) // _MICROSECOND


def indices_digest(indices: Iterable[int]) -> str:
    """Returns the hex SHA-256 of ascending indices in decimal, each on a line."""
    digest = hashlib.sha256()
    for index in indices:
        digest.update(b"%d\n" % index)
    return digest.hexdigest()
