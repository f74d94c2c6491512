"""Verifies a page of the log, which is a tile of its tree: that there is one thing at each index,
and that it is the one whose hash the tree has."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from django.db import connection

from access import audit
from access.models import AuditEntry
from capture.evidence.leaf import Kind, indices_digest
from capture.evidence.note import encode
from capture.evidence.tree import HASH_SIZE, TILE_HEIGHT, TILE_WIDTH, Tree, leaf_hash, tile_root
from capture.ledger.log.read import MissingTile, read_tile
from capture.models import Call, LogEntry, Tombstone
from reports.models import Checkpoint
from reports.verification.bodies import NotKept, StoredParts
from reports.verification.calls import (
    Place,
    StoredCall,
    read_calls,
    verify_bodies,
    verify_call,
)
from reports.verification.diagnosis import Diagnosis
from reports.verification.findings import Damage, Finding


@dataclass(slots=True)
class Page:
    """What was found at the indices of a page."""

    findings: list[Finding] = field(default_factory=list)
    n_calls: int = 0
    n_deleted: int = 0
    n_replaced: int = 0
    n_entries: int = 0
    n_not_kept: int = 0  # calls of which a body is not stored as it was sent
    last_audit_id: int | None = None


def verify_page(start: int, end: int, *, last_audit_id: int | None, parts: StoredParts) -> Page:
    """Verifies the entries from `start`, where a tile begins, up to `end`, which is in the same
    tile. `last_audit_id` is the last entry of the audit log before it; None if it is unknown."""
    page = _PageCheck(start, end, parts).verify(last_audit_id)
    if page.findings:
        # Calls are deleted and corrected meanwhile, and what is read is not one snapshot: damage is
        # what is found twice.
        found = set(page.findings)
        page = _PageCheck(start, end, StoredParts()).verify(last_audit_id)
        page.findings = [one for one in page.findings if one in found]
    return page


class _PageCheck:
    def __init__(self, start: int, end: int, parts: StoredParts) -> None:
        self._start, self._end = start, end
        self._parts = parts
        self._page = Page()
        self._at: dict[int, list[str]] = defaultdict(list)  # what is at each index
        self._hashes: list[bytes] = []
        # What does not have the tree's hash: its own, and what there is to say of it.
        self._misfits: dict[int, tuple[bytes, Finding]] = {}
        self._diagnosis = Diagnosis()

    def verify(self, last_audit_id: int | None) -> Page:
        self._page.last_audit_id = last_audit_id
        self._page.findings += self._read_hashes()
        self._verify_entries()
        self._verify_calls()
        self._verify_tombstones()
        self._page.findings += self._verify_places()
        self._page.findings += self._verify_misfits()
        self._page.findings.sort(key=lambda one: -1 if one.index is None else one.index)
        return self._page

    # --- the tree ---

    def _read_hashes(self) -> Iterator[Finding]:
        number = self._start // TILE_WIDTH
        n = self._end - self._start
        try:
            tile = read_tile(0, number)
        except MissingTile as error:
            yield Finding(Damage.MISSING, str(error), self._start)
            return
        self._hashes = [tile[i : i + HASH_SIZE] for i in range(0, n * HASH_SIZE, HASH_SIZE)]
        if len(tile) < n * HASH_SIZE:
            what = f"tile {number} of the log has {len(tile) // HASH_SIZE} hashes, not {n}"
            yield Finding(Damage.CUT, what, self._start + len(tile) // HASH_SIZE)
        elif n == TILE_WIDTH:
            yield from _verify_parents(number, tile)

    def _verify_misfits(self) -> Iterator[Finding]:
        """Either the hash in the tree was altered, or what it is of: the root above tells which."""
        tile = b"".join(self._hashes)
        own = list(self._hashes)
        for index, (hash_, _) in self._misfits.items():
            own[index - self._start] = hash_
        is_tile_altered = bool(self._misfits) and not _fits(self._start, self._end, tile)
        is_tile_altered = is_tile_altered and _fits(self._start, self._end, b"".join(own))
        for index, (_, explained) in self._misfits.items():
            if is_tile_altered:
                what = f"the hash in the tree is another one than that of {self._at[index][0]}"
                yield Finding(Damage.TREE, what, index)
            else:
                yield explained

    def _hash(self, index: int) -> bytes | None:
        """None if the tree has none there, which is a finding of its own."""
        place = index - self._start
        found = self._hashes[place] if place < len(self._hashes) else b""
        return found if len(found) == HASH_SIZE else None

    # --- what is not a call ---

    def _verify_entries(self) -> None:
        page = self._page
        found = LogEntry.objects.filter(index__gte=self._start, index__lt=self._end)
        entries = list(found.order_by("index"))
        for entry in entries:
            self._at[entry.index].append(f"the entry on {entry.kind}")
            expected = self._hash(entry.index)
            if expected is None:
                continue
            found_hash = leaf_hash(entry.record.encode())
            if found_hash != expected:
                what = f"the entry on {entry.kind} is not the one that was logged"
                self._misfits[entry.index] = (
                    found_hash,
                    self._diagnosis.moved(entry.index, entry.record, what),
                )
            else:
                page.findings += _verify_columns(entry)
                if entry.kind == Kind.DELETION:
                    page.findings += _verify_deletion(entry)
        self._verify_audit([entry for entry in entries if entry.kind == Kind.AUDIT])
        page.n_entries = len(entries)

    def _verify_audit(self, entries: Sequence[LogEntry]) -> None:
        page = self._page
        facts = [(entry.index, _load(entry.record)) for entry in entries]
        stored = AuditEntry.objects.in_bulk([one.get("audit_id") for _, one in facts])
        for index, one in facts:
            audit_id = one.get("audit_id")
            last = page.last_audit_id
            if last is not None and audit_id != last + 1:
                what = f"entry {last + 1} of the audit log should be here, not {audit_id}"
                page.findings.append(Finding(Damage.MISSING, what, index))
            page.last_audit_id = audit_id
            found = stored.get(audit_id)
            if found is None:
                what = f"entry {audit_id} of the audit log is missing"
                page.findings.append(Finding(Damage.MISSING, what, index))
            elif not found.hash == one.get("hash") == audit.hash_entry(found):
                what = f"entry {audit_id} of the audit log is not the one that was logged"
                page.findings.append(Finding(Damage.ALTERED, what, index))

    # --- calls ---

    def _verify_calls(self) -> None:
        page = self._page
        found = Call.objects.filter(log_index__gte=self._start, log_index__lt=self._end)
        columns = ("log_index", "action_id", "request_bytes", "response_bytes")
        rows = found.order_by("log_index", "seq").values_list(*columns)
        places = [
            Place(index, action_id, (request or 0) + response)
            for index, action_id, request, response in rows
            if index is not None
        ]
        for call in read_calls(places, self._parts):
            if isinstance(call, Finding):
                if call.index is not None:
                    self._at[call.index].append(f"call {call.action_id}")
                page.findings.append(call)
                continue
            self._at[call.index].append(call.name)
            page.n_calls += 1
            self._verify_call(call)

    def _verify_call(self, call: StoredCall) -> None:
        page = self._page
        expected = self._hash(call.index)
        if expected is not None and call.is_complete:
            record = call.record()
            if leaf_hash(record) != expected:
                explained = self._diagnosis.explain(call, record, expected)
                self._misfits[call.index] = leaf_hash(record), explained
        page.findings += verify_call(call)
        if call.row["call_id"] is None:
            return
        try:
            page.findings += verify_bodies(call, self._parts)
        except NotKept:
            page.n_not_kept += 1

    # --- what is not there any more ---

    def _verify_tombstones(self) -> None:
        page = self._page
        found = Tombstone.objects.filter(log_index__gte=self._start, log_index__lt=self._end)
        tombstones = list(found.values_list("log_index", "action_id", "deletion_index"))
        deletions = set(
            LogEntry.objects.filter(
                index__in={index for *_, index in tombstones if index is not None},
                kind=Kind.DELETION,
            ).values_list("index", flat=True)
        )
        for index, action_id, deletion_index in tombstones:
            if index is None:
                continue
            self._at[index].append(f"the deleted call {action_id}")
            page.n_deleted += 1
            if deletion_index not in deletions:
                what = f"call {action_id} is gone, and the log says of no deletion"
                page.findings.append(Finding(Damage.MISSING, what, index, str(action_id)))

    def _verify_places(self) -> Iterator[Finding]:
        """Each index has one thing. A call that is being deleted may show as itself and as
        deleted, and one that is recorded anew leaves its old index empty."""
        empty = [i for i in range(self._start, self._end) if not self._at[i]]
        replaced = _replaced(empty)
        self._page.n_replaced = len(replaced)
        for index in empty:
            if index not in replaced:
                yield Finding(Damage.MISSING, "nothing is stored of what was logged", index)
        for index in range(self._start, self._end):
            several = self._at[index]
            if len(several) > 1:
                yield Finding(Damage.ADDED, f"there are {' and '.join(several)}", index)


def _replaced(indices: Sequence[int]) -> set[int]:
    """Returns the indices of calls that were recorded anew later, as the log says."""
    if not indices:
        return set()
    later = LogEntry.objects.filter(kind=Kind.REPLACEMENT, index__gt=indices[0])
    wanted = set(indices)
    records = later.order_by("index").values_list("record", flat=True)
    return {index for record in records.iterator() if (index := _load(record)["index"]) in wanted}


def _load(record: str) -> dict[str, Any]:
    try:
        facts: dict[str, Any] = orjson.loads(record)
    except ValueError:
        return {}
    return facts


def _verify_columns(entry: LogEntry) -> Iterator[Finding]:
    """What is beside a record, to find it by, says the same."""
    facts = _load(entry.record)
    about = str(entry.action_id) if entry.action_id is not None else None
    has_salt = facts.get("session") is not None
    if (entry.kind, about) != (facts.get("kind"), facts.get("action_id")):
        what = f"the entry on {facts.get('kind')} is stored as one on {entry.kind} of {about}"
        yield Finding(Damage.ALTERED, what, entry.index)
    if has_salt != (entry.salt is not None):
        what = "the salt of the session's name was " + ("removed" if has_salt else "added")
        yield Finding(Damage.ALTERED, what, entry.index)


# Of one statement: the recorder may be about to remove these calls.
_DELETED = (
    "SELECT log_index FROM capture_tombstone WHERE deletion_index = %s AND log_index IS NOT NULL"
    " UNION ALL SELECT c.log_index FROM capture_call c JOIN capture_session s ON c.scope = s.id"
    " WHERE s.deletion_index = %s AND s.deleted_at IS NOT NULL AND c.log_index IS NOT NULL"
    " ORDER BY 1"
)


def _verify_deletion(entry: LogEntry) -> Iterator[Finding]:
    facts = _load(entry.record)
    with connection.cursor() as cursor:
        cursor.execute(_DELETED, (entry.index, entry.index))
        indices = [index for (index,) in cursor.fetchall()]
    if len(indices) != facts["count"]:
        what = f"{facts['count']} calls were deleted, and there are traces of {len(indices)}"
        yield Finding(Damage.ALTERED, what, entry.index)
    elif indices_digest(indices) != facts["indices"]:
        what = "the calls that were deleted are not those of which there are traces"
        yield Finding(Damage.ALTERED, what, entry.index)
    never_recorded = Tombstone.objects.filter(deletion_index=entry.index, seq=None).count()
    if never_recorded != facts["unrecorded"]:
        what = (
            f"{facts['unrecorded']} calls were dropped before they were recorded, and there are"
            f" traces of {never_recorded}"
        )
        yield Finding(Damage.ALTERED, what, entry.index)


def _fits(start: int, end: int, tile: bytes) -> bool:
    """Returns whether the hashes of these entries are what the tree above says, or the newest
    checkpoint if the tile is not full."""
    number = start // TILE_WIDTH
    if end - start == TILE_WIDTH:
        try:
            parents = read_tile(1, number // TILE_WIDTH)
        except MissingTile:
            return False
        place = number % TILE_WIDTH * HASH_SIZE
        return parents[place : place + HASH_SIZE] == tile_root(tile)
    signed = Checkpoint.objects.filter(size__gt=start, size__lte=end).order_by("-size").first()
    if signed is None:
        return False

    def read(level: int, index: int) -> bytes:
        return tile if (level, index) == (0, number) else read_tile(level, index)

    return encode(Tree(signed.size, read).root()) == signed.root


def _verify_parents(number: int, tile: bytes) -> Iterator[Finding]:
    """A full tile's root is a hash of the next level, and so on upwards where that fills a tile."""
    level = 0
    while True:
        parent, place = divmod(number, TILE_WIDTH)
        try:
            hashes = read_tile(level + 1, parent)
        except MissingTile as error:
            yield Finding(Damage.MISSING, str(error), _first_index(level, number))
            return
        if hashes[place * HASH_SIZE : (place + 1) * HASH_SIZE] != tile_root(tile):
            what = f"tile {number} of level {level} is not the one that the next level is made of"
            yield Finding(Damage.TREE, what, _first_index(level, number))
        if place != TILE_WIDTH - 1 or len(hashes) < TILE_WIDTH * HASH_SIZE:
            return
        level, number, tile = level + 1, parent, hashes


def _first_index(level: int, number: int) -> int:
    return number << TILE_HEIGHT * (level + 1)
