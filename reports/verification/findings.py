"""What a verification finds, and how it is told."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

# All are counted, so many are described.
MAX_TOLD = 100


class Damage(StrEnum):
    ALTERED = "altered"
    MISSING = "missing"
    ADDED = "added"
    REORDERED = "reordered"
    CUT = "cut off"
    TREE = "tree"  # its hashes do not fit each other
    REWRITTEN = "rewritten"  # a checkpoint shows that the log had other entries


@dataclass(frozen=True, slots=True)
class Finding:
    damage: Damage
    what: str  # a sentence that says what differs
    index: int | None = None  # in the log
    action_id: str | None = None
    fields: tuple[str, ...] = ()  # that were altered, as far as it can be told

    def __str__(self) -> str:
        place = f" at entry {self.index}" if self.index is not None else ""
        return f"{self.damage}{place}: {self.what}"

    def json(self) -> dict[str, Any]:
        return {**asdict(self), "damage": self.damage.value, "fields": list(self.fields)}


@dataclass(slots=True)
class Findings:
    told: list[Finding] = field(default_factory=list)
    n: int = 0

    def add(self, *found: Finding) -> None:
        self.n += len(found)
        self.told += found[: max(0, MAX_TOLD - len(self.told))]
