"""Estimates of what a call will cost, made before its response is known. While the call runs, it
reserves that much of its budgets."""

from __future__ import annotations

from collections import OrderedDict, deque
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import NamedTuple

from capture.parsing.usage_estimate import FORMATS
from capture.pricing.prices import Prices
from capture.pricing.terms import Billing, BillingTerms
from capture.wire.request_summary import RequestSummary
from capture.wire.types import Usage, WireFormat

# The estimate for a call without a maximum, to a model that has not responded to any call yet.
FIRST_OUTPUT_TOKENS = 500
N_RECENT = 64
MAX_MODELS = 1000
BYTES_PER_TOKEN = 4
# No model reads more, whatever a body holds.
MOST_TOKENS_IN = 2_000_000
# Some prices have tiers that begin above this many tokens.
LONG_PROMPT = 100_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def estimate_tokens_out(max_tokens: int | None, typical: int | None) -> int:
    """`max_tokens` is what the request allows, `typical` the mean of the model's recent responses;
    None: not known."""
    known = [tokens for tokens in (max_tokens, typical) if tokens is not None and tokens >= 0]
    return min(known, default=FIRST_OUTPUT_TOKENS)


class TokenPrices(NamedTuple):
    """Prices in USD of one token in a short prompt, of one token of the response, and of the call
    itself."""

    token_in: Decimal
    token_out: Decimal
    call: Decimal


class PricedModel(NamedTuple):
    token_in: Decimal  # USD
    model: str
    provider: str


class RecentMeans:
    """The mean of each model's last numbers, for the models that were used most recently."""

    def __init__(self) -> None:
        self._numbers: OrderedDict[str, deque[Decimal | int]] = OrderedDict()
        self._sums: dict[str, Decimal | int] = {}

    def add(self, model: str, number: Decimal | int) -> None:
        numbers = self._numbers.get(model)
        if numbers is None:
            numbers = self._numbers[model] = deque(maxlen=N_RECENT)
            self._sums[model] = 0
            if len(self._numbers) > MAX_MODELS:
                del self._sums[self._numbers.popitem(last=False)[0]]
        else:
            self._numbers.move_to_end(model)
        self._sums[model] += number - (numbers[0] if len(numbers) == N_RECENT else 0)
        numbers.append(number)

    def mean(self, model: str) -> Decimal | None:
        # The mean and not, say, the median: many calls then reserve about what they cost together.
        numbers = self._numbers.get(model)
        return Decimal(self._sums[model]) / len(numbers) if numbers else None


class CostEstimator:
    """Estimates by the prices and by the model's recent calls."""

    def __init__(self, prices: Prices) -> None:
        self._tokens_out = RecentMeans()
        self._most_expensive: PricedModel | None = None
        self._costs = RecentMeans()  # for what is not priced by tokens alone: images, audio
        self.use_prices(prices)

    def use_prices(self, prices: Prices) -> None:
        self.prices = prices
        self._token_prices = lru_cache(4096)(self._look_up_token_prices)

    def learn(
        self, wire_format: WireFormat, model: str, tokens_out: int | None, usd: Decimal
    ) -> None:
        """Takes a completed call into account."""
        if wire_format.NAME not in FORMATS:
            self._costs.add(model, usd)
        elif tokens_out is not None:
            self._tokens_out.add(model, tokens_out)

    def estimate_usd(
        self,
        wire_format: WireFormat,
        summary: RequestSummary,
        *,
        provider: str,
        at: datetime,
        billing: Billing = Billing.METERED,
    ) -> Decimal | None:
        """Returns None if the model has no price. Of a body that cannot be read, and names none
        before, the model counts that has been the most expensive so far."""
        model = summary.model
        if model is None and summary.unread is not None and self._most_expensive is not None:
            model, provider = self._most_expensive.model, self._most_expensive.provider
        terms = BillingTerms(model, provider=provider, billing=billing)
        if billing is not Billing.METERED:
            return self.prices.cost(None, terms._replace(provider=None), at=at).total_usd
        if model is None:
            return None
        prices = self._token_prices(model, provider, (at - _EPOCH).days)
        if wire_format.NAME not in FORMATS:
            typical = self._costs.mean(model)
            if typical is not None:
                return typical
            tokens_out = 0
        else:
            recent = self._tokens_out.mean(model)
            typical_out = round(recent) if recent is not None else None
            tokens_out = estimate_tokens_out(summary.max_tokens, typical_out)
        tokens_in = min(summary.text_bytes // BYTES_PER_TOKEN, MOST_TOKENS_IN)
        if prices is None:
            # The cost of audio or images is known once a call has been made.
            is_priced = self.prices.explain(terms, at=at).prices
            return Decimal(0) if is_priced else None
        if tokens_in > LONG_PROMPT:
            usage = Usage(tokens_in=tokens_in, tokens_out=tokens_out)
            return self.prices.cost(usage, terms, at=at).total_usd
        return prices.call + tokens_in * prices.token_in + tokens_out * prices.token_out

    def _look_up_token_prices(self, model: str, provider: str, day: int) -> TokenPrices | None:
        """Returns None if the model is not priced by tokens."""
        at = _EPOCH + timedelta(day)
        terms = BillingTerms(model, provider=provider)

        def usd(tokens_in: int, tokens_out: int) -> Decimal | None:
            usage = Usage(tokens_in=tokens_in, tokens_out=tokens_out)
            return self.prices.cost(usage, terms, at=at).total_usd

        call, of_input, of_output = usd(0, 0), usd(10_000, 0), usd(0, 10_000)
        if call is None or of_input is None or of_output is None:
            return None
        token_in = (of_input - call) / 10_000
        if self._most_expensive is None or token_in > self._most_expensive.token_in:
            self._most_expensive = PricedModel(token_in, model, provider)
        return TokenPrices(token_in, (of_output - call) / 10_000, call)
