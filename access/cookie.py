"""The cookie of a browser whose user once sent a key or a token.

It holds no secret, and stops working when the key is changed or the token is revoked or expires.
It is signed with the operator's key, or with one that is generated once and kept beside the data.
"""

from __future__ import annotations

import hmac
import logging
import os
import secrets
from functools import cache
from hashlib import sha256
from pathlib import Path

from django.conf import settings
from django.core.signing import BadSignature, TimestampSigner
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.timezone import now

from access import tokens
from access.actors import Actor, key_holder
from access.models import Token
from access.roles import Role

logger = logging.getLogger("agentledger.access")

NAME = "agentledger"
MAX_AGE_S = 14 * 24 * 3600
KEY_FILE = "agentledger-secret-key"


def set_cookie(request: HttpRequest, response: HttpResponseBase, actor: Actor) -> None:
    value = f"key:{_key_digest()}"
    if actor.token_id is not None:
        value = f"token:{actor.token_id}"
    response.set_cookie(
        NAME,
        _signer().sign(value),
        max_age=MAX_AGE_S,
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )


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
    return config.secret_key or _read_key(config.spool_path.parent / KEY_FILE)


def _read_key(file: Path) -> str:
    """Returns the key in `file`. The first process generates it; all others read the same."""
    try:
        if not file.exists():
            _generate_key(file)
        key = file.read_text().strip()
        if key:
            return key
        reason = "it is empty"
    except OSError as error:
        reason = str(error.strerror)
    logger.warning(
        "the key that signs cookies cannot be stored in %s (%s): browsers must sign in again after"
        " each start; set AGENTLEDGER_SECRET_KEY",
        *(file, reason),
    )
    return secrets.token_urlsafe(32)


def _generate_key(file: Path) -> None:
    temporary = file.with_name(f"{file.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(secrets.token_urlsafe(32) + "\n")
    try:
        os.link(temporary, file)  # atomic, and never in place of another process's key
    except FileExistsError:
        pass
    finally:
        temporary.unlink()
