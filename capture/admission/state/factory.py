"""The state of limits and budgets, as configured. It is there even where none are configured, since
an ingest token may have a budget."""

from __future__ import annotations

from django.conf import settings

from capture.admission.budgets import Budgets
from capture.admission.decision import SpendLookup, State
from capture.admission.rate_limits import Limits
from capture.admission.state.memory import MemoryState


def new_state(prior_spend: SpendLookup | None = None) -> State:
    config = settings.AGENTLEDGER
    limits, budgets = Limits.from_settings(), Budgets.from_settings()
    on_failure = config.on_limiter_failure
    if config.redis_url is None:
        return MemoryState(limits, budgets, prior_spend=prior_spend, on_failure=on_failure)
    from capture.admission.state.redis import RedisState  # takes 40 ms and 10 MB that few need

    return RedisState(
        config.redis_url, limits, budgets, prior_spend=prior_spend, on_failure=on_failure
    )
