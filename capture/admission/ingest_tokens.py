"""The ingest tokens in force and their budgets, as the proxy process knows them. Only the hash of a
token is known, here and in the spool's folder."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path

import msgspec

from access.models import Token
from access.roles import Role
from capture.admission.decision import TokenBudget
from capture.admission.ledger_cache import LedgerCache


class IngestToken(msgspec.Struct, frozen=True):
    id: int
    name: str
    secret_hash: str
    expires_at: float | None  # seconds since 1970
    daily_budget_usd: Decimal | None = None

    @classmethod
    def from_row(cls, token: Token) -> IngestToken:
        expires_at = token.expires_at.timestamp() if token.expires_at is not None else None
        return cls(token.pk, token.name, token.secret_hash, expires_at, token.daily_budget_usd)


class KnownTokens(msgspec.Struct, frozen=True):
    any_made: bool = False  # True even if all of them are revoked
    in_force: list[IngestToken] = []


class IngestTokens(LedgerCache[KnownTokens]):
    def __init__(self, file: Path) -> None:
        self._by_hash: Mapping[str, IngestToken] = {}
        # By the token's name. Those of revoked tokens stay: their connections may still be open.
        self._budgets: dict[str, TokenBudget] = {}
        super().__init__("ingest tokens", file, KnownTokens, KnownTokens())

    @property
    def were_ever_made(self) -> bool:
        return self._value.any_made

    @property
    def have_budgets(self) -> bool:
        return bool(self._budgets)

    def budget_of(self, name: str | None) -> TokenBudget | None:
        return self._budgets.get(name) if name is not None else None

    def find(self, secret: bytes) -> IngestToken | None:
        """Returns the token in force that has this secret."""
        token = self._by_hash.get(hashlib.sha256(secret).hexdigest())
        if token is None or (token.expires_at is not None and token.expires_at <= time.time()):
            return None
        return token

    def query(self) -> KnownTokens:
        rows = Token.objects.filter(role=Role.INGEST.value, revoked_at=None).order_by("id")
        in_force = [IngestToken.from_row(row) for row in rows]
        made = Token.objects.filter(role=Role.INGEST.value)
        return KnownTokens(bool(in_force) or made.exists(), in_force)

    def apply(self, value: KnownTokens) -> None:
        self._by_hash = {token.secret_hash: token for token in value.in_force}
        for token in value.in_force:
            if token.daily_budget_usd is None:
                self._budgets.pop(token.name, None)
            else:
                self._budgets[token.name] = TokenBudget(token.name, token.daily_budget_usd)
