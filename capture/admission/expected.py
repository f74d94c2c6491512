"""What a call is expected to cost, before anything is known of its answer: that much of a budget it
holds while it runs."""

from __future__ import annotations

from collections import OrderedDict, deque
from datetime import datetime
from decimal import Decimal

from capture.pricing import Billing, Prices
from capture.wire.types import Usage

# Of a call that sets no maximum, to a model that has not answered yet.
FIRST_OUTPUT_TOKENS = 500
N_RECENT = 64
MAX_MODELS = 1000


def expected_tokens_out(max_tokens: int | None, typical: int | None) -> int:
    """`max_tokens` is what the request allows, `typical` what the model recently answered; None:
    not known."""
    known = [tokens for tokens in (max_tokens, typical) if tokens is not None and tokens >= 0]
    return min(known, default=FIRST_OUTPUT_TOKENS)


def expected_usd(
    prices: Prices,
    *,
    model: str | None,
    provider: str | None,
    at: datetime,
    tokens_in: int,
    max_tokens: int | None,
    typical: int | None,
    billing: Billing = Billing.METERED,
) -> Decimal | None:
    """None: the model has no price. `tokens_in` is an estimate of the prompt."""
    usage = Usage(tokens_in=tokens_in, tokens_out=expected_tokens_out(max_tokens, typical))
    return prices.cost(usage, asked=model, provider=provider, at=at, billing=billing).total_usd


class RecentOutputs:
    """How long the last answers of each model were; of the models that were used last."""

    def __init__(self) -> None:
        self._outputs: OrderedDict[str, deque[int]] = OrderedDict()

    def add(self, model: str, tokens_out: int) -> None:
        outputs = self._outputs.get(model)
        if outputs is None:
            outputs = self._outputs[model] = deque(maxlen=N_RECENT)
            if len(self._outputs) > MAX_MODELS:
                self._outputs.popitem(last=False)
        else:
            self._outputs.move_to_end(model)
        outputs.append(tokens_out)

    def typical(self, model: str) -> int | None:
        """The mean, so that what many calls hold is about what they cost together."""
        outputs = self._outputs.get(model)
        return -(-sum(outputs) // len(outputs)) if outputs else None
