"""Tool calls, and the results that later requests bring for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from capture.ledger import bulk_sql
from capture.ledger.bulk_sql import Row, chunks
from capture.models import NAME_LENGTH, ToolCall
from capture.parsing.parsed_call import ParsedCall, StoredPart
from capture.wire.types import ParsedToolResult

# Tool calls of earlier batches that are read at once: an agent may have given all of them one id.
MAX_WAITING = 10_000


class BroughtResult(NamedTuple):
    """A tool's result in a request, and whether the message that has it is new to the ledger."""

    result: ParsedToolResult
    is_new: bool


class ToolCallRows:
    """The tool calls of a batch, and the results that its requests bring for these and for those
    of earlier batches."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._late_results: list[Row] = []  # for tool calls of earlier batches
        # By scope and id, the latest last: tool calls without a result, and the SHA-256 of the
        # request that they responded to.
        self._waiting: dict[tuple[int, str], list[tuple[Row, str | None]]] = defaultdict(list)

    def find(self, brought: Iterable[tuple[int, Sequence[BroughtResult]]], new: set[int]) -> None:
        """Looks up the tool calls of earlier batches that these results, given with their scopes,
        may belong to; `new` scopes have none."""
        ids_by_scope: dict[int, set[str]] = defaultdict(set)
        for scope, results in brought:
            for result, _ in results:
                if result.tool_call_id:
                    ids_by_scope[scope].add(result.tool_call_id[:NAME_LENGTH])
        for scope, ids in ids_by_scope.items():
            if scope in new:
                continue
            for some in chunks(list(ids)):
                found = ToolCall.objects.filter(
                    scope=scope, tool_call_id__in=some, result_action_id=None
                )
                facts = ("id", "tool_call_id", "call__request_sha256")
                latest = found.order_by("-id").values_list(*facts)[:MAX_WAITING]
                for id_, tool_call_id, sha256 in reversed(latest):
                    self._waiting[scope, str(tool_call_id)].append(({"id": id_}, sha256))

    def assign(
        self, call: ParsedCall, scope: int, brought: Sequence[BroughtResult]
    ) -> list[ParsedToolResult]:
        """Assigns the results to their tool calls. Returns the new ones whose tool call is not on
        record."""
        return [
            result
            for result, is_new in brought
            if not self._assign_one(call, scope, result) and is_new
        ]

    def _assign_one(self, call: ParsedCall, scope: int, result: ParsedToolResult) -> bool:
        waiting = self._waiting.get((scope, (result.tool_call_id or "")[:NAME_LENGTH]))
        # A request that is sent again has no results of the tools that its first response called.
        if not waiting or waiting[-1][1] == call.request_sha256:
            return False
        row, _ = waiting.pop()
        change = {
            "result": {"content": result.content},
            "result_is_error": result.is_error,
            "result_action_id": call.action_id,
        }
        if "arguments" in row:  # of this batch
            row.update(change)
        else:
            self._late_results.append({"id": row["id"], **change})
        return True

    def add(self, call: ParsedCall, scope: int) -> None:
        for position, tool_call in enumerate(call.parsed_response.tool_calls):
            row: Row = {
                "call_id": call.action_id,
                "scope": scope,
                "position": position,
                "tool_call_id": tool_call.id and tool_call.id[:NAME_LENGTH],
                "name": tool_call.name and tool_call.name[:NAME_LENGTH],
                "arguments": tool_call.arguments,
                "result": None,
                "result_is_error": None,
                "result_action_id": None,
            }
            self._rows.append(row)
            if row["tool_call_id"]:
                self._waiting[scope, row["tool_call_id"]].append((row, call.request_sha256))

    def write(self) -> None:
        bulk_sql.insert(ToolCall, self._rows)
        bulk_sql.update(ToolCall, self._late_results, key="id")


def results_of(call: ParsedCall, new_parts: Sequence[StoredPart]) -> list[BroughtResult]:
    """Returns the results in messages that are new, and in those at the end of the history: if a
    tool returns the same result for the same id again, the ledger holds that message already."""
    of_new = {part.digest: call.tool_results(part) for part in new_parts}
    found = [BroughtResult(result, True) for results in of_new.values() for result in results]
    for part in reversed(call.parts):
        if part.digest in of_new:
            results = of_new[part.digest]
        else:
            results = call.tool_results(part)
            found += [BroughtResult(result, False) for result in results]
        if part.kind == "message" and not results:
            break
    return found
