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
from operator import itemgetter
from struct import Struct
from typing import Any

import orjson

from capture.wire.json.lenient import clean

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
# What a call's record has, in its order.
CALL_FIELDS = tuple(
    sorted(
        (
            *COMMITTED,
            *("action_id", "agent_source", "app_id", "at", "attempt", "cache_savings_usd"),
            *("cost_usd", "environment", "ingest_token", "kind", "latency_us", "method"),
            *("model_id", "n_calls", "outcome", "parent_action_id", "price_source", "provider"),
            *("refusal_code", "request_bytes", "response_bytes", "response_id", "response_model"),
            *("seq", "service_tier", "session_call", "session_source", "source", "status_code"),
            *("stop_reason", "streaming", "tokens_audio_in", "tokens_audio_out"),
            *("tokens_cache_read", "tokens_cache_write", "tokens_cache_write_1h"),
            *("tokens_image_in", "tokens_image_out", "tokens_in", "tokens_out"),
            *("tokens_reasoning", "ttft_us", "usage_source", "v", "wire_format"),
        )
    )
)
_pick = itemgetter(*CALL_FIELDS)
_split_salts = Struct(f"{SALT_SIZE}s" * len(COMMITTED))
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


def call_record(facts: Mapping[str, Any]) -> bytes:
    """Returns the record of a call, from facts that have all of CALL_FIELDS, and may have
    others."""
    named = dict(zip(CALL_FIELDS, _pick(facts), strict=True))
    try:
        made = orjson.dumps(named)
    except TypeError:  # a lone surrogate
        made = b"\\u0000"
    if b"\\u0000" in made:
        made = orjson.dumps(
            {name: clean(one) if isinstance(one, str) else one for name, one in named.items()}
        )
    return made


def commitments(texts: Mapping[str, str | None], secret: bytes) -> dict[str, Value]:
    """Returns the commitments to texts. `texts` has each of COMMITTED: of erased ones, None."""
    made: dict[str, Value] = {}
    for name, one in unpack_secret(secret).items():
        if isinstance(one, str):
            made[name] = one
        else:
            text = texts[name]
            made[name] = commit(one, text) if text is not None else None
    return made


def record(facts: Mapping[str, Value]) -> bytes:
    return orjson.dumps({**facts, "v": VERSION}, option=orjson.OPT_SORT_KEYS)


def commit(salt: bytes, text: str) -> str:
    return hashlib.sha256(salt + text.encode()).hexdigest()


def unpack_secret(secret: bytes) -> dict[str, bytes | str]:
    """Returns the salt of each of COMMITTED, or the commitment of what was erased."""
    if len(secret) == SALT_SIZE:
        salts = hashlib.shake_256(secret).digest(_split_salts.size)
        return dict(zip(COMMITTED, _split_salts.unpack(salts), strict=True))
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


def moment(us: int) -> datetime:
    """Returns the time that a record has."""
    return _EPOCH + us * _MICROSECOND


def indices_digest(indices: Iterable[int]) -> str:
    """Returns the hex SHA-256 of ascending indices in decimal, each on a line."""
    digest = hashlib.sha256()
    for index in indices:
        digest.update(b"%d\n" % index)
    return digest.hexdigest()
