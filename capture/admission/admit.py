"""The order in which a call is looked at before it may go upstream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from agentledger_site.conf import Config
from capture.admission.decision import NOTHING_APPLIES, Admitted, Asking, Refused, State
from capture.admission.expected import Expectations
from capture.admission.ingest_tokens import IngestKeys
from capture.admission.policy import ModelPolicy
from capture.admission.stops import Stops
from capture.call_cost import billing_of
from capture.wire.glance import Glance
from capture.wire.types import WireFormat


@dataclass(slots=True)
class Admission:
    """What operators configured; None: nothing of the kind."""

    ingest: IngestKeys
    stops: Stops
    models: ModelPolicy | None
    state: State | None  # of rate limits and budgets
    expectations: Expectations | None  # there where budgets are

    @classmethod
    def of(
        cls,
        config: Config,
        ingest: IngestKeys,
        stops: Stops,
        state: State | None,
        expectations: Expectations | None,
    ) -> Admission:
        has_policy = config.models_allow or config.models_deny
        return cls(
            ingest=ingest,
            stops=stops,
            models=ModelPolicy(allow=config.models_allow, deny=config.models_deny)
            if has_policy
            else None,
            state=state,
            expectations=expectations,
        )

    @property
    def looks_at_bodies(self) -> bool:
        return self.models is not None or self.expectations is not None

    def at_the_door(self, headers: Sequence[tuple[bytes, bytes]]) -> Refused | None:
        """Before anything of the body is taken: whoever has no key fills no disk."""
        return self.ingest.refusal(headers)

    def stopped(self, fields: Mapping[str, str]) -> Refused | None:
        return self.stops.refusal(fields)

    async def admit(
        self, asking: Asking, fields: Mapping[str, str], glance: Glance | None
    ) -> Admitted | Refused:
        """The ingest key was looked at → stop switch → models → rate limits → budgets. The first
        refusal counts. `glance` is there where bodies are looked at."""
        refused = self.stopped(fields)
        if refused is None and self.models is not None:
            refused = self.models.refusal((glance or Glance()).models)
        if refused is not None:
            return refused
        if self.state is None:
            return NOTHING_APPLIES
        return await self.state.admit(asking)

    def asking(
        self,
        action_id: UUID,
        fields: Mapping[str, str],
        glance: Glance | None,
        wire_format: WireFormat,
        maker: str | None,
    ) -> Asking:
        """`maker` is that of the upstream; None: it is not known."""
        expected_usd = None
        if self.expectations is not None:
            expected_usd = self.expectations.of(
                wire_format,
                glance or Glance(),
                provider=maker or wire_format.PROVIDER,
                at=datetime.now(UTC),
                billing=billing_of(wire_format.NAME),
            )
        return Asking(
            action_id=action_id,
            session_id=fields.get("session_id"),
            agent_name=fields.get("agent_name"),
            user_id=fields.get("user_id"),
            model=glance.model if glance else None,
            expected_usd=expected_usd,
        )
