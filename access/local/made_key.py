"""The API key that is made where nobody can be told to be the local operator: in containers, and on
systems that do not say who connects."""

from __future__ import annotations

import os
from pathlib import Path

from django.conf import settings

from access.local import connection_owner, key_file

FILE = "agentledger-api-key"


def is_needed(*, may_be_local: bool) -> bool:
    """`may_be_local` is what the operator chose: whether there is a local operator at all."""
    return not (may_be_local and connection_owner.is_known()) or _is_windows_beside()


def is_in_use() -> bool:
    config = settings.AGENTLEDGER
    return config.api_key is not None and not config.is_given("api_key")


def path_beside(spool: Path) -> Path:
    return spool.parent / FILE


def read_or_make(spool: Path) -> str:
    advice = "each start makes another one; set AGENTLEDGER_API_KEY"
    return key_file.read_or_make(path_beside(spool), otherwise=advice)


def _is_windows_beside() -> bool:
    """Returns whether this is Linux in Windows (WSL), where a program of root brings the requests
    of Windows' browsers."""
    return "microsoft" in os.uname().release.lower()
