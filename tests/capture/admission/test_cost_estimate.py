"""What calls are expected to cost."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from capture.admission.budgets import Budgets
from capture.admission.cost_estimate import (
    FIRST_OUTPUT_TOKENS,
    MAX_MODELS,
    MOST_TOKENS_IN,
    N_RECENT,
    CostEstimator,
    RecentMeans,
    estimate_tokens_out,
)
from capture.admission.gate import Admission
from capture.admission.ingest_keys import IngestKeys
from capture.admission.ingest_tokens import IngestTokens
from capture.admission.rate_limits import Limits
from capture.admission.state.memory import MemoryState
from capture.admission.stops import Stops
from capture.exchange import new_action_id
from capture.pricing.overrides import read_operator_prices
from capture.pricing.prices import Prices
from capture.pricing.terms import Billing
from capture.wire import registry
from capture.wire.request_summary import RequestSummary, summarize_request
from capture.wire.types import WireFormat

PRICES = Prices(read_operator_prices('{"mine": [1, 10]}', "a test"))
AT = datetime(2026, 3, 14, tzinfo=UTC)
CHAT, IMAGES, AUDIO = map(registry.by_name, ("openai_chat", "openai_images", "openai_audio"))


@pytest.mark.parametrize(
    ("max_tokens", "typical", "expected"),
    [
        (100, None, 100),
        (100, 300, 100),
        (32_000, 300, 300),
        (None, 300, 300),
        (None, None, FIRST_OUTPUT_TOKENS),
        (-1, None, FIRST_OUTPUT_TOKENS),
        (0, 300, 0),
    ],
)
def test_the_estimate_of_output_tokens(
    max_tokens: int | None, typical: int | None, expected: int
) -> None:
    assert estimate_tokens_out(max_tokens, typical) == expected


def estimate(
    estimator: CostEstimator,
    model: str | None,
    *,
    wire_format: WireFormat = CHAT,
    max_tokens: int | None = 200,
    text_bytes: int = 4000,
    billing: Billing = Billing.METERED,
) -> Decimal | None:
    looked = RequestSummary((model,) if model else (), max_tokens, text_bytes)
    return estimator.estimate_usd(wire_format, looked, provider="openai", at=AT, billing=billing)


@pytest.mark.parametrize(
    ("model", "billing", "usd"),
    [
        ("mine", Billing.METERED, Decimal("0.003")),
        ("nobody's", Billing.METERED, None),
        ("nobody's", Billing.NEVER, Decimal(0)),
        ("nobody's", Billing.OWN_MACHINE, Decimal(0)),
        (None, Billing.METERED, None),
    ],
)
def test_the_estimate_of_a_call(model: str | None, billing: Billing, usd: Decimal | None) -> None:
    assert estimate(CostEstimator(PRICES), model, billing=billing) == usd


def test_a_long_prompt_is_estimated_by_its_tier() -> None:
    # https://ai.google.dev/gemini-api/docs/pricing: 1.25 and 10 USD a million, above 200,000 tokens
    # 2.50 and 15.
    estimator = CostEstimator(PRICES)
    short = estimate(estimator, "gemini-2.5-pro", text_bytes=400_000, max_tokens=1000)
    assert short == Decimal("0.135")
    long = estimate(estimator, "gemini-2.5-pro", text_bytes=1_200_000, max_tokens=1000)
    assert long == Decimal("0.765")


def test_output_is_estimated_by_recent_responses() -> None:
    estimator = CostEstimator(PRICES)
    assert estimate(estimator, "mine", max_tokens=None) == Decimal("0.006")
    for tokens in (50, 150):
        estimator.learn(CHAT, "mine", tokens, Decimal(1))
    assert estimate(estimator, "mine", max_tokens=None) == Decimal("0.002")
    assert estimate(estimator, "mine", max_tokens=20) == Decimal("0.0012")


def test_models_priced_by_the_minute_are_estimated_by_recent_costs() -> None:
    estimator = CostEstimator(PRICES)
    whisper = {"wire_format": AUDIO, "text_bytes": 0}
    # Keywords differ by model.
    assert estimate(estimator, "whisper-1", **whisper) == 0  # type: ignore[arg-type]
    # Keywords differ by model.
    assert estimate(estimator, "nobody's", **whisper) is None  # type: ignore[arg-type]
    estimator.learn(AUDIO, "whisper-1", None, Decimal("0.06"))
    estimator.learn(AUDIO, "whisper-1", None, Decimal("0.02"))
    # Keywords differ by model.
    assert estimate(estimator, "whisper-1", **whisper) == Decimal("0.04")  # type: ignore[arg-type]


# The providers' lists, as genai-prices 0.2.3 has them (read 2026-11-24): https://groq.com/pricing,
# https://www.together.ai/pricing, https://www.cerebras.ai/pricing. None: OpenAI's, by the format.
@pytest.mark.parametrize(
    ("provider", "usd"),
    [("groq", "0.00075"), ("together", "0.00075"), ("cerebras", "0.0011"), (None, "0.000219")],
)
def test_a_call_reserves_by_the_prices_of_the_upstreams_provider(
    tmp_path: Path, provider: str | None, usd: str
) -> None:
    budgets = Budgets(daily=Decimal(1))
    admission = Admission(
        IngestKeys(None, IngestTokens(tmp_path / "tokens")),
        Stops(tmp_path / "stops"),
        None,
        budgets,
        MemoryState(Limits(), budgets),
        CostEstimator(Prices()),
    )
    summary = RequestSummary(("openai/gpt-oss-120b",), 1000, 4000)
    request = admission.new_request(new_action_id(), {}, summary, CHAT, provider)
    assert request.expected_usd == Decimal(usd)


def test_an_image_in_a_prompt_is_not_counted_as_text() -> None:
    picture = b"data:image/png;base64," + b"iVBORw0K" * 10_000
    body = b'{"model": "mine", "messages": ["what is it?", "%s"]}' % picture
    looked = summarize_request(body, CHAT, path="/v1/chat/completions")
    assert 50 < looked.text_bytes < 100
    assert summarize_request(b'{"model": "mine"}', CHAT, path="/x").text_bytes == 17


def test_a_body_that_cannot_be_read_is_estimated_by_the_most_expensive_model() -> None:
    estimator = CostEstimator(PRICES)

    def estimate_unread(text_bytes: int) -> Decimal | None:
        summary = RequestSummary(max_tokens=0, text_bytes=text_bytes, unread="it is cut short")
        return estimator.estimate_usd(CHAT, summary, provider="openai", at=AT)

    assert estimate_unread(4_000) is None
    known = estimate(estimator, "mine", max_tokens=0, text_bytes=4_000)
    assert known and estimate_unread(4_000) == known
    most = 4 * MOST_TOKENS_IN
    assert estimate_unread(100 * most) == estimate_unread(most)


def test_the_mean_is_that_of_the_last_numbers() -> None:
    recent = RecentMeans()
    assert recent.mean("m") is None
    for number in (1, 2, 3):
        recent.add("m", number)
    assert recent.mean("m") == 2
    for _ in range(N_RECENT):
        recent.add("m", 70)
    assert recent.mean("m") == 70


def test_models_unused_for_long_are_forgotten() -> None:
    recent = RecentMeans()
    recent.add("old", 1)
    recent.add("used", 1)
    for n in range(MAX_MODELS - 1):
        recent.add(f"m{n}", 1)
        recent.add("used", 1)
    assert recent.mean("old") is None
    assert recent.mean("used") == 1
