"""Budgets: which ones a call is under, and what becomes of it by what is spent and held of them.

What calls in flight are expected to cost is held, until they end. A call is refused when what is
spent and what others hold have reached the limit. docs/budgets.md tells it to operators.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal, NamedTuple

from agentledger_site.conf import Config
from capture.admission.decision import (
    NOTHING_APPLIES,
    AdmissionRequest,
    Admitted,
    BudgetWarning,
    Refused,
    TokenBudget,
)
from capture.ledger.accounts import Account

NOTHING = Decimal(0)
UNPRICED = "unpriced"
# A call that ends gives back what it held and did not cost: worth another try a second later.
RETRY_RESERVED_S = 1.0


class Balance(NamedTuple):
    account: Account
    limit_usd: Decimal
    spent_usd: Decimal
    held_usd: Decimal

    @property
    def left_usd(self) -> Decimal:
        return self.limit_usd - self.spent_usd - self.held_usd

    @property
    def is_spent(self) -> bool:
        return self.spent_usd >= self.limit_usd

    @property
    def resets_at(self) -> datetime | None:
        """None: never."""
        day = self.account.day
        return None if day is None else datetime.combine(day + timedelta(1), time(), UTC)


@dataclass(frozen=True, slots=True)
class Budgets:
    """USD; None: no limit."""

    session: Decimal | None = None
    agent: Decimal | None = None
    daily: Decimal | None = None
    user: Decimal | None = None
    action: Literal["block", "warn", "both"] = "block"
    status: int = 429
    unpriced: Literal["pass", "block"] = "pass"

    @classmethod
    def from_config(cls, config: Config) -> Budgets:
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
        found = (self.session, self.agent, self.daily, self.user)
        return any(limit is not None for limit in found)

    @property
    def blocks(self) -> bool:
        return self.action != "warn"

    def of(
        self,
        session_id: str | None,
        agent_name: str | None,
        user_id: str | None,
        token: TokenBudget | None,
        today: date,
    ) -> list[tuple[Account, Decimal]]:
        """What a call is charged to, with the limits. A call that names no session is under no
        session's budget."""
        found = []
        if self.session is not None and session_id is not None:
            found.append((Account("session", session_id, None), self.session))
        if self.agent is not None and agent_name is not None:
            found.append((Account("agent", agent_name, today), self.agent))
        if self.user is not None and user_id is not None:
            found.append((Account("user", user_id, today), self.user))
        if token is not None:
            found.append((Account("token", token.token, today), token.usd))
        if self.daily is not None:
            found.append((Account("daily", None, today), self.daily))
        return found

    def apply_to(self, asking: AdmissionRequest) -> bool:
        return (
            self.daily is not None
            or asking.token is not None
            or (self.session is not None and asking.session_id is not None)
            or (self.agent is not None and asking.agent_name is not None)
            or (self.user is not None and asking.user_id is not None)
        )

    def of_call(self, asking: AdmissionRequest, today: date) -> list[tuple[Account, Decimal]]:
        return self.of(asking.session_id, asking.agent_name, asking.user_id, asking.token, today)

    def refuses_unpriced(self, asking: AdmissionRequest) -> bool:
        return asking.expected_usd is None and self.unpriced == "block" and self.blocks


def reservation_usd(asking: AdmissionRequest) -> Decimal:
    return NOTHING if asking.expected_usd is None else asking.expected_usd


def admission(asking: AdmissionRequest, balances: Sequence[Balance], budgets: Budgets) -> Admitted:
    """Of a call that no budget refuses. `balances` are those before it."""
    if not balances:
        return NOTHING_APPLIES
    warnings = []
    if not budgets.blocks:
        warnings = [_warning(balance) for balance in balances if balance.is_spent]
    if asking.expected_usd is None:
        warnings.append(BudgetWarning(UNPRICED, asking.model, NOTHING, None))
    left = min([balance.left_usd for balance in balances])
    return Admitted(tuple(warnings), reservation_usd(asking), max(left, NOTHING))


def refusal(balances: Sequence[Balance], budgets: Budgets) -> Refused:
    """Of a call that a budget refuses: told of one that is spent rather than of one that is held,
    since it is the one that waiting does not help."""
    spent = [balance for balance in balances if balance.is_spent]
    balance = spent[0] if spent else min(balances, key=lambda b: b.left_usd)
    account, resets_at = balance.account, balance.resets_at
    name = f"The {account.budget} budget" + ("" if account.key is None else f" of {account.key}")
    resets = "never" if resets_at is None else f"at {resets_at:%Y-%m-%dT%H:%M:%SZ}"
    used, limit = _shown(balance.spent_usd), _shown(balance.limit_usd)
    if spent:
        message = f"{name} is spent: {used} of {limit} USD; it resets {resets}."
    else:
        message = (
            f"{name} is held by running calls: {used} USD spent and {_shown(balance.held_usd)}"
            f" reserved of {limit}; it resets {resets}."
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
            "reserved_usd": _shown(balance.held_usd),
            "limit_usd": limit,
            "resets_at": None if resets_at is None else resets_at.isoformat(),
        },
        warnings=tuple(_warning(one) for one in spent) if warns else (),
    )


def unpriced_refusal(asking: AdmissionRequest, budgets: Budgets) -> Refused:
    model = asking.model or "A call that names no model"
    return Refused(
        status=budgets.status,
        code="budget_unpriced",
        message=f"{model} has no price, and a budget applies to it.",
        retry_after_s=None,
        may_retry=False,
        facts={"budget": UNPRICED, "key": asking.model},
    )


def _warning(balance: Balance) -> BudgetWarning:
    account = balance.account
    return BudgetWarning(account.budget, account.key, balance.spent_usd, balance.limit_usd)


def _shown(usd: Decimal) -> str:
    return f"{usd.normalize():f}"
