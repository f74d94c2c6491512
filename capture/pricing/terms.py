"""The terms that decide the prices of a call, apart from its time and its usage."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Billing(Enum):
    """The way in which calls are charged for."""

    METERED = "metered"
    NEVER = "never"  # free whatever is counted: count_tokens, moderations, a gateway's cache
    OWN_MACHINE = "own machine"  # Ollama's API: free unless the operator has a price for it


class BillingTerms(NamedTuple):
    """A named tuple, because price lookups are cached by it: it is made and hashed for each call.

    `provider` is a hint: a model that has no price there is looked up at the developers of models.
    `service_tier` and `speed` are those that the response names, `place` is where it ran:
    capture.pricing.places.
    """

    requested_model: str | None
    response_model: str | None = None
    provider: str | None = None
    service_tier: str | None = None
    speed: str | None = None
    processing: str | None = None
    billing: Billing = Billing.METERED
    place: str | None = None

    @property
    def model(self) -> str | None:
        """The model that is billed: the one that responded, since a gateway may send a call to
        another model than was requested, or the requested one where the response names none."""
        return self.response_model or self.requested_model
