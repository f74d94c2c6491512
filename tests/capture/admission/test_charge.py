"""What the proxy charges a budget for a call is what the recorder writes down for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest

from capture.admission.awaited_responses import AwaitedResponses
from capture.admission.charge import MAX_PARSED, Charge
from capture.admission.cost_estimate import CostEstimator
from capture.admission.decision import (
    AccountSpend,
    AdmissionRequest,
    Admitted,
    Keys,
    Refused,
    Standing,
)
from capture.exchange import End, Exchange, Outcome, RequestHead, ResponseHead, new_action_id
from capture.ledger.entry import Entry
from capture.parsing.parse import parse_call
from capture.pricing.call_cost import cost_of_call
from capture.pricing.prices import Prices
from tests.support import canned

PRICES = Prices()
EXPECTED = Decimal("0.5")
LEFT = Decimal("0.0005")
JSON_HEAD = [("content-type", "application/json")]
SSE_HEAD = [("content-type", "text/event-stream")]
BODY = orjson.dumps({"model": "gpt-4o", "messages": [{"role": "user", "content": "hello there"}]})


class Till:
    """The end of a reservation, as the call's budgets see it."""

    is_local = True
    outage_reason: str | None = None

    def __init__(self) -> None:
        self.ended: list[Decimal | None] = []

    async def admit(self, request: AdmissionRequest) -> Admitted | Refused:
        raise NotImplementedError

    async def extend(self, request: AdmissionRequest, usd: Decimal) -> bool:
        return usd <= LEFT

    async def settle(self, request: AdmissionRequest, cost_usd: Decimal) -> None:
        self.ended.append(cost_usd)

    async def release(self, request: AdmissionRequest) -> None:
        self.ended.append(None)

    async def correct(self, action_id: UUID, cost_usd: Decimal) -> None:
        raise NotImplementedError

    def mark_recorded(self, ago_s: float) -> None:
        raise NotImplementedError

    async def seed(self, spending: Iterable[AccountSpend]) -> None:
        raise NotImplementedError

    async def standing(self, keys: Keys) -> list[Standing]:
        return []

    async def close(self) -> None:
        pass


def request_head(body: bytes) -> RequestHead:
    return RequestHead(
        started_ns=1_790_000_000_000_000_000,
        method="POST",
        path="/v1/chat/completions",
        target="/v1/chat/completions",
        wire_format="openai_chat",
        upstream="https://api.openai.com",
        upstream_name="openai",
        provider="openai",
        headers=[],
        ledger={},
        body_size=len(body),
        has_body_file=False,
    )


Use = Callable[[Charge], Coroutine[Any, Any, None]]


def charges_of(
    use: Use,
    *outcomes: Outcome,
    expected: Decimal | None = EXPECTED,
    has_whole_body: bool = True,
) -> list[Decimal | None]:
    till = Till()
    request = AdmissionRequest(action_id=new_action_id(), model="gpt-4o", expected_usd=expected)
    charge = Charge(
        till,
        CostEstimator(PRICES),
        request,
        request_head(BODY),
        BODY,
        AwaitedResponses(),
        is_complete=has_whole_body,
    )

    async def whole() -> None:
        await use(charge)
        for outcome in outcomes:
            await charge.settle(outcome)
        await charge.release()

    asyncio.run(whole())
    return till.ended


async def nothing(charge: Charge) -> None:
    pass


def answered(headers: list[tuple[str, str]], pieces: list[bytes], outcome: Outcome) -> Exchange:
    return Exchange(
        new_action_id(),
        request_head(BODY),
        BODY,
        ResponseHead(200, [*headers], 1),
        list(pieces),
        [1] * len(pieces),
        End(outcome, 2),
    )


def recorder_cost(headers: list[tuple[str, str]], pieces: list[bytes], outcome: Outcome) -> Decimal:
    cost = cost_of_call(PRICES, parse_call(answered(headers, pieces, outcome))).total_usd
    assert cost is not None and cost > 0
    return cost


WHOLE = [orjson.dumps(canned.chat("hi"))]
STREAM = canned.data_events(canned.chat_chunks(["one ", "two "]))
NO_USAGE = canned.data_events(canned.chat_chunks(["one ", "two "], usage=False))


@pytest.mark.parametrize(
    ("headers", "pieces", "outcome"),
    [
        pytest.param(JSON_HEAD, WHOLE, Outcome.COMPLETED, id="whole"),
        pytest.param(SSE_HEAD, STREAM, Outcome.COMPLETED, id="stream"),
        pytest.param(SSE_HEAD, NO_USAGE, Outcome.COMPLETED, id="stream without usage"),
        pytest.param(SSE_HEAD, NO_USAGE[:3], Outcome.CLIENT_LEFT, id="hung up"),
        pytest.param(SSE_HEAD, NO_USAGE[:3], Outcome.UPSTREAM_CUT, id="cut"),
    ],
)
def test_the_charge_is_the_cost_that_the_recorder_finds(
    headers: list[tuple[str, str]], pieces: list[bytes], outcome: Outcome
) -> None:
    async def use(charge: Charge) -> None:
        charge.begin_response(200, headers)
        for piece in pieces:
            charge.add_piece(piece)

    # However often a call ends, its first ending counts.
    assert charges_of(use, outcome, Outcome.INTERRUPTED) == [
        recorder_cost(headers, pieces, outcome)
    ]


