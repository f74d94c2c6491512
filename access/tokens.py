"""Creates, finds and revokes tokens, and notes their use. A secret is shown once, when its
token is created."""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
from datetime import datetime
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils.timezone import now

from access import audit
from access.actors import Actor
from access.models import MAX_NAME, Token
from access.roles import Role

# Most wrong secrets have another form than ours, and cost no query.
SECRET = re.compile(r"al_[A-Za-z0-9_-]{43}")
PREFIX_LENGTH = 9
NAME = re.compile(rf"[A-Za-z0-9][A-Za-z0-9 ._@:/+-]{{0,{MAX_NAME - 1}}}")
NAME_ACCEPTED = (
    f"1 to {MAX_NAME} letters, digits, spaces and . _ @ : / + -, a letter or digit first"
)


class InvalidToken(ValueError):
    """A token cannot be created: one sentence says what is wrong with which field."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def create(
    actor: Actor,
    name: str,
    role: Role,
    *,
    expires_at: datetime | None = None,
    daily_budget_usd: Decimal | None = None,
) -> tuple[Token, str]:
    """Returns the token and its secret, which is stored nowhere. Raises InvalidToken."""
    if not NAME.fullmatch(name):
        raise InvalidToken("name", f"a token's name is {NAME_ACCEPTED}")
    if expires_at is not None and expires_at <= now():
        raise InvalidToken("expires_at", "the expiry must be in the future")
    if daily_budget_usd is not None and (role is not Role.INGEST or daily_budget_usd < 0):
        raise InvalidToken(
            "daily_budget_usd", "only an ingest token has a daily budget, of 0 or more"
        )
    secret = f"al_{secrets.token_urlsafe(32)}"
    try:
        with transaction.atomic():
            token = Token.objects.create(
                name=name,
                role=role.value,
                secret_hash=hash_secret(secret),
                prefix=secret[:PREFIX_LENGTH],
                created_at=now(),
                created_by=actor.name,
                expires_at=expires_at,
                daily_budget_usd=daily_budget_usd,
            )
            facts = {"id": token.pk, "role": role, "prefix": token.prefix}
            limits = {"expires_at": expires_at, "daily_budget_usd": daily_budget_usd}
            audit.record(actor, "token.create", name, **facts, **limits)
    except IntegrityError:
        reason = f"a token {name!r} exists: revoke it first, or choose another name"
        raise InvalidToken("name", reason) from None
    return token, secret


def revoke(actor: Actor, token: Token) -> bool:
    """Returns whether the token was in force until now."""
    with transaction.atomic():
        unrevoked = Token.objects.filter(pk=token.pk, revoked_at=None)
        was_in_force = unrevoked.update(revoked_at=now()) == 1
        if was_in_force:
            facts = {"id": token.pk, "role": token.role, "prefix": token.prefix}
            audit.record(actor, "token.revoke", token.name, **facts)
    return was_in_force


def hash_secret(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def find(secret: str) -> Token | None:
    """Returns the token in force that has this secret."""
    if not SECRET.fullmatch(secret):
        return None
    return Token.objects.in_force(now()).filter(secret_hash=hash_secret(secret)).first()


# --- last use: requests and calls note it, a thread writes it once a minute ---

_uses: dict[int, datetime] = {}
_lock = threading.Lock()


def note_use(token_id: int) -> None:
    _uses[token_id] = now()


def write_uses() -> None:
    """Raises DatabaseError; the uses are kept for the next time then."""
    with _lock:
        uses = dict(_uses)
        for token_id, at in uses.items():
            before = Q(last_used_at=None) | Q(last_used_at__lt=at)
            Token.objects.filter(before, pk=token_id).update(last_used_at=at)
        for token_id, at in uses.items():
            if _uses.get(token_id) == at:
                del _uses[token_id]
