"""The prices that this installation has: the operator's, from where the configuration says they
are, and the published ones beside the ledger's data."""

from __future__ import annotations

from pathlib import Path

from agentledger_site.conf import PREFIX, Config
from capture.pricing import catalog
from capture.pricing.overrides import OperatorPrice, read_operator_prices
from capture.pricing.prices import Prices
from capture.pricing.published import PublishedPrices


def published_file(config: Config) -> Path:
    return catalog.path_in(config.spool_path)


def configured_prices(config: Config) -> Prices:
    """Raises ValueError, as `operator_prices` does."""
    return Prices(operator_prices(config), PublishedPrices(published_file(config)))


def operator_prices(config: Config) -> dict[str, OperatorPrice]:
    """Raises ValueError: one sentence that says what is wrong, and where."""
    prices: dict[str, OperatorPrice] = {}
    if config.pricing is not None:
        prices |= read_operator_prices(config.pricing, f"{PREFIX}PRICING")
    if config.pricing_file is not None:
        path = Path.cwd() / config.pricing_file
        try:
            text = path.read_text()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{PREFIX}PRICING_FILE: {path} cannot be read: {error}") from None
        prices |= read_operator_prices(text, str(path))
    return prices
