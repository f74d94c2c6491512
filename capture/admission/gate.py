"""The checks that a call passes before it may go upstream, and their order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.conf import settings

from capture.admission.budgets import Budgets
from capture.admission.cost_estimate import CostEstimator
from capture.admission.decision import AdmissionRequest, Admitted, Refused, State
from capture.admission.ingest_keys import Headers, IngestKeys
from capture.admission.model_policy import ModelPolicy
from capture.admission.stops import Stops
from capture.exchange import TOKEN_FIELD
from capture.pricing.call_cost import billing_of
from capture.wire.request_summary import RequestSummary
from capture.wire.types import WireFormat


@dataclass(slots=True)
class Admission:
    """The checks that operators configured."""

    ingest: IngestKeys
    stops: Stops
    models: ModelPolicy | None  # None: all models are allowed
    budgets: Budgets
    state: State  # of rate limits and budgets
    estimator: CostEstimator

    @classmethod
    def from_settings(
        cls,
        ingest: IngestKeys,
        stops: Stops,
        state: State,
        estimator: CostEstimator,
    ) -> Admission:
        config = settings.AGENTLEDGER
        models = None
        if config.models_allow or config.models_deny:
            models = ModelPolicy(allow=config.models_allow, deny=config.models_deny)
        return cls(ingest, stops, models, Budgets.from_settings(), state, estimator)

    @property
    def inspects_bodies(self) -> bool:
        return self.models is not None or self.has_budgets

    @property
    def has_budgets(self) -> bool:
        """True if some call may be under a budget."""
        return self.budgets.is_any or self.ingest.tokens.have_budgets

    def check_key(self, headers: Headers) -> Refused | None:
        """Refuses calls without the ingest key before their body is read, so that they cannot fill
        the disk."""
        return self.ingest.refusal(headers)

    def check_stops(self, fields: Mapping[str, str]) -> Refused | None:
        return self.stops.refusal(fields)

    async def admit(
        self, request: AdmissionRequest, fields: Mapping[str, str], summary: RequestSummary | None
    ) -> Admitted | Refused:
        """Checks stops, models, rate limits and budgets, in this order; the first refusal counts.
        The ingest key was checked before. `summary` is None where bodies are not inspected."""
        refused = self.check_stops(fields)
        if refused is None and self.models is not None:
            summary = summary or RequestSummary()
            refused = self.models.refusal(summary.models, unread=summary.unread)
        return refused or await self.state.admit(request)

    def new_request(
        self,
        action_id: UUID,
        fields: Mapping[str, str],
        summary: RequestSummary | None,
        wire_format: WireFormat,
        provider: str | None,
    ) -> AdmissionRequest:
        """`provider` is the upstream's; None: it is not known."""
        expected_usd = None
        if self.has_budgets:
            expected_usd = self.estimator.estimate_usd(
                wire_format,
                summary or RequestSummary(),
                provider=provider or wire_format.PROVIDER,
                at=datetime.now(UTC),
                billing=billing_of(wire_format.NAME),
            )
        return AdmissionRequest(
            action_id=action_id,
            session_id=fields.get("session_id"),
            agent_name=fields.get("agent_name"),
            user_id=fields.get("user_id"),
            model=summary.model if summary else None,
            expected_usd=expected_usd,
            token=self.ingest.tokens.budget_of(fields.get(TOKEN_FIELD)),
        )
