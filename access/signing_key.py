"""The key that signs cookies: the operator's, or one that is made once and kept beside the data."""

from __future__ import annotations

import logging
import os
import secrets
from functools import cache
from pathlib import Path

from django.conf import settings

logger = logging.getLogger("agentledger.access")

FILE = "agentledger-secret-key"


@cache
def signing_key() -> str:
    config = settings.AGENTLEDGER
    return config.secret_key or kept_in(config.spool_path.parent / FILE)


def kept_in(file: Path) -> str:
    """Made by whoever comes first; all others read the same."""
    try:
        if not file.exists():
            _make(file)
        key = file.read_text().strip()
        if key:
            return key
        reason = "it is empty"
    except OSError as error:
        reason = str(error.strerror)
    logger.warning(
        "%s cannot keep the key that signs cookies (%s): browsers must sign in again after each"
        " start; set AGENTLEDGER_SECRET_KEY",
        *(file, reason),
    )
    return secrets.token_urlsafe(32)


def _make(file: Path) -> None:
    unnamed = file.with_name(f"{file.name}.{os.getpid()}")
    descriptor = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(secrets.token_urlsafe(32) + "\n")
    try:
        os.link(unnamed, file)  # whole, or not there; never in place of another
    except FileExistsError:
        pass
    finally:
        unnamed.unlink()
