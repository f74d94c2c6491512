"""The rules of budgets: which ones apply to a call, and whether they admit it.

A running call reserves ("holds") its estimated cost until it ends. A call is refused when what is
spent and what other calls hold have reached the limit. docs/budgets.md describes this to operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

from django.conf import settings

from capture.admission.decision import (
    NOTHING_APPLIES,
    AdmissionRequest,
    Admitted,
    BudgetWarning,
    Keys,
    Refused,
)
from capture.ledger.accounts import Account
from capture.pricing.cost import exact_usd

NOTHING = Decimal(0)
UNPRICED = "unpriced"
# A call that ends gives back what it held beyond its cost: worth another try a second later.
RETRY_RESERVED_S = 1.0


AccountLimits = list[tuple[Account, Decimal]]
"""Accounts with their limits in USD."""


class Balance(NamedTuple):
    account: Account
    limit_usd: Decimal
    spent_usd: Decimal
    held_usd: Decimal

    @property
    def remaining_usd(self) -> Decimal:
        return self.limit_usd - self.spent_usd - self.held_usd

    @property
    def is_spent(self) -> bool:
        return self.spent_usd >= self.limit_usd

    @property
    def resets_at(self) -> datetime | None:
        """The end of the account's day; None: it never resets."""
        day = self.account.day
        return None if day is None else datetime.combine(day + timedelta(1), time(), UTC)


@dataclass(frozen=True, slots=True)
class Budgets:
    """The configured budgets in USD; None: no limit."""

    session: Decimal | None = None
    agent: Decimal | None = None
    daily: Decimal | None = None
    user: Decimal | None = None
    action: Literal["block", "warn", "both"] = "block"
    status: int = 429
    unpriced: Literal["pass", "block"] = "pass"

    @classmethod
    def from_settings(cls) -> Budgets:
        config = settings.AGENTLEDGER
        return cls(
            config.budget_session,
            config.budget_agent,
            config.budget_daily,
            config.budget_user,
            config.budget_action,
            config.budget_status,
            config.budget_unpriced,
        )

    @property
    def is_any(self) -> bool:
        limits = (self.session, self.agent, self.daily, self.user)
        return any(limit is not None for limit in limits)

    @property
    def blocks(self) -> bool:
        return self.action != "warn"

    def accounts(self, keys: Keys, today: date) -> AccountLimits:
        """Returns the accounts that a call with these keys is charged to. A call that names no
        session is under no session's budget, and so on."""
        found = []
        if self.session is not None and keys.session_id is not None:
            found.append((Account("session", keys.session_id, None), self.session))
        if self.agent is not None and keys.agent_name is not None:
            found.append((Account("agent", keys.agent_name, today), self.agent))
        if self.user is not None and keys.user_id is not None:
            found.append((Account("user", keys.user_id, today), self.user))
        if keys.token is not None:
            found.append((Account("token", keys.token.token, today), keys.token.usd))
        if self.daily is not None:
            found.append((Account("daily", None, today), self.daily))
        return found

    def apply_to(self, keys: Keys) -> bool:
        return (
            self.daily is not None
            or keys.token is not None
            or (self.session is not None and keys.session_id is not None)
            or (self.agent is not None and keys.agent_name is not None)
            or (self.user is not None and keys.user_id is not None)
        )

    def refuses_unpriced(self, request: AdmissionRequest) -> bool:
        return request.expected_usd is None and self.unpriced == "block" and self.blocks


def reservation_usd(request: AdmissionRequest) -> Decimal:
    return NOTHING if request.expected_usd is None else request.expected_usd


def admission(request: AdmissionRequest, balances: Sequence[Balance], budgets: Budgets) -> Admitted:
    """Admits a call that no budget refuses. `balances` are those before the call."""
    if not balances:
        return NOTHING_APPLIES
    warnings = []
    if not budgets.blocks:
        warnings = [_warning(balance) for balance in balances if balance.is_spent]
    if request.expected_usd is None:
        warnings.append(BudgetWarning(UNPRICED, request.model, NOTHING, None))
    left = min([balance.remaining_usd for balance in balances])
    return Admitted(tuple(warnings), reservation_usd(request), max(left, NOTHING))


def budget_refusal(balances: Sequence[Balance], budgets: Budgets) -> Refused:
    """Refuses a call, naming a budget that is spent rather than one that is held: with the former,
    waiting does not help."""
    spent = [balance for balance in balances if balance.is_spent]
    balance = spent[0] if spent else min(balances, key=lambda b: b.remaining_usd)
    account, resets_at = balance.account, balance.resets_at
    name = f"The {account.budget} budget" + ("" if account.key is None else f" of {account.key}")
    resets = "never" if resets_at is None else f"at {resets_at:%Y-%m-%dT%H:%M:%SZ}"
    used, limit = exact_usd(balance.spent_usd), exact_usd(balance.limit_usd)
    if spent:
        message = f"{name} is spent: {used} of {limit} USD; it resets {resets}."
    else:
        message = (
            f"{name} is reserved by running calls: {used} USD spent and"
            f" {exact_usd(balance.held_usd)} reserved of {limit}; it resets {resets}."
        )
    warns = spent and budgets.action == "both"
    return Refused(
        status=budgets.status,
        code="budget_exceeded" if spent else "budget_reserved",
        message=message,
        retry_after_s=None if spent else RETRY_RESERVED_S,
        may_retry=not spent,
        facts={
            "budget": account.budget,
            "key": account.key,
            "spent_usd": used,
            "reserved_usd": exact_usd(balance.held_usd),
            "limit_usd": limit,
            "resets_at": None if resets_at is None else resets_at.isoformat(),
        },
        warnings=tuple(_warning(one) for one in spent) if warns else (),
    )


def unpriced_refusal(request: AdmissionRequest, budgets: Budgets) -> Refused:
    model = request.model or "A call that names no model"
    return Refused(
        status=budgets.status,
        code="budget_unpriced",
        message=f"{model} has no price, and a budget applies to it.",
        retry_after_s=None,
        may_retry=False,
        facts={"budget": UNPRICED, "key": request.model},
    )


def _warning(balance: Balance) -> BudgetWarning:
    account = balance.account
    return BudgetWarning(account.budget, account.key, balance.spent_usd, balance.limit_usd)
