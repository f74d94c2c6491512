"""Images, audio and files of calls, each stored once in its scope."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from capture.ledger import bulk_sql
from capture.ledger.bulk_sql import Row, chunks
from capture.ledger.entry import Entry
from capture.models import Binary


class BinaryRows:
    """The binaries of a batch. With `keep_bytes` the ledger stores their bytes, also of those that
    it has without them."""

    def __init__(self, *, keep_bytes: bool) -> None:
        self._keep_bytes = keep_bytes
        self._rows: list[Row] = []
        self._late_bytes: list[Row] = []

    def add(self, entries: Sequence[Entry], scopes: Sequence[int]) -> None:
        first_by_scope: dict[int, dict[bytes, Entry]] = defaultdict(dict)
        for entry, scope in zip(entries, scopes, strict=True):
            for digest in entry.call.binaries:
                first_by_scope[scope].setdefault(digest, entry)
        for scope, first in first_by_scope.items():
            self._add_scope(scope, first)

    def _add_scope(self, scope: int, first: dict[bytes, Entry]) -> None:
        """`first` has the first entry of each digest."""
        known: dict[bytes, int] = {}
        without_bytes: set[bytes] = set()
        for some in chunks(list(first)):
            found = Binary.objects.filter(scope=scope, digest__in=some)
            known |= {bytes(digest): id_ for digest, id_ in found.values_list("digest", "id")}
            if self._keep_bytes and known:
                bare = found.filter(data=None).values_list("digest", flat=True)
                without_bytes |= set(map(bytes, bare))
        for digest, entry in first.items():
            if digest not in known:
                self._rows.append(self._row(entry, scope, digest))
            elif digest in without_bytes:
                data = entry.call.binaries[digest].data
                self._late_bytes.append({"id": known[digest], "data": data})

    def _row(self, entry: Entry, scope: int, digest: bytes) -> Row:
        binary = entry.call.binaries[digest]
        thumbnail = entry.thumbnails.get(digest)
        return {
            "scope": scope,
            "digest": digest,
            "media_type": binary.media_type,
            "size_bytes": len(binary.data),
            "width": thumbnail.width if thumbnail else None,
            "height": thumbnail.height if thumbnail else None,
            "thumbnail": thumbnail.webp if thumbnail else None,
            "data": binary.data if self._keep_bytes else None,
            "action_id": entry.call.action_id,
        }

    def write(self) -> None:
        bulk_sql.insert(Binary, self._rows)
        bulk_sql.update(Binary, self._late_bytes, key="id")
