from __future__ import annotations

from decimal import Decimal

import pytest

from capture.wire.formats.anthropic import usage as anthropic_usage
from capture.wire.formats.openai import usage as openai_usage
from capture.wire.json.lenient import load
from capture.wire.shared.usage import add_up
from capture.wire.types import Usage


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
