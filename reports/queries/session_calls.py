"""A session's calls by their narrow columns, for graphs of the whole session."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple
from uuid import UUID

from django.db.models import BooleanField, ExpressionWrapper, Q

from capture.models import Call, Session, ToolCall


class SessionCall(NamedTuple):
    action_id: UUID
    seq: int
    timestamp: datetime
    agent_name: str | None = None
    model_id: str | None = None
    parent_action_id: UUID | None = None
    retry_of: UUID | None = None
    attempt: int = 1
    handoff_from: str | None = None
    handoff_to: str | None = None
    outcome: str = "completed"
    status_code: int | None = 200
    tokens_in: int | None = None
    tokens_out: int | None = None
    usage_source: str = "provider"
    cost_usd: Decimal | None = None
    ttft_ms: float | None = None
    latency_ms: float | None = None
    streaming: bool = False
    is_warned: bool = False  # a budget that only warns was exceeded

    @property
    def is_error(self) -> bool:
        return self.outcome not in ("completed", "refused")

    @property
    def is_refused(self) -> bool:
        return self.outcome == "refused"


class ToolResultLink(NamedTuple):
    """A tool call's request in one call, and its result in another."""

    call_id: UUID
    result_call_id: UUID
    name: str | None


_WARNED = ExpressionWrapper(Q(budget_warning__isnull=False), BooleanField())


# The last calls of a longer session: graphs must fit into memory, here and in a browser.
MAX_CALLS = 50_000


def read_session_calls(session: Session, limit: int = MAX_CALLS) -> list[SessionCall]:
    """Returns the last `limit` calls of a session, in time order."""
    found = Call.objects.in_session(session.pk).order_by("-timestamp", "-seq")
    columns = found.annotate(is_warned=_WARNED).values_list(*SessionCall._fields)
    return list(map(SessionCall._make, reversed(columns[:limit])))


def read_tool_results(session: Session) -> Sequence[ToolResultLink]:
    # The scope of a session's calls is the session's own id.
    found = ToolCall.objects.filter(scope=session.pk, result_action_id__isnull=False)
    rows = found.order_by("-id").values_list("call_id", "result_action_id", "name")
    return list(map(ToolResultLink._make, rows[:MAX_CALLS]))
