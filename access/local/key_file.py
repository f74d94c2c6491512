"""Keys that are made once and kept in a file that nobody else may read."""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

logger = logging.getLogger("agentledger.access")


def read_or_make(file: Path, *, otherwise: str) -> str:
    """Returns the key in `file`. The first process makes it; all others read the same. Where it
    cannot be stored, a key for this process alone is returned, and the log says so; `otherwise` is
    what that means for the operator."""
    try:
        if not file.exists():
            make(file, secrets.token_urlsafe(32) + "\n")
        key = read(file).strip()
        if key:
            return key
        reason = "it is empty"
    except OSError as error:
        reason = str(error.strerror)
    logger.warning("no key can be stored in %s (%s): %s", file, reason, otherwise)
    return secrets.token_urlsafe(32)


def read(file: Path) -> str:
    """Returns its text, and closes it to other users. Raises OSError."""
    if file.stat().st_mode & 0o077:
        _close_to_others(file)
    return file.read_text()


def make(file: Path, text: str) -> None:
    """Writes the file, unless another process has made it. Raises OSError."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = file.with_name(f"{file.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as opened:
        opened.write(text)
    try:
        os.link(temporary, file)  # atomic, and never in place of another process's key
    except FileExistsError:
        pass
    finally:
        temporary.unlink()


def _close_to_others(file: Path) -> None:
    try:
        file.chmod(0o600)
    except OSError:  # it is a mounted secret, or belongs to another user
        logger.warning("other users may read the key in %s", file)
