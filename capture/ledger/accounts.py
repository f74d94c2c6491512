"""The accounts that what a call cost is added to: those that budgets can limit."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import NamedTuple

from capture.exchange import TOKEN_FIELD
from capture.parsing.parsed_call import ParsedCall


class Account(NamedTuple):
    """Spending that a budget limits: of one key or of all calls, in a day or altogether."""

    budget: str  # "session" | "agent" | "daily" | "user" | "token"
    key: str | None  # the session, agent, user or token; None: all calls
    day: date | None  # UTC; None: from the first call to the last


def accounts_of(call: ParsedCall) -> list[Account]:
    return accounts_by_name(
        call.timestamp,
        call.ledger_field("session_id"),
        call.ledger_field("agent_name"),
        call.ledger_field("user_id"),
        call.ledger_field(TOKEN_FIELD),
    )


def accounts_by_name(
    timestamp: datetime,
    session_id: str | None,
    agent_name: str | None,
    user_id: str | None,
    token: str | None,
) -> list[Account]:
    """Returns the accounts of a call by the names that it carries; `token` is the name of its
    ingest token."""
    day = timestamp.astimezone(UTC).date()
    accounts = [Account("daily", None, day)]
    if session_id is not None:
        accounts.append(Account("session", session_id, None))
    if agent_name is not None:
        accounts.append(Account("agent", agent_name, day))
    if user_id is not None:
        accounts.append(Account("user", user_id, day))
    if token is not None:
        accounts.append(Account("token", token, day))
    return accounts
