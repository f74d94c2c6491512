"""The ingest tokens in force, read from the database by a thread of its own: no call waits for it.

While the database is away the last ones known stay in force; their hashes lie in the spool's folder
too, for a process that starts meanwhile.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
from django.db import DatabaseError, connection

from agentledger_site.access import tokens
from agentledger_site.access.housekeeping import Housekeeping
from agentledger_site.access.models import Token
from agentledger_site.access.roles import Role
from agentledger_site.conf import config, without_secrets_of
from capture.admission.decision import Refused, TokenBudget
from capture.admission.policy import KEY_HEADER, IngestKey
from capture.exchange import TOKEN_FIELD

logger = logging.getLogger("agentledger.proxy")

READ_EVERY_S = 0.5
# A start waits so long for the first reading, then takes calls by the last tokens known.
FIRST_READING_S = 2.0


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


class IngestTokens:
    """`begin` and `end` are the process's; the rest is asked by calls."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known = Known()
        self._by_hash: Mapping[str, IngestToken] = {}
        # By name; of revoked tokens too, whose connections may still be open.
        self._budgets: dict[str, TokenBudget] = {}
        self._is_away = False
        self._first = threading.Event()
        self._end = threading.Event()
        self._housekeeping = Housekeeping()
        self._take(self._last_known())
        self._thread = threading.Thread(target=self._run, name="ingest tokens", daemon=True)

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

    def begin(self) -> None:
        """Returns when the tokens have been read, or cannot be."""
        self._thread.start()
        self._first.wait(FIRST_READING_S)

    def end(self) -> None:
        self._end.set()
        self._thread.join(FIRST_READING_S)

    # --- the thread ---

    def _run(self) -> None:
        try:
            while not self._end.is_set():
                self._read()
                self._first.set()
                self._housekeeping.when_due()
                self._end.wait(READ_EVERY_S)
            self._housekeeping.now(all_=True)
        finally:
            connection.close()

    def _read(self) -> None:
        try:
            found = Token.objects.filter(role=Role.INGEST.value, revoked_at=None).order_by("id")
            in_force = [_facts_of(token) for token in found]
            made = Token.objects.filter(role=Role.INGEST.value)
            known = Known(bool(in_force) or made.exists(), in_force)
        except DatabaseError as error:
            if not self._is_away:
                self._is_away = True
                reason = without_secrets_of(config().dsn, str(error))
                logger.warning("ingest tokens cannot be read, those known hold: %s", reason)
            connection.close()
            return
        self._is_away = False
        if known != self._known:
            self._take(known)
            self._keep(known)

    def _take(self, known: Known) -> None:
        self._known = known
        self._by_hash = {token.secret_hash: token for token in known.in_force}
        for token in known.in_force:
            if token.daily_budget_usd is None:
                self._budgets.pop(token.name, None)
            else:
                self._budgets[token.name] = TokenBudget(token.name, token.daily_budget_usd)

    # --- the file ---

    def _last_known(self) -> Known:
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Known)
        except (OSError, ValueError):  # none yet, or not whole
            return Known()

    def _keep(self, known: Known) -> None:
        unfinished = self._file.with_suffix(".new")
        try:
            unfinished.write_bytes(msgspec.json.encode(known))
            unfinished.replace(self._file)
        except OSError as error:
            logger.warning("%s cannot be written: %s", self._file, error)


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

    def name_token(self, headers: Sequence[tuple[bytes, bytes]], fields: dict[str, str]) -> None:
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
