"""The order in which a call is looked at before it may go upstream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID

from agentledger_site.conf import Config
from capture.admission.decision import Admitted, Asking, Refused, State
from capture.admission.ingest_tokens import IngestKeys, IngestTokens
from capture.admission.policy import ModelPolicy
from capture.admission.stops import Stops
from capture.pricing import Prices
from capture.spool.folder import Folder
from capture.wire.glance import Glance

NOTHING_APPLIES = Admitted(warnings=(), reserved_usd=Decimal(0), remaining_usd=None)


@dataclass(slots=True)
class Admission:
    """What operators configured; None: nothing of the kind."""

    ingest: IngestKeys
    stops: Stops
    models: ModelPolicy | None
    state: State | None = None  # of rate limits and budgets
    prices: Prices | None = None  # there where budgets are

    @classmethod
    def of(cls, config: Config, folder: Folder) -> Admission:
        has_policy = config.models_allow or config.models_deny
        return cls(
            ingest=IngestKeys(config.ingest_key, IngestTokens(folder.path / "ingest-tokens.json")),
            stops=Stops(folder.path / "stops.json"),
            models=ModelPolicy(allow=config.models_allow, deny=config.models_deny)
            if has_policy
            else None,
        )

    @property
    def looks_at_bodies(self) -> bool:
        return self.models is not None or self.state is not None

    def at_the_door(self, headers: Sequence[tuple[bytes, bytes]]) -> Refused | None:
        """Before anything of the body is taken: whoever has no key fills no disk."""
        return self.ingest.refusal(headers)

    def stopped(self, fields: Mapping[str, str]) -> Refused | None:
        return self.stops.refusal(fields)

    def of_models(self, glance: Glance | None) -> Refused | None:
        return self.models.refusal((glance or Glance()).models) if self.models else None

    async def admit(
        self, action_id: UUID, fields: Mapping[str, str], glance: Glance | None
    ) -> Admitted | Refused:
        """The ingest key was looked at → stop switch → models → rate limits → budgets. The first
        refusal counts. `glance` is there where bodies are looked at."""
        refused = self.stopped(fields) or self.of_models(glance)
        if refused is not None:
            return refused
        if self.state is None:
            return NOTHING_APPLIES
        return await self.state.admit(asking(action_id, fields, glance))


def asking(
    action_id: UUID,
    fields: Mapping[str, str],
    glance: Glance | None,
    expected_usd: Decimal | None = None,
) -> Asking:
    return Asking(
        action_id=action_id,
        session_id=fields.get("session_id"),
        agent_name=fields.get("agent_name"),
        user_id=fields.get("user_id"),
        model=glance.model if glance else None,
        expected_usd=expected_usd,
    )
