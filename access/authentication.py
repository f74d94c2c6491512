"""Finds the actor of a request by its key or token, its cookie, or the address it comes from."""

from __future__ import annotations

import hmac
import math

from django.conf import settings

from access import failed_logins, tokens
from access.actors import Actor, KnownBy, key_holder, local_operator
from access.browsers import device_cookie
from access.cookie import find_actor
from access.failed_logins import LoginThrottle
from access.local import connection_owner
from access.request_checks import (
    KEY_HEADER,
    KEY_MISSING,
    Denial,
    RequestFacts,
    check_host_with_key,
    check_without_key,
    deny_place,
    is_in_networks,
    parse_address,
)
from access.roles import Role

# Longer than any key or token.
MAX_SECRET = 4096

_throttle = LoginThrottle()


def authenticate(facts: RequestFacts) -> Actor | Denial:
    """Raises DatabaseError."""
    denial = _check_place(facts)
    if denial is None:
        # A valid token takes precedence: it may stand for less than the operator.
        return _authenticate_unchecked(facts) or local_operator(facts.address)
    found = _authenticate_checked(facts)
    if isinstance(found, Actor):
        return check_host_with_key(facts, settings.AGENTLEDGER.allowed_hosts) or found
    return found or denial


def authenticate_secret(
    secret: str, known_by: KnownBy, address: str | None, device_value: str | None = None
) -> Actor | Denial:
    """Finds the owner of a key or token. The denial is the same whether a token never existed, is
    no longer in force, or is wrong. `device_value` is that of the device cookie. Raises
    DatabaseError."""
    secret = secret.strip()[:MAX_SECRET]
    # A browser that is known is not held up by who guesses from its address.
    source = device_cookie.find_device(device_value) or address
    wait_s = _throttle.wait_s(source, secret)
    if wait_s > 0:
        failed_logins.count_failure()
        seconds = math.ceil(wait_s)
        return Denial(429, f"too many wrong keys: try again in {seconds} s", seconds)
    actor = _find_owner(secret, known_by, address)
    if actor is not None:
        _throttle.note_right(source, secret)
        return actor
    is_new = _throttle.note_wrong(source, secret)
    failed_logins.record_failure(address, known_by, is_new=is_new)
    return KEY_MISSING


def _check_place(facts: RequestFacts) -> Denial | None:
    """Denies requests that need a key or a token because of the place they come from."""
    config = settings.AGENTLEDGER
    denial = check_without_key(
        facts,
        has_key=config.is_given("api_key"),
        trusted_networks=config.trusted_networks,
        allowed_hosts=config.allowed_hosts,
    )
    is_in_network = is_in_networks(parse_address(facts.address), config.trusted_networks)
    if denial is None and not is_in_network and not _is_local_operator(facts):
        denial = deny_place("without a key only programs of AgentLedger's own user may read")
    # A key that was made opens what the operator's own would.
    return KEY_MISSING if denial is not None and config.api_key is not None else denial


def _is_local_operator(facts: RequestFacts) -> bool:
    may_be_local = settings.AGENTLEDGER.local_operator and connection_owner.is_known()
    return may_be_local and connection_owner.is_ours(facts.peer, facts.server)


def _authenticate_unchecked(facts: RequestFacts) -> Actor | None:
    """A wrong key is no failed log-in where none is needed."""
    secret, known_by = _read_secret(facts)
    if secret:
        return _find_owner(secret, known_by, facts.address)
    return find_actor(facts.cookie, facts.address) if facts.cookie else None


def _authenticate_checked(facts: RequestFacts) -> Actor | Denial | None:
    """Returns None if the request carries neither a secret nor a cookie that is accepted."""
    secret, known_by = _read_secret(facts)
    if secret:
        return authenticate_secret(secret, known_by, facts.address, facts.device_cookie)
    return find_actor(facts.cookie, facts.address) if facts.cookie else None


def _read_secret(facts: RequestFacts) -> tuple[str, KnownBy]:
    header = facts.headers.get(KEY_HEADER)
    if header:
        return header, "header"
    # A link may carry the parameter, and must not change anything.
    if facts.key_parameter and not facts.is_write:
        return facts.key_parameter, "parameter"
    return "", "nothing"


def _find_owner(secret: str, known_by: KnownBy, address: str | None) -> Actor | None:
    key = settings.AGENTLEDGER.api_key
    if key is not None and hmac.compare_digest(secret.encode(errors="replace"), key.encode()):
        return key_holder(address, known_by)
    token = tokens.find(secret)
    if token is None:
        return None
    if token.role != Role.INGEST:  # ingest tokens are used by calls
        tokens.note_use(token.pk)
    return Actor(f"token {token.name}", Role(token.role), address, known_by, token.pk)
