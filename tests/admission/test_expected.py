"""What calls are expected to cost."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from capture.admission.expected import (
    FIRST_OUTPUT_TOKENS,
    MAX_MODELS,
    N_RECENT,
    RecentOutputs,
    expected_tokens_out,
    expected_usd,
)
from capture.operator_prices import read_operator_prices
from capture.pricing import Billing, Prices

PRICES = Prices(read_operator_prices('{"mine": [1, 10]}', "a test"))
AT = datetime(2026, 3, 14, tzinfo=UTC)


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
def test_the_output_that_is_expected(
    max_tokens: int | None, typical: int | None, expected: int
) -> None:
    assert expected_tokens_out(max_tokens, typical) == expected


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
def test_what_a_call_is_expected_to_cost(
    model: str | None, billing: Billing, usd: Decimal | None
) -> None:
    expected = expected_usd(
        PRICES,
        model=model,
        provider=None,
        at=AT,
        tokens_in=1000,
        max_tokens=200,
        typical=None,
        billing=billing,
    )
    assert expected == usd


def test_the_typical_output_is_that_of_the_last_answers() -> None:
    outputs = RecentOutputs()
    assert outputs.typical("m") is None
    for tokens in (1, 2, 2):
        outputs.add("m", tokens)
    assert outputs.typical("m") == 2  # rounded up
    for _ in range(N_RECENT):
        outputs.add("m", 70)
    assert outputs.typical("m") == 70


def test_models_that_were_not_used_for_long_are_forgotten() -> None:
    outputs = RecentOutputs()
    outputs.add("old", 1)
    outputs.add("used", 1)
    for n in range(MAX_MODELS - 1):
        outputs.add(f"m{n}", 1)
        outputs.add("used", 1)
    assert outputs.typical("old") is None
    assert outputs.typical("used") == 1