def test_hanging_up_before_the_response_is_charged_the_estimate() -> None:
    assert charges_of(nothing, Outcome.CLIENT_LEFT) == [EXPECTED]

    async def headers_alone(charge: Charge) -> None:
        charge.begin_response(200, SSE_HEAD)

    assert charges_of(headers_alone, Outcome.CLIENT_LEFT) == [EXPECTED]


def test_an_error_of_the_provider_is_not_charged() -> None:
    async def use(charge: Charge) -> None:
        charge.begin_response(429, JSON_HEAD)
        charge.add_piece(b'{"error": {"message": "slow down"}}')

    assert charges_of(use, Outcome.COMPLETED) == [None]
    assert charges_of(nothing) == [None]


ERROR = b'{"error": {"message": "slow down"}}'


@pytest.mark.parametrize(
    ("headers", "pieces"),
    [
        (JSON_HEAD, [ERROR]),
        (JSON_HEAD, [b'{"status": 439, "msg": "expired"}']),
        (
            JSON_HEAD,
            [b'{"choices": null, "usage": {"total_tokens": 0}, "base_resp": {"status_code": 1}}'],
        ),
        (JSON_HEAD, [b"<html>"]),
        (SSE_HEAD, []),
        (SSE_HEAD, [b": wait\n\n"]),
        (SSE_HEAD, [b"data: ", ERROR, b"\n\n"]),
    ],
)
def test_an_error_with_status_200_is_not_charged(
    headers: list[tuple[str, str]], pieces: list[bytes]
) -> None:
    async def use(charge: Charge) -> None:
        charge.begin_response(200, headers)
        for piece in pieces:
            charge.add_piece(piece)

    assert charges_of(use, Outcome.COMPLETED) == [None]
    exchange = answered(headers, pieces, Outcome.COMPLETED)
    exchange.request = replace(exchange.request or request_head(BODY), reserved_usd=EXPECTED)
    call = parse_call(exchange)
    assert Entry(call, cost_of_call(PRICES, call)).charge_usd is None
    if not pieces or pieces[0].startswith(b":"):  # what would have come is not known
        assert charges_of(use, Outcome.CLIENT_LEFT) == [EXPECTED]


def test_what_came_before_an_error_is_charged() -> None:
    pieces = [*NO_USAGE[:3], b"data: ", ERROR, b"\n\n"]

    async def use(charge: Charge) -> None:
        charge.begin_response(200, SSE_HEAD)
        for piece in pieces:
            charge.add_piece(piece)

    cost = recorder_cost(SSE_HEAD, pieces, Outcome.COMPLETED)
    assert charges_of(use, Outcome.COMPLETED) == [cost]


def test_without_usage_a_request_that_lies_in_a_file_is_charged_what_was_expected() -> None:
    """An estimate from the part of it in memory would be far too low."""

    async def tell(charge: Charge, headers: list[tuple[str, str]], pieces: list[bytes]) -> None:
        charge.begin_response(200, headers)
        for piece in pieces:
            charge.add_piece(piece)

    def charge_of(headers: list[tuple[str, str]], pieces: list[bytes]) -> list[Decimal | None]:
        return charges_of(
            lambda charge: tell(charge, headers, pieces), Outcome.COMPLETED, has_whole_body=False
        )

    assert charge_of(SSE_HEAD, NO_USAGE) == [EXPECTED]
    # A response that says what it used needs no estimate.
    for headers, pieces in ((JSON_HEAD, WHOLE), (SSE_HEAD, STREAM)):
        assert charge_of(headers, pieces) == [recorder_cost(headers, pieces, Outcome.COMPLETED)]


def test_a_response_too_long_to_parse_is_charged_the_estimate() -> None:
    async def use(charge: Charge) -> None:
        charge.begin_response(200, JSON_HEAD)
        for _ in range(9):
            charge.add_piece(b" " * (MAX_PARSED // 8))

    assert charges_of(use, Outcome.COMPLETED) == [EXPECTED]


def test_a_stream_is_over_its_budget_once_it_has_cost_more() -> None:
    words = canned.data_events(canned.chat_chunks(["word "] * 200, usage=False), done=False)
    over: list[bool] = []

    async def use(charge: Charge) -> None:
        charge.begin_response(200, SSE_HEAD)
        for piece in words:
            charge.add_piece(piece)
            over.append(await charge.is_over_budget())

    [cost] = charges_of(use, Outcome.CLIENT_LEFT, expected=Decimal(0))
    assert cost is not None and cost > LEFT
    assert over.index(True) > 20
    # What was known when it was over is what had been said by then.
    n_said = over.index(True) + 1
    assert recorder_cost(SSE_HEAD, words[:n_said], Outcome.CLIENT_LEFT) > LEFT
    assert not any(over[: n_said - 1])
