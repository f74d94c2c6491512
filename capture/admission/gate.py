"""The order in which a call is looked at before it may go upstream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from django.conf import settings

from capture.admission.budgets import Budgets
from capture.admission.cost_estimate import CostEstimator
from capture.admission.decision import AdmissionRequest, Admitted, Refused, State
from capture.admission.ingest_tokens import IngestKeys
from capture.admission.policy import ModelPolicy
from capture.admission.stops import Stops
from capture.exchange import TOKEN_FIELD
from capture.pricing.call_cost import billing_of
from capture.wire.request_summary import RequestSummary
from capture.wire.types import WireFormat


@dataclass(slots=True)
class Admission:
    """What operators configured; None: nothing of the kind."""

    ingest: IngestKeys
    stops: Stops
    models: ModelPolicy | None
    budgets: Budgets
    state: State  # of rate limits and budgets
    estimator: CostEstimator

    @classmethod
    def of(
        cls,
        ingest: IngestKeys,
        stops: Stops,
        state: State,
        estimator: CostEstimator,
    ) -> Admission:
        config = settings.AGENTLEDGER
        has_policy = config.models_allow or config.models_deny
        return cls(
            ingest=ingest,
            stops=stops,
            models=ModelPolicy(allow=config.models_allow, deny=config.models_deny)
            if has_policy
            else None,
            budgets=Budgets.from_settings(),
            state=state,
            estimator=estimator,
        )

    @property
    def inspects_bodies(self) -> bool:
        return self.models is not None or self.has_budgets

    @property
    def has_budgets(self) -> bool:
        """Whether some call may be under one."""
        return self.budgets.is_any or self.ingest.tokens.any_budget

    def check_key(self, headers: Sequence[tuple[bytes, bytes]]) -> Refused | None:
        """Before anything of the body is taken: whoever has no key fills no disk."""
        return self.ingest.refusal(headers)

    def check_stops(self, fields: Mapping[str, str]) -> Refused | None:
        return self.stops.refusal(fields)

    async def admit(
        self, asking: AdmissionRequest, fields: Mapping[str, str], summary: RequestSummary | None
    ) -> Admitted | Refused:
        """The ingest key was looked at → stop switch → models → rate limits → budgets. The first
        refusal counts. `summary` is there where bodies are looked at."""
        refused = self.check_stops(fields)
        if refused is None and self.models is not None:
            refused = self.models.refusal((summary or RequestSummary()).models)
        return refused or await self.state.admit(asking)

    def new_request(
        self,
        action_id: UUID,
        fields: Mapping[str, str],
        summary: RequestSummary | None,
        wire_format: WireFormat,
        provider: str | None,
    ) -> AdmissionRequest:
        """`maker` is that of the upstream; None: it is not known."""
        expected_usd = None
        if self.has_budgets:
            expected_usd = self.estimator.of(
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
