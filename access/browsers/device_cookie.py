"""The cookie of a browser in which somebody has signed in before.

It opens nothing. Who guesses keys slows down his own address, and this browser is counted by
itself, although it may share that address: its user is not shut out, whichever key he sends next.
"""

from __future__ import annotations

from django.core.signing import BadSignature, TimestampSigner
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from access.actors import Actor
from access.cookie import describe_credential, signing_key, write_cookie

NAME = "agentledger-device"
MAX_AGE_S = 400 * 24 * 3600  # as long as browsers keep any cookie


def set_cookie(request: HttpRequest, response: HttpResponseBase, actor: Actor) -> None:
    write_cookie(request, response, NAME, _signer().sign(describe_credential(actor)), MAX_AGE_S)


def find_device(value: str | None) -> str | None:
    """Returns what failed sign-ins of this browser are counted by; None if it is not known. All
    browsers of one key or token are counted as one: a cookie each gives no more guesses."""
    if not value:
        return None
    try:
        return f"device {_signer().unsign(value, max_age=MAX_AGE_S)}"
    except BadSignature:
        return None


def _signer() -> TimestampSigner:
    return TimestampSigner(key=signing_key(), salt="agentledger.device")
