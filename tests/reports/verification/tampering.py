"""Alters the ledger as someone with its database could, and verifies it: runs in the ledger's own
environment, each change in a transaction that is rolled back.

    manage.py shell -c "from tests.reports.verification import tampering; tampering.flip_bits()"
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import zstandard
from django.apps import apps
from django.db import models, transaction
from django.db.models import F
from hypothesis import given, settings
from hypothesis import strategies as st

from capture.evidence.tree import HASH_SIZE, leaf_hash
from capture.ledger.log.read import log_size, read_records, read_tile
from capture.ledger.log.records import CALL_COLUMNS
from capture.ledger.message_refs import unpack_refs
from capture.models import (
    Call,
    CallBody,
    Ledger,
    LogEntry,
    LogTile,
    Message,
    Session,
    Tombstone,
    ToolCall,
)
from reports.evidence.checkpoints import covering
from reports.models import Checkpoint
from reports.verification.walk import Walk, verify_ledger

# Of each table, the columns that evidence is made of.
COLUMNS: dict[type[models.Model], tuple[str, ...]] = {
    Call: tuple(name for name in CALL_COLUMNS if name != "action_id") + ("log_index",),
    CallBody: (
        *("content", "reasoning", "part_refs", "frame", "frame_is_whole", "frame_encoding"),
        *("response", "response_encoding", "log_secret"),
    ),
    Message: ("data", "encoding"),
    ToolCall: ("tool_call_id", "name", "arguments"),
    Session: ("session_id",),
    LogEntry: ("kind", "action_id", "record"),
    LogTile: ("hashes",),
    Tombstone: ("log_index", "deletion_index"),
    Checkpoint: ("root", "note"),
}


# Of an encoding, those that have a meaning for all texts.
ENCODINGS = st.sampled_from([0, 1, 3])


@contextmanager
def undone() -> Iterator[None]:
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def flip(value: Any, bit: int) -> Any:
    """The value with one bit changed; of a time or an amount, of its number."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value ^ (1 << bit % 31)
    if isinstance(value, float):
        return float(flip(int(value), bit))
    if isinstance(value, Decimal):
        return value + Decimal(1 << bit % 20) / 10**6
    if isinstance(value, datetime):
        return value + timedelta(microseconds=1 << bit % 40)
    if isinstance(value, UUID):
        return UUID(int=value.int ^ (1 << bit % 128))
    if isinstance(value, str):
        place = bit % len(value)
        # Of letters it changes the case, which no text is refused for.
        return (
            value[:place]
            + chr(ord(value[place]) ^ (0x20 if value[place].isalpha() else 1))
            + value[place + 1 :]
        )
    data = bytearray(value)
    data[bit // 8 % len(data)] ^= 1 << bit % 8
    return bytes(data)


def named(row: models.Model) -> tuple[set[str], set[int]]:
    """The ids of calls, and the indices of the log, one of which a finding is to name."""
    if isinstance(row, Call | Tombstone):
        return {str(row.pk)}, {row.log_index} if row.log_index is not None else set()
    if isinstance(row, CallBody | ToolCall):
        return {str(row.call_id)}, set()
    if isinstance(row, Session):
        calls = Call.objects.filter(session=row.pk).values_list("pk", flat=True)
        return set(map(str, calls)), set()
    if isinstance(row, Message):
        bodies = CallBody.objects.filter(call__scope=row.scope)
        users = [one for one in bodies if row.pk in (*unpack_refs(one.part_refs), one.prompt_ref)]
        return {str(one.pk) for one in users}, set()
    if isinstance(row, LogEntry):
        return set(), {row.index}
    if isinstance(row, Checkpoint):
        return set(), {row.size - 1}
    assert isinstance(row, LogTile)
    return set(), set(range(256 * row.index, 256 * row.index + 256)) if row.level == 0 else set()


def flip_bits(n_examples: int = 150) -> None:
    """Prints the changes that were not found, or not named, and how many were tried."""
    assert verify_ledger().is_intact, verify_ledger().findings
    failures: list[Any] = []
    tried: set[str] = set()

    @settings(max_examples=n_examples, database=None, deadline=None)
    @given(st.sampled_from(sorted(COLUMNS, key=str)), st.data())
    def one(model: type[models.Model], data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(COLUMNS[model]))
        pks = list(model._default_manager.exclude(**{name: None}).values_list("pk", flat=True))
        if not pks:
            return
        row = model._default_manager.get(pk=data.draw(st.sampled_from(pks)))
        value = getattr(row, name)
        value = bytes(value) if isinstance(value, memoryview) else value
        if value in ("", b""):
            return
        bits = ENCODINGS if name.endswith("encoding") else st.integers(0, 8 * 1024)
        flipped = flip(value, data.draw(bits))
        with undone():
            model._default_manager.filter(pk=row.pk).update(**{name: flipped})
            told = verify_ledger().findings.told
        tried.add(f"{model.__name__}.{name}")
        ids, indices = named(row)
        if not any(one.action_id in ids or one.index in indices for one in told):
            what = f"{model.__name__}.{name} of {row.pk}: {value!r} to {flipped!r}"
            failures.append([what, [str(one) for one in told]])

    one()
    print(json.dumps({"failures": failures, "tried": sorted(tried)}))


# --- what is more than a bit ---


def _cut_tail() -> None:
    size = log_size() - 2
    Call.objects.filter(log_index__gte=size).delete()
    LogEntry.objects.filter(index__gte=size).delete()
    for tile in LogTile.objects.filter(level=0):
        n_hashes = min(256, size - 256 * tile.index)
        LogTile.objects.filter(pk=tile.pk).update(hashes=bytes(tile.hashes)[: 32 * n_hashes])
    Ledger.objects.update(log_size=size)


def _swap(name: str) -> None:
    first, second = Call.objects.exclude(log_index=None).order_by("seq")[:2]
    before, after = getattr(first, name), getattr(second, name)
    Call.objects.filter(pk=first.pk).update(**{name: -1})
    Call.objects.filter(pk=second.pk).update(**{name: before})
    Call.objects.filter(pk=first.pk).update(**{name: after})


def _rewrite_cost() -> None:
    """Changes what a call cost, and the log with it: all that is in the database fits."""
    call = Call.objects.exclude(log_index=None).exclude(cost_usd=None).order_by("seq").first()
    assert call is not None and call.log_index is not None
    Call.objects.filter(pk=call.pk).update(cost_usd=F("cost_usd") + 1)
    new = leaf_hash(read_records([call.pk])[call.pk].record)
    assert log_size() <= 256
    tile, at = read_tile(0, 0), HASH_SIZE * call.log_index
    LogTile.objects.update(hashes=tile[:at] + new + tile[at + HASH_SIZE :])
    Checkpoint.objects.all().delete()


def _delete_with_tombstone() -> None:
    call = Call.objects.exclude(log_index=None).order_by("seq").first()
    deletion = LogEntry.objects.filter(kind="deletion").first()
    assert call is not None and deletion is not None
    made = Tombstone(
        action_id=call.pk, seq=call.seq, digest="", deleted_at=call.timestamp,
        log_index=call.log_index, deletion_index=deletion.index,
    )  # fmt: skip
    made.save(force_insert=True)
    call.delete()


def _add() -> None:
    call = Call.objects.order_by("seq").last()
    assert call is not None
    call.pk, call.seq, call.log_index = UUID(int=1), call.seq + 1000, None
    call.save(force_insert=True)


SCENARIOS: dict[str, Callable[[], Any]] = {
    "nothing": lambda: None,
    "cost": lambda: Call.objects.exclude(cost_usd=None).update(cost_usd=F("cost_usd") / 2),
    "removed": lambda: Call.objects.exclude(log_index=None).order_by("seq")[1].delete(),
    "removed with a tombstone": _delete_with_tombstone,
    "removed entry": lambda: LogEntry.objects.all()[0].delete(),
    "added": _add,
    "places swapped": lambda: _swap("log_index"),
    "numbers swapped": lambda: _swap("seq"),
    "tail cut off": _cut_tail,
    "tile removed": lambda: LogTile.objects.filter(level=0).delete(),
    "size": lambda: Ledger.objects.update(log_size=F("log_size") - 1),
    "message removed": lambda: Message.objects.filter(kind="message")[0].delete(),
    "texts removed": lambda: CallBody.objects.filter(call__log_index__gt=0)[0].delete(),
    "rewritten": _rewrite_cost,
}


def play() -> None:
    """Prints what is found of each."""
    found = {}
    for name, change in SCENARIOS.items():
        with undone():
            change()
            walk: Walk = verify_ledger()
        found[name] = [one.json() for one in walk.findings.told]
    print(json.dumps(found))


def rewrite() -> None:
    """Does what an owner can who has the key: nothing in the database tells of it."""
    _rewrite_cost()
    sign()


def sign() -> None:
    """Signs the log as it is."""
    print(covering(log_size()).size)


def print_columns_with(text: str) -> None:
    """Prints the columns of all tables in which a text stands, compressed or not."""
    found = set()
    for model in apps.get_models():
        if not model._meta.managed or model._meta.proxy:
            continue
        for row in model._default_manager.values():
            for name, value in row.items():
                if text in _readable(value):
                    found.add(f"{model._meta.db_table}.{name}")
    print(json.dumps(sorted(found)))


def _readable(value: Any) -> str:
    if not isinstance(value, bytes | memoryview):
        return str(value)
    data = bytes(value)
    with suppress(zstandard.ZstdError):
        data = zstandard.ZstdDecompressor().decompress(data)
    return data.decode(errors="replace")
