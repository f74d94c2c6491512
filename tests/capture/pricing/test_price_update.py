"""Newer published prices, put in place by `manage.py prices --update` and by nothing else."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from capture.pricing import catalog
from capture.pricing.prices import Prices
from capture.pricing.published import PublishedPrices
from capture.pricing.terms import BillingTerms
from tests.capture.pricing.test_costs import post
from tests.capture.pricing.test_pricing import NOW, SOURCE, cost, tokens
from tests.support import canned
from tests.support.ledger import PROJECT, Ledger
from tests.support.provider import Provider


def providers(**prices: Any) -> list[dict[str, Any]]:
    """genai-prices' published form, with one model."""
    model = {
        "id": "gpt-4o",
        "match": {"or": [{"equals": "gpt-4o"}, {"starts_with": "gpt-4o-2"}]},
        "prices": prices or {"input_mtok": 7, "output_mtok": 9.5},
    }
    openai = {"id": "openai", "name": "OpenAI", "api_pattern": "https://api", "models": [model]}
    return [openai]


NEWER = json.dumps(providers()).encode()


def prices(ledger: Ledger, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, str(PROJECT / "manage.py"), "prices", *arguments],
        cwd=ledger.folder,
        env=ledger.environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    return done.returncode, done.stdout, done.stderr


def test_a_running_recorder_uses_newer_prices_until_they_are_removed(
    fresh: Ledger, provider: Provider
) -> None:
    url = f"{provider.url}/data.json"
    packed = [("content-type", "text/plain"), ("content-encoding", "gzip")]
    provider.response(*canned.whole(gzip.compress(NEWER), headers=packed), path="/data.json")
    with fresh:
        post(fresh, "before")
        assert fresh.call("before")["price_source"] == SOURCE
        status, said, _ = prices(fresh, "--update", url)
        assert (status, said) == (0, f"Now using the prices of {source(NEWER)}: 1 models\n")
        post(fresh, "newer")
        newer = fresh.call("newer")
        # 12 tokens in, 4 of them cached, which have no price of their own here; 7 out
        assert Decimal(str(newer["cost_usd"])) == (12 * 7 + 7 * Decimal("9.5")) / 10**6
        assert newer["price_source"] == source(NEWER)
        assert "7 USD per" in prices(fresh, "gpt-4o")[1]
        assert prices(fresh, "--update", "builtin")[:2] == (
            0,
            f"Now using the prices of {SOURCE}: 2,330 models\n",
        )
        post(fresh, "after")
        assert fresh.call("after")["price_source"] == SOURCE
    assert sum(request.target == "/data.json" for request in provider.requests()) == 1


def source(data: bytes) -> str:
    return catalog.parse_prices(data).source


def test_prices_from_a_file_outlive_a_restart(fresh: Ledger, provider: Provider) -> None:
    (fresh.folder / "data.json").write_bytes(NEWER)
    assert prices(fresh, "--update", "data.json")[0] == 0
    (fresh.folder / "data.json").unlink()
    with fresh:
        post(fresh, "s")
        assert fresh.call("s")["price_source"] == source(NEWER)
    assert source(NEWER).startswith(f"{SOURCE}+")


TWICE = providers() * 2
NEGATIVE = providers(input_mtok=-1)
PATTERN = providers()
PATTERN[0]["models"][0]["match"] = {"regex": "("}


@pytest.mark.parametrize(
    ("response", "complaint"),
    [
        (canned.whole(b"not here", 404), "responds with status 404"),
        (canned.whole(b"<!doctype html><title>Sign in</title>"), "it is not JSON"),
        (canned.whole(b"[" * 100_000), "it is not JSON"),
        (canned.as_json({"gpt-4o": [1, 2]}), "it is not a list of providers"),
        (
            canned.as_json([{"id": "openai"}]),
            "shape is not that of genai-prices: Field required",
        ),
        (canned.as_json([1]), "its shape is not that of genai-prices"),
        (canned.as_json([]), "it has no prices"),
        (canned.as_json(providers(input_mtok="free")), "its shape is not that of genai-prices"),
        (canned.as_json(NEGATIVE), "openai's price of gpt-4o is not valid: -1"),
        (canned.as_json(TWICE), "it has the same provider twice"),
        (canned.as_json(PATTERN), "its pattern '(' is not valid"),
        (canned.stream([b" " * 1_048_576] * 33), "sends more than 33,554,432 bytes"),
        ([canned.send(canned.head(200, [("content-length", "9")])), canned.CLOSE], "cannot be"),
        ([canned.RESET], "cannot be fetched"),
    ],
)
def test_unusable_data_leaves_the_prices_as_they_were(
    fresh: Ledger, provider: Provider, response: list[Any], complaint: str
) -> None:
    stored = catalog.path_in(fresh.spool)
    stored.parent.mkdir()
    stored.write_bytes(NEWER)
    provider.response(*response)
    status, said, error = prices(fresh, "--update", f"{provider.url}/data.json?token=secret")
    [line] = error.splitlines()
    assert (status, said) == (1, "")
    assert complaint in line and "secret" not in line
    assert stored.read_bytes() == NEWER
    assert list(stored.parent.iterdir()) == [stored]


@pytest.mark.parametrize(
    ("wanted", "complaint"),
    [
        ("http://127.0.0.1:1/data.json", "http://127.0.0.1:1/data.json cannot be fetched"),
        ("http://no.such.host.invalid/", "cannot be fetched"),
        ("http://", "cannot be fetched"),
        ("nowhere.json", "nowhere.json cannot be read"),
        (".", "cannot be read"),
    ],
)
def test_an_unreachable_source_is_named(fresh: Ledger, wanted: str, complaint: str) -> None:
    status, _, error = prices(fresh, "--update", wanted)
    [line] = error.splitlines()
    assert status == 1 and complaint in line
    assert not catalog.path_in(fresh.spool).exists()


def test_a_price_by_an_unknown_unit_makes_the_cost_unknown(tmp_path: Path) -> None:
    data = providers(input_mtok=1, output_mtok=2, daydreams_mtok=5)
    (tmp_path / "data.json").write_text(json.dumps(data))
    newer = Prices(published=PublishedPrices(tmp_path / "data.json"))
    found = cost(tokens(10, 10), "gpt-4o", prices=newer)
    assert found.why == "gpt-4o is priced by daydreams_mtok, which is not known here"
    assert newer.explain(BillingTerms("claude-opus-5-5"), at=NOW).source == "unknown"


def test_a_stored_file_that_became_unusable_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data.json").write_bytes(NEWER[:-9])
    found = cost(
        tokens(1000, 0), "gpt-4o", prices=Prices(published=PublishedPrices(tmp_path / "data.json"))
    )
    assert found.source == SOURCE
    assert "is not used" in caplog.text
