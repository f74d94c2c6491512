"""The cost of a session, by agent and model, and over time."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, Q, Sum

from capture.models import Session
from reports.queries import records

POINTS = 400


def costs_by_agent_and_model(session: Session) -> list[dict[str, Any]]:
    """Returns the groups, most expensive first. `unpriced` counts the calls without a known
    cost."""
    groups = records.calls_of(session).order_by().values("agent_name", "model_id")
    found = groups.annotate(
        calls=Count("pk"),
        sum_in=Sum("tokens_in"),
        sum_out=Sum("tokens_out"),
        cost=Sum("cost_usd"),
        unpriced=Count("pk", filter=Q(cost_usd=None)),
    )
    return sorted(map(dict, found), key=lambda group: -(group["cost"] or 0))


def cost_growth(session: Session) -> list[tuple[float, float]]:
    """Returns Unix seconds and the USD spent until then, in at most about `POINTS` steps."""
    calls = records.calls_of(session).exclude(cost_usd=None).values_list("timestamp", "cost_usd")
    total = 0.0
    points = []
    for at, cost in calls.iterator(chunk_size=2000):
        total += float(cost or 0)
        points.append((at.timestamp(), round(total, 10)))
    step = -(-len(points) // POINTS) or 1
    return points[::step] + points[-1:] if step > 1 else points
