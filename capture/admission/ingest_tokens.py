"""The ingest tokens in force, their budgets, and what agents show at the door. Of a token its hash
is known, here and in the spool's folder."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec

from access import tokens
from access.background_writer import Housekeeping
from access.models import Token
from access.roles import Role
from capture.admission.decision import Refused, TokenBudget
from capture.admission.policy import KEY_HEADER, IngestKey
from capture.admission.polled_cache import LastKnown
from capture.exchange import TOKEN_FIELD


class IngestToken(msgspec.Struct, frozen=True):
    id: int
    name: str
    secret_hash: str
    expires_at: float | None  # seconds since 1970
    daily_budget_usd: Decimal | None = None


class Known(msgspec.Struct, frozen=True):
    any_made: bool = False  # be it that all were revoked
    in_force: list[IngestToken] = []


def _facts_of(token: Token) -> IngestToken:
    expires_at = token.expires_at.timestamp() if token.expires_at is not None else None
    return IngestToken(token.pk, token.name, token.secret_hash, expires_at, token.daily_budget_usd)


class IngestTokens(LastKnown[Known]):
    def __init__(self, file: Path) -> None:
        self._by_hash: Mapping[str, IngestToken] = {}
        # By name; of revoked tokens too, whose connections may still be open.
        self._budgets: dict[str, TokenBudget] = {}
        self._housekeeping = Housekeeping()
        super().__init__("ingest tokens", file, Known, Known())

    @property
    def any_made(self) -> bool:
        return self._known.any_made

    @property
    def any_budget(self) -> bool:
        return bool(self._budgets)

    def budget_of(self, name: str | None) -> TokenBudget | None:
        return self._budgets.get(name) if name is not None else None

    def of(self, secret: bytes) -> IngestToken | None:
        """The one in force of this secret."""
        token = self._by_hash.get(hashlib.sha256(secret).hexdigest())
        if token is None or (token.expires_at is not None and token.expires_at <= time.time()):
            return None
        return token

    def _asked(self) -> Known:
        found = Token.objects.filter(role=Role.INGEST.value, revoked_at=None).order_by("id")
        in_force = [_facts_of(token) for token in found]
        made = Token.objects.filter(role=Role.INGEST.value)
        return Known(bool(in_force) or made.exists(), in_force)

    def _take(self, known: Known) -> None:
        self._by_hash = {token.secret_hash: token for token in known.in_force}
        for token in known.in_force:
            if token.daily_budget_usd is None:
                self._budgets.pop(token.name, None)
            else:
                self._budgets[token.name] = TokenBudget(token.name, token.daily_budget_usd)

    def _beside(self, *, is_last: bool) -> None:
        if is_last:
            self._housekeeping.now(all_=True)
        else:
            self._housekeeping.when_due()


class IngestKeys:
    """What agents show at the door: the ingest key, or an ingest token.

    Without the key in the configuration the door is open, to those with tokens as to others: to
    make or revoke a token must never open or close it. But who shows one is held to it.
    """

    def __init__(self, key: str | None, known: IngestTokens) -> None:
        self._key = IngestKey(key) if key else None
        self.tokens = known

    def refusal(self, headers: Sequence[tuple[bytes, bytes]]) -> Refused | None:
        if self._key is None and not self.tokens.any_made:
            return None
        shown = shown_in(headers)
        refused = self._key.refusal(headers) if self._key else _wrong_token() if shown else None
        if refused is None:
            return None
        token = self.tokens.of(shown)
        if token is None:
            return refused
        tokens.used(token.id)
        return None

    def add_token_field(
        self, headers: Sequence[tuple[bytes, bytes]], fields: dict[str, str]
    ) -> None:
        """Among the call's x-agentledger-* fields, if it came with one."""
        token = self.tokens.of(shown_in(headers)) if self.tokens.any_made else None
        if token is not None:
            fields[TOKEN_FIELD] = token.name


def _wrong_token() -> Refused:
    return Refused(
        status=401,
        code="ingest_key_wrong",
        message="the ingest token is unknown, expired or revoked: send another as"
        f" {KEY_HEADER.decode()}",
        retry_after_s=None,
        may_retry=False,
    )


def shown_in(headers: Sequence[tuple[bytes, bytes]]) -> bytes:
    return next((value.strip() for name, value in headers if name == KEY_HEADER), b"")
