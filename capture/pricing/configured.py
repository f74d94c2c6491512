"""The prices of this installation: the operator's own, and the published ones beside the ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from capture.pricing import catalog
from capture.pricing.overrides import OperatorPrice, read_operator_prices
from capture.pricing.prices import Prices
from capture.pricing.published import PublishedPrices


@dataclass(frozen=True, slots=True)
class PriceSources:
    """The sources from which the prices of an installation are read."""

    inline: str | None  # JSON: the value of AGENTLEDGER_PRICING
    file: Path | None  # AGENTLEDGER_PRICING_FILE
    published: Path  # may be missing: then the prices that come with AgentLedger apply
    premiums: Mapping[str, Decimal]  # AGENTLEDGER_PREMIUMS

    def read(self) -> Prices:
        """Raises ValueError, as `read_operators` does."""
        published = PublishedPrices(self.published)
        return Prices(self.read_operators(), published, self.premiums)

    def read_operators(self) -> dict[str, OperatorPrice]:
        """Returns the operator's prices by model; where both sources name a model, the file wins.
        Raises ValueError: one sentence that says what is wrong, and where."""
        prices: dict[str, OperatorPrice] = {}
        if self.inline is not None:
            prices |= read_operator_prices(self.inline, "AGENTLEDGER_PRICING")
        if self.file is not None:
            try:
                text = self.file.read_text()
            except (OSError, UnicodeDecodeError) as error:
                raise ValueError(
                    f"AGENTLEDGER_PRICING_FILE: {self.file} cannot be read: {error}"
                ) from None
            prices |= read_operator_prices(text, str(self.file))
        return prices

    def published_version(self) -> tuple[int, int] | None:
        """Returns a value that changes when the published prices do; None if there is no file."""
        return catalog.file_version(self.published)
