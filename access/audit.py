"""The audit log: who did what to what, when and from where. Each entry holds the hash of the one
before it, so that `verify` finds any that was changed, removed or slipped in."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from django.utils.timezone import now

from access.actors import Actor, actor_of
from access.models import AuditChain, AuditEntry

JSON = Any

BEFORE_THE_FIRST = "0" * 64
MAX_OBJECT = 2000
MAX_TEXT = 10_000
VERIFY_AT_ONCE = 1000


class BrokenChain(Exception):
    """An entry was changed, removed or slipped in: one sentence says which."""


def record(
    who: HttpRequest | Actor | Any, action: str, object: str, /, **details: JSON
) -> AuditEntry:
    """Appends an entry, in the transaction of the caller if there is one: what is rolled back is
    not recorded. `who` is a request (Django's, the REST framework's) or an actor."""
    actor = who if isinstance(who, Actor) else actor_of(who)
    with transaction.atomic():
        chain = AuditChain.objects.select_for_update().get()
        entry = AuditEntry(
            id=chain.last_id + 1,
            at=now(),
            actor=_text(actor.name)[:255],
            address=actor.address,
            action=action,
            object=_text(object)[:MAX_OBJECT],
            details=_plain(details),
            previous_hash=chain.last_hash,
        )
        entry.hash = hash_entry(entry)
        entry.save()
        chain.last_id, chain.last_hash = entry.id, entry.hash
        chain.save()
    return entry


def hash_entry(entry: AuditEntry) -> str:
    """Returns the hex SHA-256 of the entry and of the hash before it, as canonical JSON: keys
    sorted, no spaces, UTF-8, times in UTC with microseconds, only integers as numbers."""
    facts = {
        "id": entry.id,
        "at": entry.at.astimezone(UTC).isoformat(timespec="microseconds"),
        "actor": entry.actor,
        "address": entry.address,
        "action": entry.action,
        "object": entry.object,
        "details": entry.details,
        "previous_hash": entry.previous_hash,
    }
    canonical = json.dumps(facts, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def verify() -> int:
    """Returns the number of entries, if all of them follow from each other. Raises
    BrokenChain at the first that does not."""
    # Entries that are appended meanwhile follow this one, and are for the next verification.
    chain = AuditChain.objects.get()
    last_id, last_hash = 0, BEFORE_THE_FIRST
    while last_id < chain.last_id:
        entries = AuditEntry.objects.filter(id__gt=last_id, id__lte=chain.last_id)
        page = list(entries.order_by("id")[:VERIFY_AT_ONCE])
        for entry in page:
            _verify_link(entry, last_id, last_hash)
            last_id, last_hash = entry.id, entry.hash
        if not page:
            raise BrokenChain(f"the entries after {last_id} are missing, up to {chain.last_id}")
    if last_hash != chain.last_hash:
        raise BrokenChain(f"entry {last_id} is not the one that was last appended")
    beyond = AuditEntry.objects.filter(id__gt=chain.last_id).order_by("id").first()
    # Unless the chain has grown meanwhile.
    if beyond is not None and AuditChain.objects.get().last_id < beyond.id:
        raise BrokenChain(f"entry {beyond.id} was not appended by AgentLedger")
    return last_id


def _verify_link(entry: AuditEntry, last_id: int, last_hash: str) -> None:
    at = f"{entry.at:%Y-%m-%d %H:%M:%S} UTC, {entry.actor} {entry.action}"
    if entry.id != last_id + 1:
        raise BrokenChain(f"entry {last_id + 1} is missing: {entry.id} follows ({at})")
    if entry.previous_hash != last_hash:
        raise BrokenChain(f"entry {entry.id} does not follow the one before it ({at})")
    if entry.hash != hash_entry(entry):
        raise BrokenChain(f"entry {entry.id} was changed after it was written ({at})")


def _plain(value: JSON) -> JSON:
    """Returns JSON that both databases return unchanged: PostgreSQL rewrites fractions, and accepts
    neither NUL nor lone surrogates."""
    if isinstance(value, dict):
        return {_text(str(key)): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(entry) for entry in value]
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, timedelta):
        return str(value)
    return _text(str(value))[:MAX_TEXT]


def _text(value: str) -> str:
    return value.replace("\0", "\ufffd").encode(errors="replace").decode()
