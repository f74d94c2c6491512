"""The tool results in a request, each with the call that it answers as the same history has it."""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from capture.parsing.parsed_call import ParsedCall, StoredPart
from capture.wire.shared.echoed_calls import echoed_calls
from capture.wire.types import ParsedToolCall, ParsedToolResult

# The messages before a result among which the calls of its turn are looked for.
MAX_BEFORE = 64


class BroughtResult(NamedTuple):
    """A tool's result in a request."""

    result: ParsedToolResult
    is_new: bool  # its message is new to the ledger
    is_latest: bool  # only results come after it
    echo: ParsedToolCall | None  # the call that it answers, as the history has it

    @property
    def name(self) -> str | None:
        return self.result.name or (self.echo.name if self.echo else None)


def results_of(call: ParsedCall, new_parts: Sequence[StoredPart]) -> list[BroughtResult]:
    """Returns the results in messages that are new, and in those at the end of the history: if a
    tool returns the same result for the same id again, the ledger holds that message already."""
    of_new = {part.digest: call.tool_results(part) for part in new_parts}
    at_end = _digests_at_end(call, of_new)
    wanted = at_end.union(digest for digest, results in of_new.items() if results)
    if not wanted:
        return []
    messages = [part for part in call.parts if part.kind == "message"]
    indexes = [index for index, part in enumerate(messages) if part.digest in wanted]
    found = []
    for index, result, echo in _with_echoes(call, messages, indexes[0], indexes[-1]):
        digest = messages[index].digest
        if digest in wanted:
            is_new = digest in of_new
            is_latest = index >= len(messages) - len(at_end)
            if is_new or is_latest:
                found.append(BroughtResult(result, is_new, is_latest, echo))
    return found


def _digests_at_end(call: ParsedCall, of_new: dict[bytes, list[ParsedToolResult]]) -> set[bytes]:
    """Returns the digests of the last messages that all have results."""
    found = set()
    for part in reversed(call.parts):
        if part.kind == "message":
            results = of_new[part.digest] if part.digest in of_new else call.tool_results(part)
            if not results:
                break
            found.add(part.digest)
    return found


def _with_echoes(
    call: ParsedCall, messages: Sequence[StoredPart], first: int, last: int
) -> Iterator[tuple[int, ParsedToolResult, ParsedToolCall | None]]:
    """Yields the results of these messages, with the index of each."""
    turn = _Turn()
    for index in range(_begin_of_turn(messages, first), last + 1):
        results = call.tool_results(messages[index]) if index >= first else []
        for result in results:
            yield index, result, turn.take(result)
        if not results and (calls := echoed_calls(messages[index].data)):
            if turn.has_results:
                turn = _Turn()
            turn.add(calls)


def _begin_of_turn(messages: Sequence[StoredPart], first: int) -> int:
    """Returns the index of the first message with calls of the turn before message `first`."""
    begin = first
    for index in range(first - 1, max(first - MAX_BEFORE, -1), -1):
        if echoed_calls(messages[index].data):
            begin = index
        elif begin < first:
            break
    return begin


class _Turn:
    """The calls of one turn of the model that have no result yet."""

    def __init__(self) -> None:
        self.has_results = False
        self._waiting: dict[tuple[str, str | None], deque[ParsedToolCall]] = defaultdict(deque)
        self._taken: set[int] = set()

    def add(self, calls: Sequence[ParsedToolCall]) -> None:
        for call in calls:
            keys = [("name", call.name), ("any", None)]
            keys += [("id", call.id)] if call.id else [("bare", call.name), ("bare", None)]
            for key in keys:
                self._waiting[key].append(call)

    def take(self, result: ParsedToolResult) -> ParsedToolCall | None:
        """Returns the call of this id, else the first one of this name that it may be; a result
        without both answers the first call of all."""
        self.has_results = True
        if result.tool_call_id:
            keys = [("id", result.tool_call_id), ("bare", result.name)]
        else:
            keys = [("name", result.name)] if result.name else [("any", None)]
        for key in keys:
            waiting = self._waiting.get(key)
            while waiting:
                call = waiting.popleft()
                if id(call) not in self._taken:
                    self._taken.add(id(call))
                    return call
        return None
