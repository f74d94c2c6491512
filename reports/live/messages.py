"""The messages of the live feed, as JSON: docs/live.md describes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any

from capture.ledger.changes import LedgerPosition
from reports.json_encoding import encode
from reports.live.ledger_reader import News
from reports.live.watch import MAX_LIMIT, Watch
from reports.queries.call_list import ShortCall

Fields = dict[str, Any]
RenderRows = Callable[[Iterable[ShortCall], tzinfo, str], list[str]]
"""Renders calls as rows of the page, in HTML, with times in this zone and links below this root."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What has changed since the last message, before it is cut to what a watch asks for."""

    news: News
    started: list[ShortCall]
    ended: list[ShortCall]
    recorded: set[str]  # action_ids: a call that started and is recorded is only sent as recorded
    for_all: Fields  # what every watch gets


def hello_message(
    watch: Watch,
    position: LedgerPosition,
    running: Iterable[ShortCall],
    stops: list[Fields],
    figures: Fields,
    render_rows: RenderRows,
) -> str:
    shown = [call for call in running if watch.filter.matches_running(call)]
    fields: Fields = {
        "type": "hello",
        "seq": position.seq,
        "place": position.text(),
        "running": shown,
        "stops": stops,
        "now": figures,
    }
    if watch.zone is not None:
        fields["running_rows"] = render_rows(shown, watch.zone, watch.root)
    return encode(fields).decode()


def news_message(watch: Watch, changes: Changes, render_rows: RenderRows) -> str | None:
    """Returns None if the changes contain nothing for this watch."""
    fields = _started_fields(watch, changes, render_rows)
    calls = [call for call in changes.news.calls if watch.filter.matches(call)]
    ended = _ended_ids(watch, changes, calls)
    if ended:
        fields["ended"] = ended
    if calls:
        fields |= _call_fields(calls, watch, watch.limit, render_rows)
    if watch.with_sessions and changes.news.sessions:
        fields["sessions"] = changes.news.sessions
    fields |= changes.for_all
    return _encode_news(fields, changes.news.position) if fields else None


def missed_message(missed: News, watch: Watch, render_rows: RenderRows) -> str | None:
    """Returns what a client that has come back missed; None: nothing."""
    fields: Fields = {}
    if missed.calls:
        fields |= _call_fields(missed.calls, watch, MAX_LIMIT, render_rows)
    if missed.deleted:
        fields["deleted"] = missed.deleted
    return _encode_news(fields, missed.position) if fields else None


def _started_fields(watch: Watch, changes: Changes, render_rows: RenderRows) -> Fields:
    started = [
        call
        for call in changes.started
        if call["action_id"] not in changes.recorded and watch.filter.matches_running(call)
    ]
    if not started:
        return {}
    fields: Fields = {"started": started}
    if watch.zone is not None:
        fields["started_rows"] = render_rows(started, watch.zone, watch.root)
    return fields


def _ended_ids(watch: Watch, changes: Changes, calls: list[ShortCall]) -> list[str]:
    """Returns calls whose record is still to come, and those that matched the watch while they ran
    but are not among the recorded `calls` that match it."""
    shown = {str(call["action_id"]) for call in calls}
    return [
        call["action_id"]
        for call in changes.ended
        if call["action_id"] not in shown and watch.filter.matches_running(call)
    ]


def _call_fields(
    calls: list[ShortCall], watch: Watch, limit: int, render_rows: RenderRows
) -> Fields:
    shown = calls[-limit:]
    fields: Fields = {"calls": shown, "more": len(calls) - len(shown)}
    if watch.zone is not None:
        fields["rows"] = render_rows(shown, watch.zone, watch.root)
    return fields


def _encode_news(fields: Fields, position: LedgerPosition) -> str:
    place = {"seq": position.seq, "place": position.text()}
    return encode({"type": "news", **fields, **place}).decode()
