"""The lines of the start that say who may read, and what is more open than it may seem."""

from __future__ import annotations

import logging
import os
import pwd
from urllib.parse import urlencode

from django.conf import settings

from access.local import made_key
from access.request_checks import KEY_PARAMETER, is_in_networks, parse_address

logger = logging.getLogger("agentledger.access")

LOOPBACK = ("127.0.0.1", "::1")


def describe_sign_in(url: str) -> list[str]:
    """Returns the line with the link that signs a browser in, if the key was made here. The
    operator's own key is never shown."""
    return [f"  Sign in             {_link(url)}"] if made_key.is_in_use() else []


def log_sign_in() -> None:
    """Says the same on servers other than `runproxy`, which know their own port."""
    if made_key.is_in_use():
        config = settings.AGENTLEDGER
        link = _link(f"http://localhost:{config.dashboard_port or config.port}")
        logger.info("AGENTLEDGER_API_KEY is %s; sign in at %s", describe_key(), link)


def describe_key() -> str:
    config = settings.AGENTLEDGER
    if made_key.is_in_use():
        return f"made here, stored in {made_key.path_beside(config.spool_path)}"
    if config.api_key is not None:
        return "set"
    return f"not set: only programs of {_user()} on this machine may read"


def warn_of_open_doors() -> None:
    config = settings.AGENTLEDGER
    if config.is_given("api_key"):
        return
    if config.api_key is None and not _is_loopback_name(config.host):
        logger.warning(
            "AGENTLEDGER_API_KEY is not set, and other machines can connect: they may send calls,"
            " not read; set a key before a reverse proxy or a tunnel leads here, or"
            " AGENTLEDGER_HOST=127.0.0.1 to be reached by this machine alone"
        )
    networks = config.trusted_networks
    if any(is_in_networks(parse_address(address), networks) for address in LOOPBACK):
        logger.warning(
            "AGENTLEDGER_TRUSTED_NETWORKS has loopback in it: every user of this machine, and"
            " everybody whom a reverse proxy on it lets through, may read and change everything"
        )


def _link(url: str) -> str:
    return f"{url}/?{urlencode({KEY_PARAMETER: settings.AGENTLEDGER.api_key})}"


def _is_loopback_name(host: str) -> bool:
    ip = parse_address(host)
    return ip.is_loopback if ip is not None else host == "localhost"


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"
