"""The cookie of a browser that showed a key or a token once. It holds no secret, and ends with what
it was made with: when the key is changed, the token revoked or expired."""

from __future__ import annotations

import hmac
from hashlib import sha256

from django.conf import settings
from django.core.signing import BadSignature, TimestampSigner
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.timezone import now

from access import tokens
from access.actors import Actor, with_the_key
from access.models import Token
from access.roles import Role
from access.signing_key import signing_key

NAME = "agentledger"
MAX_AGE_S = 14 * 24 * 3600


def give(request: HttpRequest, response: HttpResponseBase, actor: Actor) -> None:
    of = f"token:{actor.token_id}" if actor.token_id is not None else f"key:{_mark()}"
    response.set_cookie(
        NAME,
        _signer().sign(of),
        max_age=MAX_AGE_S,
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )


def take_back(response: HttpResponseBase) -> None:
    response.delete_cookie(NAME, samesite="Lax")


def actor_of_cookie(value: str, address: str | None) -> Actor | None:
    """Raises DatabaseError."""
    try:
        of = _signer().unsign(value, max_age=MAX_AGE_S)
    except BadSignature:
        return None
    kind, _, mark = of.partition(":")
    if kind == "key":
        is_current = settings.AGENTLEDGER.api_key is not None and hmac.compare_digest(mark, _mark())
        return with_the_key(address, "cookie") if is_current else None
    token = Token.objects.in_force(now()).filter(pk=int(mark)).first()
    if token is None:
        return None
    tokens.used(token.pk)
    return Actor(f"token {token.name}", Role(token.role), address, "cookie", token.pk)


def _signer() -> TimestampSigner:
    return TimestampSigner(key=signing_key(), salt="agentledger.cookie")


def _mark() -> str:
    """Tells one API key from another; tells nothing of it without the signing key."""
    key = (settings.AGENTLEDGER.api_key or "").encode()
    return hmac.new(signing_key().encode(), b"api key:" + key, sha256).hexdigest()
