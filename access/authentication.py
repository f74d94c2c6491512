"""Who sends a request: by the key or token that it shows, by its cookie, or by its place."""

from __future__ import annotations

import hmac
import math

from django.conf import settings

from access import failed_logins, tokens
from access.actors import Actor, Known, local_operator, with_the_key
from access.cookie import actor_of_cookie
from access.request_checks import KEY_HEADER, Denied, Reader, denied_with_key, denied_without_key
from access.roles import Role
from access.throttle import Attempts

# Longer than any key of ours.
MAX_SHOWN = 4096

_attempts = Attempts()


def identified(reader: Reader) -> Actor | Denied:
    """Raises DatabaseError."""
    config = settings.AGENTLEDGER
    by_place = denied_without_key(
        reader,
        has_key=config.api_key is not None,
        trusted_networks=config.trusted_networks,
        allowed_hosts=config.allowed_hosts,
    )
    if by_place is None:  # a token may be shown, to be less than the operator; a wrong one is none
        return _unasked(reader) or local_operator(reader.address)
    known = _by_what_it_shows(reader)
    if isinstance(known, Actor):
        return denied_with_key(reader, config.allowed_hosts) or known
    return known or by_place


def with_secret(shown: str, known_by: Known, address: str | None) -> Actor | Denied:
    """Whose key or token this is. The answer to a wrong one is the same whether it was never one,
    is one no more, or is that of another. Raises DatabaseError."""
    shown = shown.strip()[:MAX_SHOWN]
    wait_s = _attempts.wait_s(address, shown)
    if wait_s > 0:
        failed_logins.slowed()
        seconds = math.ceil(wait_s)
        return Denied(429, f"too many wrong keys: try again in {seconds} s", seconds)
    actor = _owner(shown, known_by, address)
    if actor is not None:
        _attempts.was_right(address, shown)
        return actor
    is_new = _attempts.was_wrong(address, shown)
    failed_logins.failed(address, known_by, is_new=is_new)
    return Denied(401, f"the API key is missing or wrong: send it as {KEY_HEADER}")


def _unasked(reader: Reader) -> Actor | None:
    shown, known_by = _shown(reader)
    if shown:
        return _owner(shown, known_by, reader.address)
    return actor_of_cookie(reader.cookie, reader.address) if reader.cookie else None


def _by_what_it_shows(reader: Reader) -> Actor | Denied | None:
    shown, known_by = _shown(reader)
    if shown:
        return with_secret(shown, known_by, reader.address)
    return actor_of_cookie(reader.cookie, reader.address) if reader.cookie else None


def _shown(reader: Reader) -> tuple[str, Known]:
    """A key or token in sight, and where."""
    header = reader.headers.get(KEY_HEADER)
    if header:
        return header, "header"
    # A link may carry the parameter, and must not change anything.
    if reader.key_parameter and not reader.writes:
        return reader.key_parameter, "parameter"
    return "", "nothing"


def _owner(shown: str, known_by: Known, address: str | None) -> Actor | None:
    key = settings.AGENTLEDGER.api_key
    if key is not None and hmac.compare_digest(shown.encode(errors="replace"), key.encode()):
        return with_the_key(address, known_by)
    token = tokens.find(shown)
    if token is None:
        return None
    if token.role != Role.INGEST:  # that one is used by calls
        tokens.used(token.pk)
    return Actor(f"token {token.name}", Role(token.role), address, known_by, token.pk)
