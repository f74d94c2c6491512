"""Says what was altered, as far as it can be told: the log has nothing but a hash of the record, so
likely values are tried until one fits."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Any

import orjson
from django.db import connection

from capture.evidence.leaf import COMMITTED, Value, call_record, commit, commitments, unpack_secret
from capture.evidence.leaf import record as make_record
from capture.evidence.tree import HASH_SIZE, TILE_WIDTH, leaf_hash
from capture.ledger.call_rows import token_counts, truncate
from capture.ledger.log.records import texts_of
from capture.ledger.tools.asked import cut
from capture.models import NAME_LENGTH, Call
from capture.operations.reprice import parse_response
from capture.pricing.cost import exact_usd
from capture.wire.types import ParsedResponse
from reports.verification.bodies import (
    StoredParts,
    digest_of,
    refs_of,
    request_bytes,
    response_bytes,
)
from reports.verification.calls import StoredCall
from reports.verification.findings import Damage, Finding

# Of one verification: each takes some tens of milliseconds.
MAX_EXPLAINED = 20
# Texts up to this length are tried with each of their bits changed.
MAX_TEXT = 200
_INT_BITS = 53


class Diagnosis:
    """Explains the first differences that are found."""

    def __init__(self) -> None:
        self._left = MAX_EXPLAINED

    def _may_explain(self) -> bool:
        self._left -= 1
        return self._left >= 0

    def moved(self, index: int, record: str, otherwise: str) -> Finding:
        """Returns the finding on an entry whose record is not the one at its index."""
        place = _find(leaf_hash(record.encode())) if self._may_explain() else None
        if place is None:
            return Finding(Damage.ALTERED, otherwise, index)
        return Finding(Damage.REORDERED, f"here is what was logged at {place}", index)

    def explain(self, call: StoredCall, record: bytes, expected: bytes) -> Finding:
        unknown = "is not as it was recorded"
        if not self._may_explain():
            return call.finding(Damage.ALTERED, unknown)
        place = _find(leaf_hash(record))
        if place is not None:
            return call.finding(Damage.REORDERED, f"is here, and was logged at {place}")
        facts: dict[str, Value] = orjson.loads(record)
        for name, value in _candidates(call, facts):
            if leaf_hash(make_record({**facts, name: value})) == expected:
                return _told(call, name, facts[name], value)
        if _has_other_salts(call, facts, expected):
            what = "has other salts than it was recorded with"
            return call.finding(Damage.ALTERED, what, "log_secret")
        return call.finding(Damage.ALTERED, unknown)


def _told(call: StoredCall, name: str, now: Value, then: Value) -> Finding:
    if name in COMMITTED:
        return call.finding(Damage.ALTERED, f"has another {name} than was recorded", name)
    if name == "seq":
        what = f"was recorded as number {then}, not as {now}: calls change places"
        return call.finding(Damage.REORDERED, what, name)
    return call.finding(Damage.ALTERED, f"has {name} {now}, and was recorded with {then}", name)


def _find(hash_: bytes) -> int | None:
    """Returns the index at which the log has this hash."""
    function = "instr(hashes, %s)" if connection.vendor == "sqlite" else "position(%s in hashes)"
    with connection.cursor() as cursor:
        cursor.execute(
            f'SELECT "index", {function} FROM capture_logtile WHERE level = 0 AND {function} > 0',
            (hash_, hash_),
        )
        row = cursor.fetchone()
    return row[0] * TILE_WIDTH + (row[1] - 1) // HASH_SIZE if row is not None else None


def _candidates(call: StoredCall, facts: Mapping[str, Value]) -> Iterator[tuple[str, Value]]:
    """Yields other values that fields of the record may have had."""
    yield from _by_other_rows(call, facts)
    for name, value in facts.items():
        if value is not None:
            yield name, None
    texts, salts = call.texts(), unpack_secret(bytes(call.row["log_secret"]))
    for name, value in facts.items():
        salt, text = salts.get(name), texts.get(name)
        if isinstance(salt, bytes):
            for one in _flipped(text) if text is not None else ():
                yield name, commit(salt, one)
        elif isinstance(value, int):
            yield from ((name, value ^ (1 << bit)) for bit in range(_INT_BITS))
            yield name, -value
        elif isinstance(value, str) and name not in COMMITTED:
            yield from ((name, one) for one in _flipped(value))


def _flipped(text: str) -> Iterator[str]:
    data = text.encode()
    if len(data) > MAX_TEXT:
        return
    for bit in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            yield flipped.decode()
        except UnicodeDecodeError:
            continue


def _by_other_rows(call: StoredCall, facts: Mapping[str, Value]) -> Iterator[tuple[str, Value]]:
    """Yields values that are told by what else is stored of the call, or beside it."""
    row = call.row
    salts = unpack_secret(bytes(row["log_secret"]))
    for side in ("request", "response"):
        salt = salts[side]
        if isinstance(salt, bytes):
            with suppress(Exception):  # it is damaged, too, or not kept
                is_request = side == "request"
                body = request_bytes(row, _parts_of(row)) if is_request else response_bytes(row)
                yield side, commit(salt, digest_of(body))
    seq: int = row["seq"]
    yield from (("seq", seq + step) for step in range(-TILE_WIDTH, TILE_WIDTH))
    near = Call.objects.filter(
        log_index__gt=call.index - TILE_WIDTH, log_index__lt=call.index + TILE_WIDTH
    )
    yield from (("seq", other) for other in near.values_list("seq", flat=True))
    with suppress(Exception):  # as above
        yield from _by_response(call, salts)


def _by_response(call: StoredCall, salts: Mapping[str, bytes | str]) -> Iterator[tuple[str, Value]]:
    """Yields what the stored response says, and the cost's parts."""
    stored = Call.objects.select_related("body").get(pk=call.row["action_id"])
    if (parts := stored.body.cost_parts) is not None:
        yield "cost_usd", exact_usd(sum(map(Decimal, parts.values()), Decimal(0)))
    parsed = parse_response(stored)
    yield from token_counts(parsed.usage).items()
    for name in ("response_model", "stop_reason", "service_tier"):
        yield name, truncate(getattr(parsed, name), NAME_LENGTH)
    called = [
        {"tool_call_id": cut(one.id), "name": cut(one.name), "arguments": one.arguments}
        for one in parsed.tool_calls
    ]
    texts = texts_of(call.row, _texts_of_response(parsed), called, None)["texts"]
    salt = salts["texts"]
    if isinstance(salt, bytes) and texts is not None:
        yield "texts", commit(salt, texts)


def _texts_of_response(parsed: ParsedResponse) -> dict[str, str | None]:
    return {"content": parsed.content, "reasoning": parsed.reasoning}


def _parts_of(row: Mapping[str, Any]) -> StoredParts:
    parts = StoredParts()
    parts.read(refs_of(row))
    return parts


def _has_other_salts(call: StoredCall, facts: Mapping[str, Value], expected: bytes) -> bool:
    """Returns whether a bit of the secret was changed, of which all salts are made."""
    secret, texts = bytes(call.row["log_secret"]), call.texts()
    for bit in range(8 * len(secret)):
        flipped = bytearray(secret)
        flipped[bit // 8] ^= 1 << bit % 8
        try:
            record = call_record({**facts, **commitments(texts, bytes(flipped))})
        except (IndexError, ValueError):  # it does not tell what it holds any more
            continue
        if leaf_hash(record) == expected:
            return True
    return False
