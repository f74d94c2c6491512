"""What a report says of a session as a whole: models, failures, refusals, who was who."""

from __future__ import annotations

from typing import Any

from django.db.models import Count, F, Max, Min, Q, QuerySet, Sum

from capture.ledger.message_refs import RefUnpacker
from capture.models import Call, Session, Stop
from reports.queries import records


def models_asked_and_served(session: Session) -> list[dict[str, Any]]:
    """Returns one row for each model that was asked for with the one that the response names."""
    groups = records.calls_of(session).order_by().values("model_id", "response_model", "provider")
    found = groups.annotate(
        calls=Count("pk"),
        sum_in=Sum("tokens_in"),
        sum_out=Sum("tokens_out"),
        cost=Sum("cost_usd"),
        unpriced=Count("pk", filter=Q(cost_usd=None)),
        first=Min("seq"),
    )
    return list(map(dict, found.order_by("first")))


def failures(session: Session) -> list[dict[str, Any]]:
    """Returns how often each outcome other than a completed call occurred."""
    failed = records.calls_of(session).order_by().exclude(outcome="completed")
    found = failed.values("outcome", "status_code", "refusal_code").annotate(calls=Count("pk"))
    return list(map(dict, found.order_by("-calls", "outcome", "status_code", "refusal_code")))


def tokens_of_callers(session: Session) -> list[dict[str, Any]]:
    """Returns how many calls came with each ingest token, by its name; None: with none."""
    groups = records.calls_of(session).order_by().values("ingest_token")
    found = groups.annotate(calls=Count("pk")).order_by(F("ingest_token").asc(nulls_last=True))
    return list(map(dict, found))


def calls_with_events(session: Session) -> QuerySet[Call]:
    """Returns the calls that were refused, or let pass with a warning, in time order."""
    return records.calls_of(session).filter(Q(outcome="refused") | Q(budget_warning__isnull=False))


def stops_during(session: Session) -> list[Stop]:
    """Returns the stops that were in force at some time during the session and concerned it."""
    concerned = Q(scope=Stop.EVERYTHING) | Q(scope="session", value=session.session_id)
    concerned |= Q(scope="agent", value__in=session.agents)
    concerned |= Q(scope="user", value__in=session.users)
    in_time = Q(created_at__lte=session.last_call_at)
    in_time &= Q(lifted_at=None) | Q(lifted_at__gte=session.started_at)
    return list(Stop.objects.filter(concerned & in_time).order_by("created_at"))


def parts_of_first_calls(session: Session, n: int) -> dict[int, int]:
    """Returns the parts of requests that the first `n` calls had, each with the number of the call
    that had it first, counted from 1."""
    found: dict[int, int] = {}
    refs_of = RefUnpacker()
    calls = records.calls_of(session).values_list("body__prompt_ref", "body__part_refs")
    for number, (prompt, refs) in enumerate(calls[:n].iterator(chunk_size=2000), 1):
        _, new = refs_of.unpack(refs)
        for ref in (*new, *([prompt] if prompt is not None else [])):
            found.setdefault(ref, number)
    return found


def totals_of_callers(session: Session) -> dict[str, Any]:
    """Returns how many calls name no agent and no user, and the times of the first and last."""
    return records.calls_of(session).aggregate(
        without_agent=Count("pk", filter=Q(agent_name=None)),
        without_user=Count("pk", filter=Q(user_id=None)),
        estimated=Count("pk", filter=Q(usage_source="estimated")),
        unpriced=Count("pk", filter=Q(cost_usd=None)),
        last=Max("timestamp"),
    )
