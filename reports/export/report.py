"""The report of a session: one context, from which the page and the PDF are made."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.conf import settings
from django.http import HttpRequest

from capture.models import Session
from reports.analysis.flow import build_flow
from reports.analysis.trace import build_trace
from reports.export.house import house
from reports.export.html import render_report
from reports.export.session_report.calls import PART, describe_calls, n_parts, read_part
from reports.export.session_report.evidence import evidence_of
from reports.export.session_report.pictures import (
    MAX_NODES,
    flow_svg,
    n_rows_left_out,
    timeline_svg,
)
from reports.export.session_report.summary import session_facts, session_tables
from reports.export.session_report.texts import brief
from reports.queries.session_calls import read_session_calls, read_tool_results
from reports.session_addresses import session_segment

NOT_PROVEN = (
    "That there were no other calls: what did not go through the proxy is not here.",
    "That names are true: agent, user, application and session are what the caller sent in headers,"
    " unless this report says that a token proves them.",
    "That nothing was withheld before it was recorded.",
    "That the owner of the signing key did not make the whole log anew: an outside witness or"
    " anchor proves that, and only for the checkpoints that it saw.",
    "That the provider served the model that its response names.",
)


class NoSuchPart(LookupError):
    """The session has fewer parts."""


def report_context(
    session: Session, part: int = 1, checkpoint_size: int | None = None
) -> dict[str, Any]:
    """Returns what the report says, as texts. Without a size its checkpoint is the newest that
    covers the session. Raises NoSuchPart."""
    n = n_parts(session)
    if not 1 <= part <= n:
        raise NoSuchPart(f"the report has {n} part{'s' if n > 1 else ''}")
    found = read_part(session, part)
    calls = describe_calls(session, found, part)
    evidence = evidence_of(session, found, (part - 1) * PART + 1, checkpoint_size)
    for call, lines in zip(calls, evidence.of_calls, strict=True):
        call["hashes"] += lines
    name = brief(session.session_id)
    first, last = (part - 1) * PART + 1, (part - 1) * PART + len(calls)
    of_parts = f", part {part} of {n}" if n > 1 else ""
    covers = f"calls {first:,} to {last:,} of {session.call_count:,}" if calls else "no calls"
    return {
        **house(),
        **_date(evidence.checkpoint.at if evidence.checkpoint else session.last_call_at),
        "title": f"Session {name}{of_parts}",
        "running_title": f"Session {name[:60]}{of_parts}",
        "subtitle": f"Report of an AgentLedger, {covers}",
        "foot": f"AgentLedger {settings.VERSION}",
        "session_id": session.session_id,
        "checkpoint_size": evidence.checkpoint.size if evidence.checkpoint else None,
        "part": part,
        "n_parts": n,
        "facts": session_facts(session),
        "tables": session_tables(session),
        "pictures": _pictures(session),
        "calls": calls,
        "gaps": evidence.gaps,
        "verification": evidence.verification,
        "commands": _commands(session),
        "not_proven": NOT_PROVEN,
    }


def report_html(session: Session, part: int = 1, request: HttpRequest | None = None) -> str:
    """Returns the page for `request`; without one, a file that needs nothing beside it."""
    return render_report("report/session.html", report_context(session, part), request)


def _date(at: datetime) -> dict[str, Any]:
    """Returns the report's date: the same calls and checkpoint make the same report."""
    at = at.astimezone(UTC)
    return {"at": int(at.timestamp()), "date": list(at.timetuple()[:6])}


def _pictures(session: Session) -> list[dict[str, str]]:
    calls, results = read_session_calls(session), read_tool_results(session)
    graph = build_flow(calls, results).by_agent
    trace = build_trace(calls, results)
    n_agents, n_rows = max(len(graph.nodes) - MAX_NODES, 0), n_rows_left_out(trace)
    return [
        {
            "title": "Flow",
            "svg": flow_svg(graph),
            "alt": "The agents of the session, and who handed over to whom",
            "caption": "Agents, with the number of handoffs on each line; what is dashed was"
            " inferred from times." + _left_out(n_agents, "agents"),
        },
        {
            "title": "Timeline",
            "svg": timeline_svg(trace),
            "alt": "The calls of the session over time, one bar for each call",
            "caption": "Calls over time, each below the one that led to it; red did not complete."
            + _left_out(n_rows, "rows"),
        },
    ]


def _left_out(n: int, what: str) -> str:
    return f" {n:,} more {what} are left out." if n else ""


def _commands(session: Session) -> list[tuple[str, str]]:
    name = session.session_id
    quoted = "'" + name.replace("'", "'\\''") + "'"
    export = f"curl -o export.json '…/export/{session_segment(name)}?format=json'"
    return [
        ("The export, which a PDF of this report has attached:", brief(export)),
        ("With Python alone, on any machine:", "python verify.py export.json"),
        ("With AgentLedger:", "python manage.py verify_export export.json"),
        ("The whole ledger, where it runs:", "python manage.py verify_ledger"),
        ("This report again:", brief(f"python manage.py export_session {quoted} --format pdf")),
    ]
