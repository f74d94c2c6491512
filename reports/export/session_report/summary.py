"""The summary of a report: totals, models, agents, failures, events, and how names are known."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from capture.models import Session
from reports.export.session_report.texts import at_utc, brief, brief_list, exact_usd
from reports.output.formats import UNKNOWN, count, duration
from reports.queries import session_report as queries
from reports.queries.session_costs import costs_by_agent_and_model

MAX_ROWS = 60  # of one table
Rows = list[list[str]]


def session_facts(session: Session) -> list[tuple[str, str]]:
    totals = queries.totals_of_callers(session)
    tokens = f"{count(session.total_tokens_in)} in, {count(session.total_tokens_out)} out"
    if totals["estimated"]:
        tokens += f" (estimated for {totals['estimated']:,} calls)"
    cost = exact_usd(session.total_cost_usd)
    if totals["unpriced"]:
        cost += f" ({totals['unpriced']:,} calls have no known price)"
    lasted = (session.last_call_at - session.started_at).total_seconds() * 1e3
    pairs = [
        ("Session", brief(session.session_id)),
        ("First call", at_utc(session.started_at)),
        ("Last call", f"{at_utc(session.last_call_at)}, {duration(lasted)} after the first"),
        ("Calls", f"{session.call_count:,}"),
        ("Errors", f"{session.error_count:,}"),
        ("Refusals", f"{session.refused_count:,}"),
        ("Tokens", tokens),
        ("Cost", cost),
        ("Time in calls", duration(session.total_latency_ms)),
        ("Agents", brief_list(session.agents)),
        ("Users", brief_list(session.users)),
        ("Applications", brief_list(session.apps)),
        ("Environments", brief_list(session.environments)),
        ("Labels", brief_list(session.labels)),
        ("Note", brief(session.note) if session.note else UNKNOWN),
    ]
    return pairs


def session_tables(session: Session) -> list[dict[str, Any]]:
    models = [
        [_name(one["model_id"]), _name(one["response_model"]), one["provider"], *_sums(one)]
        for one in queries.models_asked_and_served(session)
    ]
    agents = [
        [_name(one["agent_name"]), _name(one["model_id"]), *_sums(one)]
        for one in costs_by_agent_and_model(session)
    ]
    all_passed = "No call was refused, let pass with a warning, or stopped."
    return [
        _table("Models asked and served", ["Asked for", "Served", "Provider", *_NUMBERS], models),
        _table("Agents and models", ["Agent", "Model", *_NUMBERS], agents),
        _table("Who was who", ["What", "Value", "How it is known"], _identities(session)),
        _table(
            "Errors and refusals",
            ["Outcome", "Status", "Code", "Calls"],
            _failures(session),
            "All calls were completed.",
        ),
        _table(
            "Budget and policy events", ["Time", "Event", "Details"], _events(session), all_passed
        ),
    ]


_NUMBERS = ("Calls", "Tokens in", "Tokens out", "Cost (USD)")


def _table(
    title: str, head: list[str], rows: Rows, empty: str = "There is nothing to say."
) -> dict[str, Any]:
    shown = rows[:MAX_ROWS]
    if len(rows) > MAX_ROWS:
        rest = f"and {len(rows) - MAX_ROWS:,} more"
        shown.append([rest, *[""] * (len(head) - 1)])
    numbers = [place for place, name in enumerate(head) if name in _NUMBERS]
    return {"title": title, "head": head, "rows": shown, "numbers": numbers, "empty": empty}


def _failures(session: Session) -> Rows:
    return [
        [
            one["outcome"].replace("_", " "),
            str(one["status_code"] or UNKNOWN),
            one["refusal_code"] or UNKNOWN,
            f"{one['calls']:,}",
        ]
        for one in queries.failures(session)
    ]


def _name(name: str | None) -> str:
    return UNKNOWN if name is None else brief(name)


def _sums(group: dict[str, Any]) -> list[str]:
    cost: Decimal | None = group["cost"]
    shown = UNKNOWN if cost is None else format(cost.normalize(), "f")
    if group["unpriced"]:
        shown += f" + {group['unpriced']:,} unknown"
    return [f"{group['calls']:,}", count(group["sum_in"]), count(group["sum_out"]), shown]


def _identities(session: Session) -> Rows:
    claimed = "claimed: the caller sent it in a header"
    totals = queries.totals_of_callers(session)
    rows = [["Session", brief(session.session_id), claimed]]
    for what, names, without in (
        ("Agent", session.agents, totals["without_agent"]),
        ("User", session.users, totals["without_user"]),
        ("Application", session.apps, 0),
    ):
        rows += [[what, brief(name), claimed] for name in names[:20]]
        rows += [[what, f"none, {without:,} calls", "the caller sent no name"]] if without else []
    for one in queries.tokens_of_callers(session):
        n = f"{one['calls']:,} calls"
        if one["ingest_token"] is None:
            rows.append(["Ingest token", f"none, {n}", "nothing proves who called"])
        else:
            proven = "proven: the caller had the token's secret"
            rows.append(["Ingest token", f"{brief(one['ingest_token'])}, {n}", proven])
    return rows


def _events(session: Session) -> Rows:
    rows = []
    for call in queries.calls_with_events(session)[: MAX_ROWS + 1]:
        if call.outcome == "refused":
            event = f"refused: {call.refusal_code or UNKNOWN}"
            rows.append([at_utc(call.timestamp), event, brief(call.error_detail or UNKNOWN)])
        for one in call.budget_warning or ():
            spent = f"{one['spent_usd']} of {one['limit_usd']} USD were spent"
            event = f"warning: {brief(str(one['budget']))}"
            rows.append([at_utc(call.timestamp), event, spent])
    for stop in queries.stops_during(session):
        event = f"stop: {stop.scope} {brief(stop.value)}".strip()
        lifted = f", lifted {at_utc(stop.lifted_at)}" if stop.lifted_at else ", in force"
        rows.append([at_utc(stop.created_at), event, brief(stop.reason or UNKNOWN) + lifted])
    return rows
