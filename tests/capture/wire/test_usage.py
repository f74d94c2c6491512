from __future__ import annotations

from decimal import Decimal

import pytest

from capture.wire.formats.anthropic import usage as anthropic_usage
from capture.wire.formats.openai import usage as openai_usage
from capture.wire.json.lenient import load
from capture.wire.shared import reported_cost
from capture.wire.shared.usage import add_up, merge_counts
from capture.wire.types import ParsedResponse, Usage


@pytest.mark.parametrize(
    ("counts", "usd"),
    [
        (b'{"cost":0}', "0"),
        (b'{"cost":0.1}', "0.1"),
        (b'{"cost":1.23456789e-5}', "0.0000123456789"),
        (b'{"cost":0.1,"cost_details":{"upstream_inference_cost":0.2}}', "0.1"),
        # What the agent's own key paid is not known.
        (b'{"cost":0,"is_byok":true,"cost_details":{"upstream_inference_cost":null}}', None),
        (b'{"cost":0,"is_byok":true,"market_cost":0.002}', "0.002"),
        (b'{"cost":0,"is_byok":true,"cost_details":{"upstream_inference_cost":0.7}}', "0.7"),
        (b'{"cost_in_usd_ticks":1}', "0.0000000001"),
        (b'{"cost_in_usd_ticks":0.5}', None),
        (b'{"cost":-1}', None),
        (b'{"cost":true}', None),
        (b'{"cost":"0.1"}', "0.1"),
        (b'{"cost":"$0.000123"}', "0.000123"),
        (b'{"cost":"1.2e-05 USD"}', "0.000012"),
        (b'{"cost":"None"}', None),
        (b'{"cost":"0.1 EUR"}', None),
        (b'{"cost":"9999999999"}', None),
        (b'{"cost":null,"estimated_cost":0.5}', "0.5"),
        (b'{"cost":{},"estimated_cost":"0.5"}', "0.5"),
        (b'{"cost_in_usd_ticks":"37756000"}', "0.0037756"),
        (b'{"cost":0.1,"currency":"CNY"}', None),
        (b'{"cost":0.1,"currency":"usd"}', "0.1"),
        (b'{"cost":0.1,"currency":7}', None),
        (b'{"cost":{"total_cost":0.1,"currency":"EUR"}}', None),
        (b'{"cost":{"input_cost":1,"output_cost":2}}', None),
        (b'{"cost":[1]}', None),
        (b'{"cost":1e400}', None),
        (b'{"cost":1000001}', None),
        (b'{"cost":{"input_tokens_cost":1,"request_cost":2,"total_cost":3}}', "3"),
    ],
)
def test_reported_cost_is_the_number_that_came(counts: bytes, usd: str | None) -> None:
    for read in (openai_usage.read_usage, anthropic_usage.read_usage):
        found = read(load(counts)[0])
        assert found is not None
        assert found.reported_cost_usd == (None if usd is None else Decimal(usd))


@pytest.mark.parametrize("nothing", [None, {}, [], 7, "usage"])
def test_what_is_not_an_object_has_no_usage(nothing: object) -> None:
    assert openai_usage.read_usage(nothing) is None
    assert anthropic_usage.read_usage(nothing) is None
    assert openai_usage.read_llama_cpp_timings(nothing) is None


def test_sum_has_each_count_that_one_of_them_has() -> None:
    one = Usage(tokens_in=1, tokens_audio_in=0, units={"images": 1}, raw={"a": 1})
    two = Usage(tokens_in=2, units={"images": 2}, reported_cost_usd=Decimal("0.5"), raw={"b": 2})
    assert add_up([one, two]) == Usage(
        tokens_in=3,
        tokens_audio_in=0,
        units={"images": 3},
        reported_cost_usd=Decimal("0.5"),
        raw={"a": 1, "b": 2},
    )
    assert add_up([one]) is one
    assert add_up([]) is None


def test_later_counts_are_taken_over_but_a_zero_undoes_none() -> None:
    known = {"a": 7, "b": 0, "details": {"c": 3}}
    merge_counts(known, {"a": 0, "b": 2, "details": {"c": 0, "d": 0}, "e": None, "f": 0})
    merge_counts(known, {"a": 5, "details": None})
    assert known == {"a": 5, "b": 2, "details": {"c": 3, "d": 0}, "f": 0}


@pytest.mark.parametrize(
    ("header", "value", "is_stream", "usd"),
    [
        ("x-litellm-response-cost", "0.0005380500000000001", False, "0.0005380500000000001"),
        ("x-litellm-response-cost", "0.0", False, "0"),
        ("x-litellm-response-cost", "0.0", True, None),  # sent before the cost was known
        ("helicone-cost", "0.0004", True, "0.0004"),
        ("x-request-cost-usd", "0.008505 USD", False, "0.008505"),
        ("x-litellm-response-cost", "None", False, None),
        ("x-litellm-response-cost", "", False, None),
        ("x-litellm-response-cost-input", "1", False, None),
        ("x-cost-usd", "1e400", False, None),
    ],
)
def test_header_has_the_cost(header: str, value: str, is_stream: bool, usd: str | None) -> None:
    parsed_response = ParsedResponse()
    reported_cost.add_header_cost(parsed_response, {header: value}, is_stream=is_stream)
    found = parsed_response.usage.reported_cost_usd if parsed_response.usage else None
    assert found == (None if usd is None else Decimal(usd))


def test_body_precedes_a_header() -> None:
    parsed_response = ParsedResponse(usage=Usage(reported_cost_usd=Decimal(1)))
    headers = {"x-litellm-response-cost": "2"}
    reported_cost.add_header_cost(parsed_response, headers, is_stream=False)
    assert parsed_response.usage == Usage(reported_cost_usd=Decimal(1))


@pytest.mark.parametrize(
    ("header", "value", "is_from_cache"),
    [
        ("cf-aig-cache-status", "HIT", True),
        ("cf-aig-cache-status", "MISS", False),
        ("x-portkey-cache-status", "SEMANTIC HIT", True),
        ("x-portkey-cache-status", "DISABLED", False),
        ("helicone-cache", "hit", True),
        ("x-litellm-cache-hit", "True", True),
        ("x-litellm-cache-hit", "False", False),
        ("x-openrouter-cache-status", "", False),
        ("cf-cache-status", "HIT", False),  # of a CDN
    ],
)
def test_gateway_says_that_it_answered_from_its_cache(
    header: str, value: str, is_from_cache: bool
) -> None:
    assert reported_cost.is_from_cache({header: value}) is is_from_cache


@pytest.mark.parametrize(
    "response",
    [
        {"cost": {"cost": {"cost": 1}}},
        {"provider_metadata": 7, "choices": [{"message": {"provider_metadata": {"gateway": []}}}]},
        {"choices": {"message": 1}, "x_nanogpt_pricing": [1], "copilot_usage": "x"},
        {"copilot_usage": {"total_nano_aiu": "many"}, "costDollars": {"total": -1}},
        {"currency": {"x": 1}, "cost": 1},
    ],
)
def test_odd_shapes_are_no_cost(response: dict[str, object]) -> None:
    parsed_response = ParsedResponse()
    reported_cost.add_reported_cost(parsed_response, response)
    assert parsed_response.usage is None
