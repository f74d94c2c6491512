"""Parts of requests (messages, system prompts, tool definitions), each stored once in its scope."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence

from capture.ledger import bulk_sql
from capture.ledger.bulk_sql import Row, chunks
from capture.ledger.compression import pack_text
from capture.models import Ledger, Message
from capture.parsing.parsed_call import ParsedCall, StoredPart

# As many digests as the recorder remembers, so that a growing history is not looked up each time;
# about 10 MB.
REMEMBERED = 30_000

PartKey = tuple[int, bytes]
"""A part's scope and digest."""


class PartMemory:
    """The ids of parts that the ledger holds, most recently used last."""

    def __init__(self) -> None:
        self._ids: OrderedDict[PartKey, int] = OrderedDict()
        self._n_removals = 0

    def follow(self, ledger: Ledger) -> None:
        """Forgets all if parts were removed from scopes that still exist, perhaps by another
        recorder."""
        if ledger.n_removals != self._n_removals:
            self._ids.clear()
            self._n_removals = ledger.n_removals

    def get(self, key: PartKey) -> int | None:
        found = self._ids.get(key)
        if found is not None:
            self._ids.move_to_end(key)
        return found

    def learn(self, ids: Mapping[PartKey, int]) -> None:
        self._ids.update(ids)
        while len(self._ids) > REMEMBERED:
            self._ids.popitem(last=False)


class PartRows:
    """The parts that the calls of a batch refer to. `learned` has the ids of those that the memory
    does not know."""

    def __init__(self, ledger: Ledger, memory: PartMemory) -> None:
        self._ledger = ledger
        self._memory = memory
        self._rows: list[Row] = []
        self.learned: dict[PartKey, int] = {}

    def find(self, calls: Sequence[ParsedCall], scopes: Sequence[int], new: set[int]) -> None:
        """Looks up the parts that the memory does not know, except in `new` scopes, which have
        none."""
        unknown: dict[int, set[bytes]] = defaultdict(set)
        for call, scope in zip(calls, scopes, strict=True):
            if scope in new:
                continue
            for part in _all_parts(call):
                if self._memory.get((scope, part.digest)) is None:
                    unknown[scope].add(part.digest)
        for scope, digests in unknown.items():
            for some in chunks(list(digests)):
                found = Message.objects.filter(scope=scope, digest__in=some)
                for digest, id_ in found.values_list("digest", "id"):
                    self.learned[scope, bytes(digest)] = id_

    def add(self, call: ParsedCall, scope: int) -> list[StoredPart]:
        """Returns the parts that are new to the ledger."""
        new = []
        for part in _all_parts(call):
            key = (scope, part.digest)
            if key in self.learned or self._memory.get(key) is not None:
                continue
            self._ledger.last_message_id += 1
            self.learned[key] = self._ledger.last_message_id
            data, encoding = pack_text(part.data, part.references)
            self._rows.append(
                {
                    "id": self._ledger.last_message_id,
                    "scope": scope,
                    "digest": part.digest,
                    "kind": part.kind,
                    "action_id": call.action_id,
                    "data": data,
                    "encoding": encoding,
                }
            )
            new.append(part)
        return new

    def ref(self, scope: int, part: StoredPart) -> int:
        """Returns the id of a part that was added before."""
        key = (scope, part.digest)
        found = self.learned.get(key) or self._memory.get(key)
        assert found is not None
        return found

    def write(self) -> None:
        bulk_sql.insert(Message, self._rows)


def _all_parts(call: ParsedCall) -> Sequence[StoredPart]:
    return [*call.parts, call.prompt] if call.prompt else call.parts
