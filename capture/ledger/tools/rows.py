"""The rows of tool calls, and the results that later requests bring for them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from capture.ledger import bulk_sql
from capture.ledger.bulk_sql import Row
from capture.ledger.tools import lookup
from capture.ledger.tools.asked import MAX_CANDIDATES, AskedCall, cut, pick
from capture.ledger.tools.brought import BroughtResult
from capture.models import ToolCall
from capture.parsing.parsed_call import ParsedCall
from capture.wire.types import ParsedToolResult


class ToolCallRows:
    """The tool calls of a batch, and the results that its requests bring for these and for those
    of earlier batches."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._late_results: list[Row] = []  # for tool calls of earlier batches
        self._asked: list[AskedCall] = []  # in this batch
        # Those without a result, oldest first, by scope, and by scope and id.
        self._waiting: dict[int, list[AskedCall]] = defaultdict(list)
        self._by_id: dict[tuple[int, str], list[AskedCall]] = defaultdict(list)
        self._answered: set[int] = set()  # ids of rows of earlier batches

    def find(self, brought: Iterable[tuple[int, Sequence[BroughtResult]]], new: set[int]) -> None:
        """Looks up the tool calls of earlier batches that these results, given with their scopes,
        may belong to; `new` scopes have none."""
        results: dict[int, list[BroughtResult]] = defaultdict(list)
        for scope, some in brought:
            if some and scope not in new:
                results[scope] += some
        for scope, some in results.items():
            ids = {id_ for one in some if (id_ := cut(one.result.tool_call_id))}
            found = lookup.waiting_with_ids(scope, ids)
            known = {asked.tool_call_id for asked in found}
            is_by_name = len(ids) == 0 or any(not one.result.tool_call_id for one in some)
            if is_by_name or not ids <= known:
                others = lookup.waiting_latest(scope, only_bare=not is_by_name)
                rows = {asked.row["id"] for asked in found}
                found += [asked for asked in others if asked.row["id"] not in rows]
            for asked in sorted(found, key=lambda asked: asked.row["id"]):
                self._wait(asked)

    def _wait(self, asked: AskedCall) -> None:
        self._waiting[asked.scope].append(asked)
        if asked.tool_call_id:
            self._by_id[asked.scope, asked.tool_call_id].append(asked)

    def assign(
        self, call: ParsedCall, scope: int, brought: Sequence[BroughtResult]
    ) -> list[ParsedToolResult]:
        """Assigns the results to their tool calls. Returns the new ones whose tool call is not on
        record."""
        left = []
        for one in brought:
            asked = self._pick(call, self._waiting_for(scope, one), one)
            if asked is not None:
                self._give(call, asked, one.result)
            elif one.is_new:
                left.append(one)
        if left:
            left = self._assign_elsewhere(call, scope, left)
        return [one.result for one in left]

    def _waiting_for(self, scope: int, one: BroughtResult) -> list[AskedCall]:
        """Returns the tool calls in the scope that have the id of the result; where either has no
        id, those that have its name."""
        id_ = cut(one.result.tool_call_id)
        if id_ and (found := self._by_id.get((scope, id_))):
            return found[-MAX_CANDIDATES:]
        return [
            asked
            for asked in self._waiting.get(scope, ())[-MAX_CANDIDATES:]
            if not (id_ and asked.tool_call_id) and cut(one.name) in (None, asked.name)
        ]

    def _pick(
        self, call: ParsedCall, waiting: list[AskedCall], one: BroughtResult
    ) -> AskedCall | None:
        # A request that is sent again has no results of the tools that its first response called.
        if not waiting or waiting[-1].request_sha256 == call.request_sha256:
            return None
        if len(waiting) > 1 and one.echo is not None:
            lookup.read_arguments(waiting)
        return pick(waiting, one.echo)

    def _assign_elsewhere(
        self, call: ParsedCall, scope: int, left: Sequence[BroughtResult]
    ) -> list[BroughtResult]:
        """Looks for calls in other scopes, and for those that have their results already. Returns
        the results that are left then."""
        earlier = lookup.Elsewhere(call, scope, self._asked, self._answered)
        earlier.find(left)
        orphans = []
        for one in left:
            fitting = earlier.fitting(one)
            waiting = [asked for asked in fitting if not asked.is_answered]
            asked = self._pick(call, waiting, one)
            if asked is not None:
                self._give(call, asked, one.result)
            elif not fitting:
                orphans.append(one)
        return orphans

    def _give(self, call: ParsedCall, asked: AskedCall, result: ParsedToolResult) -> None:
        asked.is_answered = True
        for waiting in (
            self._waiting.get(asked.scope),
            self._by_id.get((asked.scope, asked.tool_call_id or "")),
        ):
            if waiting and asked in waiting[-MAX_CANDIDATES:]:
                waiting.reverse()
                waiting.remove(asked)
                waiting.reverse()
        change = {
            "result": {"content": result.content},
            "result_is_error": result.is_error,
            "result_action_id": call.action_id,
        }
        if "arguments" in asked.row:  # of this batch
            asked.row.update(change)
        else:
            self._answered.add(asked.row["id"])
            self._late_results.append({"id": asked.row["id"], **change})

    def add(self, call: ParsedCall, scope: int) -> list[Row]:
        """Returns the rows that were added."""
        n_before = len(self._rows)
        for position, tool_call in enumerate(call.parsed_response.tool_calls):
            row: Row = {
                "call_id": call.action_id,
                "scope": scope,
                "position": position,
                "tool_call_id": cut(tool_call.id),
                "name": cut(tool_call.name),
                "arguments": tool_call.arguments,
                "result": None,
                "result_is_error": None,
                "result_action_id": None,
            }
            self._rows.append(row)
            asked = AskedCall.from_row(row, call)
            self._asked.append(asked)
            self._wait(asked)
        return self._rows[n_before:]

    def write(self) -> None:
        bulk_sql.insert(ToolCall, self._rows)
        bulk_sql.update(ToolCall, self._late_results, key="id")
