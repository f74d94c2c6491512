"""The check that comes before all others: agents must send the ingest key, or an ingest token."""

from __future__ import annotations

import hmac
from collections.abc import Sequence

from access import tokens
from capture.admission.decision import Refused
from capture.admission.ingest_tokens import IngestTokens
from capture.exchange import TOKEN_FIELD

KEY_HEADER = b"x-agentledger-ingest-key"

Headers = Sequence[tuple[bytes, bytes]]


class IngestKeys:
    """Without a key in the configuration, agents need none, whether or not there are tokens: making
    or revoking a token must never admit others or lock them out. But whoever sends a token is held
    to it.
    """

    def __init__(self, key: str | None, known_tokens: IngestTokens) -> None:
        self._key = key.encode() if key else None
        self.tokens = known_tokens

    def refusal(self, headers: Headers) -> Refused | None:
        if self._key is None and not self.tokens.were_ever_made:
            return None
        secret = _secret_in(headers)
        if self._key is None and not secret:
            return None
        if self._key is not None and hmac.compare_digest(secret, self._key):
            return None
        token = self.tokens.find(secret)
        if token is None:
            return _token_refusal() if self._key is None else _key_refusal(is_missing=not secret)
        tokens.note_use(token.id)
        return None

    def add_token_field(self, headers: Headers, fields: dict[str, str]) -> None:
        """Adds the name of the call's ingest token, if it came with one, to its x-agentledger-*
        fields."""
        token = self.tokens.find(_secret_in(headers)) if self.tokens.were_ever_made else None
        if token is not None:
            fields[TOKEN_FIELD] = token.name


def _secret_in(headers: Headers) -> bytes:
    return next((value.strip() for name, value in headers if name == KEY_HEADER), b"")


def _key_refusal(*, is_missing: bool) -> Refused:
    return Refused(
        status=401,
        code="ingest_key_missing" if is_missing else "ingest_key_wrong",
        message=f"the ingest key is {'missing' if is_missing else 'wrong'}: send it as"
        f" {KEY_HEADER.decode()}",
        retry_after_s=None,
        may_retry=False,
    )


def _token_refusal() -> Refused:
    return Refused(
        status=401,
        code="ingest_key_wrong",
        message="the ingest token is unknown, expired or revoked: send another as"
        f" {KEY_HEADER.decode()}",
        retry_after_s=None,
        may_retry=False,
    )
