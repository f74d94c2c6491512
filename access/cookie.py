"""The cookie of a browser whose user once sent a key or a token.

It holds no secret, and stops working when the key is changed or the token is revoked or expires.
It is signed with the operator's key, or with one that is generated once and kept beside the data.
"""

from __future__ import annotations

import hmac
from functools import cache
from hashlib import sha256

from django.conf import settings
from django.core.signing import BadSignature, TimestampSigner
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.timezone import now

from access import tokens
from access.actors import Actor, key_holder
from access.local import key_file
from access.models import Token
from access.roles import Role

NAME = "agentledger"
MAX_AGE_S = 14 * 24 * 3600
KEY_FILE = "agentledger-secret-key"


def set_cookie(request: HttpRequest, response: HttpResponseBase, actor: Actor) -> None:
    value = _signer().sign(describe_credential(actor))
    write_cookie(request, response, NAME, value, MAX_AGE_S)


def write_cookie(
    request: HttpRequest, response: HttpResponseBase, name: str, value: str, max_age_s: int
) -> None:
    """Sets a cookie that no script reads and no other site's form sends."""
    response.set_cookie(
        name,
        value,
        max_age=max_age_s,
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )


def describe_credential(actor: Actor) -> str:
    """Returns what the actor was let in by, without any secret."""
    return f"token:{actor.token_id}" if actor.token_id is not None else f"key:{_key_digest()}"


def delete_cookie(response: HttpResponseBase) -> None:
    response.delete_cookie(NAME, samesite="Lax")


def find_actor(value: str, address: str | None) -> Actor | None:
    """Returns the actor whose cookie has this value; None if it is no longer accepted. Raises
    DatabaseError."""
    try:
        kind, _, mark = _signer().unsign(value, max_age=MAX_AGE_S).partition(":")
    except BadSignature:
        return None
    if kind == "key":
        has_key = settings.AGENTLEDGER.api_key is not None
        is_current = has_key and hmac.compare_digest(mark, _key_digest())
        return key_holder(address, "cookie") if is_current else None
    token = Token.objects.in_force(now()).filter(pk=int(mark)).first()
    if token is None:
        return None
    tokens.note_use(token.pk)
    return Actor(f"token {token.name}", Role(token.role), address, "cookie", token.pk)


def _signer() -> TimestampSigner:
    return TimestampSigner(key=signing_key(), salt="agentledger.cookie")


def _key_digest() -> str:
    """Returns a digest of the API key that reveals nothing without the signing key."""
    key = (settings.AGENTLEDGER.api_key or "").encode()
    return hmac.new(signing_key().encode(), b"api key:" + key, sha256).hexdigest()


# --- the key that signs cookies ---


@cache
def signing_key() -> str:
    config = settings.AGENTLEDGER
    advice = "browsers must sign in again after each start; set AGENTLEDGER_SECRET_KEY"
    file = config.spool_path.parent / KEY_FILE
    return config.secret_key or key_file.read_or_make(file, otherwise=advice)
